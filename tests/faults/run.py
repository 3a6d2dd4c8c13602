"""A live system under a plan of faults, and everything it wrote against the oracles."""

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from deploy.broker import Broker
from deploy.processes import last_report, log_tail
from schemas.topics import DEAD_LETTERS, DECISIONS, TRANSACTIONS
from tests.all_topics import read_all
from tests.bench.audited import audited
from tests.faults.acts import Strike, strike_all
from tests.faults.disk import SmallDisk
from tests.faults.gateway import Gateway
from tests.faults.plan import KINDS, REST_S, SESSION_TIMEOUT_S, end_s, plan
from tests.faults.refusals import compare_refusals
from tests.faults.report import Ran, report_of
from tests.faults.system import FaultySystem
from tests.faults.waits import waits

READY_S_MAX = 120.0
DRAIN_S_MAX = 120.0
LEARN_S_MAX = 60.0
SNAPSHOT_RECORDS = 100
"""Few, so that many snapshots are cut under fire."""
LABELLING = {
    "--label-delay": "5s",
    # Some labels are faster than the store and have to wait for their payment's row.
    "--label-delay-spread": "1",
    # Enough to learn from: within a minute the model knows enough to decide.
    "--legitimate-one-in": "1",
    "--fraud-rate": "0.04",
    # Revisions: disputes that are overturned.
    "--label-noise": "0.02",
    "--label-reversals": "0.5",
    # Sources that agree: what is said again teaches nothing.
    "--label-early-reports": "0.3",
}
STOPPED_ITSELF = b" stopping: "


@dataclass
class Load:
    """What was published and done while the faults struck."""

    seconds: float
    strikes: list[Strike]
    failed: list[str]
    produced: dict[str, Any]
    gateway: Gateway
    drained: bool = False
    learned: bool = False
    labels_left_waiting: int = 0
    exit_codes: list[int | None] = field(default_factory=list)


def run(
    data_dir: Path,
    *,
    seconds: float = 90,
    rate: float = 200,
    workers: int = 2,
    seed: int = 1,
    kinds: Sequence[str] = tuple(KINDS),
    rest_s: tuple[float, float] = REST_S,
    broker: Broker | None = None,
    topic_prefix: str = "",
    secure: bool = False,
    say: Callable[[str], None] = lambda _line: None,
) -> dict[str, Any]:
    """Return the figures, the bounds, what broke them, and whether all hold.

    The run lasts at least `seconds`, and longer where each kind of fault needs that to strike once. For `disk` it must
    be one that may mount.
    """
    disk = SmallDisk(data_dir.resolve() / "store") if "disk" in kinds else None
    with (
        disk or nullcontext(),
        FaultySystem(
            data_dir,
            disk=disk,
            workers=workers,
            worker_session_timeout_ms=int(SESSION_TIMEOUT_S * 1000),
            broker=broker,
            # As Kafka comes, without what the local broker leaves out for speed.
            broker_properties={"transaction.partition.verification.enable": "true"},
            topic_prefix=topic_prefix,
            snapshot_records=SNAPSHOT_RECORDS,
            secure=secure,
        ) as system,
    ):
        system.start(READY_S_MAX)
        faults = plan(seed, seconds=seconds, kinds=kinds, workers=workers, rest_s=rest_s)
        lasts_s = max(seconds, end_s(faults, rest_s))
        load = _under_load(system, lasts_s, lambda: strike_all(system, faults, say), rate=rate, seed=seed)
        _bring_to_rest(system, load, say)
        return report_of(_ran(system, load, say), kinds, seconds)


def _under_load(
    system: FaultySystem,
    lasts_s: float,
    strike: Callable[[], tuple[list[Strike], list[str]]],
    *,
    rate: float,
    seed: int,
) -> Load:
    simulation = ["--rate", str(rate), "--seed", str(seed), *chain.from_iterable(LABELLING.items())]
    source = system.process("producer", ["producers", "simulate", *simulation, "--json"])
    gateway = system.gateway = Gateway(system.settings, seed=seed)
    with source:
        with gateway:
            if not gateway.heard_any.wait(READY_S_MAX):
                raise RuntimeError(f"nothing was published: {log_tail(source.log_path)}")
            started = time.monotonic()
            strikes, failed = strike()
            time.sleep(max(0.0, started + lasts_s - time.monotonic()))
        source.terminate(grace_s=60)
        seconds = time.monotonic() - started
    failed += gateway.failures
    if source.exit_code:
        failed.append(f"publishing failed: {log_tail(source.log_path)}")
    report = last_report(source.log_path)
    if not report:
        raise RuntimeError(f"publishing ended without a report: {log_tail(source.log_path)}")
    return Load(seconds, strikes, failed, report, gateway)


def _bring_to_rest(system: FaultySystem, load: Load, say: Callable[[str], None]) -> None:
    """Let everything that was published be decided, stored, joined and learned, and end the processes in this order."""
    load.drained = system.wait_until_drained(DRAIN_S_MAX)
    say("drained" if load.drained else "not drained")
    load.exit_codes = [worker.terminate() for worker in system.workers]
    load.labels_left_waiting = system.stop_store()["waiting"]
    load.learned = system.wait_until_learned(LEARN_S_MAX)
    say("learned" if load.learned else "not learned")
    assert system.learner is not None
    assert system.store is not None
    load.exit_codes += [system.store.exit_code, system.learner.terminate()]
    # What was learned last led to models that are not stored yet.
    system.stop_store()


def _ran(system: FaultySystem, load: Load, say: Callable[[str], None]) -> Ran:
    """Compare everything that is there now."""
    topics = read_all(system.settings)
    found = audited(system.settings, topics)
    found |= compare_refusals(load.gateway.refused, topics[DEAD_LETTERS], topics[DECISIONS])
    say("compared")
    assert system.learner is not None
    assert system.store is not None
    hosts = [system.learner, *system.workers]
    counted = system.counters()["card"]
    acknowledged = load.gateway.acknowledged
    found |= {
        "seconds": round(load.seconds, 1),
        "published": load.produced["transactions"] + acknowledged["another"],
        "repeats_published": acknowledged["repeat"],
        "labels_published": load.produced["labels"],
        "duplicates_counted": counted.get("duplicates", 0),
        "dead_letters_counted": counted.get("dead_letters", 0),
        "drained": load.drained,
        "learned": load.learned,
        "labels_left_waiting": load.labels_left_waiting,
        "stages_restarted": sum(worker.restarts for worker in system.workers),
        "stopped_themselves": b"".join(host.log_path.read_bytes() for host in hosts).count(STOPPED_ITSELF),
        "store_restarted": system.store.restarts,
        "learner_restarted": system.learner.restarts,
        "exit_codes": load.exit_codes,
        "examples": [*found["examples"], *found["learning_examples"], *found["store_examples"]]
        + found["refusal_examples"],
    }
    return Ran(found, load.strikes, load.failed, waits(topics[TRANSACTIONS], topics[DECISIONS]))
