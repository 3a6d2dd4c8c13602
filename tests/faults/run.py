"""A live system under a plan of faults, and everything it wrote against the oracle."""

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from deploy.broker import Broker
from deploy.processes import log_tail
from deploy.system import System
from tests.bench.audited import STORED, ZEROES, audited
from tests.faults.acts import Strike, strike_all
from tests.faults.plan import DEFAULT_KINDS, SESSION_TIMEOUT_S, end_s, plan
from tests.faults.repeats import Repeats
from tests.faults.waits import Waits, longest_by_kind, longest_s, pauses, waits

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
}
STOPPED_ITSELF = b" stopping: "
MODELS_MIN = 2
"""Versions of the model that must have decided, or a run has shown nothing of learning while deciding."""
TOLD = (
    "decisions", "predictions", "labels", "labels_accepted", "training_records", "snapshots", "models_that_decided",
    "modes", "dead_letters", "refused", "stored", *STORED,
)  # fmt: skip
PAIRS = (
    ("transactions", "published"), ("decisions", "transactions"), ("stored", "predictions"),
    ("duplicates", "repeats_published"), ("duplicates_counted", "duplicates"), ("decisions_stored", "decisions"),
    ("labels_stored", "labels_published"), ("training_stored", "training_records"), ("models_stored", "snapshots"),
)  # fmt: skip
"""Figures that must be equal."""


@dataclass
class Load:
    """What was published and done while the faults struck."""

    seconds: float
    strikes: list[Strike]
    failed: list[str]
    produced: dict[str, Any]
    repeats: int
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
    kinds: Sequence[str] = DEFAULT_KINDS,
    broker: Broker | None = None,
    topic_prefix: str = "",
    secure: bool = False,
    say: Callable[[str], None] = lambda _line: None,
) -> dict[str, Any]:
    """Return the figures, the bounds, what broke them, and whether all hold.

    The run lasts at least `seconds`, and longer where each kind of fault needs that to strike once.
    """
    with System(
        data_dir,
        workers=workers,
        worker_session_timeout_ms=int(SESSION_TIMEOUT_S * 1000),
        broker=broker,
        # As Kafka comes, without what the local broker leaves out for speed.
        broker_properties={"transaction.partition.verification.enable": "true"},
        topic_prefix=topic_prefix,
        snapshot_records=SNAPSHOT_RECORDS,
        secure=secure,
    ) as system:
        system.start_workers()
        system.start_learner()
        system.start_store()
        if not system.wait_until_ready(READY_S_MAX):
            raise RuntimeError(f"the workers did not start: {log_tail(system.workers[0].log_path)}")
        load = _under_load(system, seconds=seconds, rate=rate, workers=workers, seed=seed, kinds=kinds, say=say)
        _bring_to_rest(system, load, say)
        found = audited(system)
        counted = system.counters()["card"].get("duplicates", 0)
        # A short run may end before the first model knows enough to decide.
        models_decided_min = MODELS_MIN if seconds else 0
        return _report(system, load, found, counted, waits(system), kinds, models_decided_min)


def _under_load(
    system: System,
    *,
    seconds: float,
    rate: float,
    workers: int,
    seed: int,
    kinds: Sequence[str],
    say: Callable[[str], None],
) -> Load:
    faults = plan(seed, seconds=seconds, kinds=kinds, workers=workers)
    simulation = ["--rate", str(rate), "--seed", str(seed), *chain.from_iterable(LABELLING.items())]
    source = system.process("producer", ["producers", "simulate", *simulation, "--json"])
    repeats = Repeats(system.settings, seed=seed)
    with source:
        with repeats:
            if not repeats.heard_any.wait(READY_S_MAX):
                raise RuntimeError(f"nothing was published: {log_tail(source.log_path)}")
            started = time.monotonic()
            strikes, failed = strike_all(system, faults, say)
            time.sleep(max(0.0, started + max(seconds, end_s(faults)) - time.monotonic()))
        source.terminate()
        lasted_s = time.monotonic() - started
    if source.exit_code or repeats.failed:
        failed.append(f"publishing failed: {repeats.failed} repeats, {log_tail(source.log_path)}")
    last_line = source.log_path.read_text().splitlines()[-1]
    return Load(lasted_s, strikes, failed, json.loads(last_line), repeats.published)


def _bring_to_rest(system: System, load: Load, say: Callable[[str], None]) -> None:
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


def _report(
    system: System,
    load: Load,
    found: dict[str, Any],
    counted: int,
    waited: Waits,
    kinds: Sequence[str],
    models_decided_min: int,
) -> dict[str, Any]:
    struck = Counter(strike.fault.kind for strike in load.strikes)
    assert system.learner is not None
    assert system.store is not None
    hosts = [system.learner, *system.workers]
    logs = b"".join(host.log_path.read_bytes() for host in hosts)
    figures = {
        "seconds": round(load.seconds, 1),
        "transactions": found["transactions"],
        "published": load.produced["transactions"],
        "repeats_published": load.repeats,
        "labels_published": load.produced["labels"],
        "duplicates": found["duplicates"],
        "duplicates_counted": counted,
        **{name: found[name] for name in TOLD},
        **{name: found[name] for name in ZEROES},
        "drained": load.drained,
        "learned": load.learned,
        "labels_left_waiting": load.labels_left_waiting,
        "faults": dict(sorted(struck.items())),
        "stages_restarted": sum(worker.restarts for worker in system.workers),
        "stopped_themselves": logs.count(STOPPED_ITSELF),
        "store_restarted": system.store.restarts,
        "learner_restarted": system.learner.restarts,
        "exit_codes": load.exit_codes,
        "longest_pause_s": longest_s(waited),
        "longest_pause_s_by_kind": longest_by_kind(load.strikes, waited),
        "pauses": pauses(load.strikes, waited),
        "examples": found["examples"] + found["learning_examples"],
    }
    problems = problems_of(figures, kinds, models_decided_min) + load.failed
    bounds = {**dict.fromkeys((*ZEROES, "labels_left_waiting"), 0), "models_min": MODELS_MIN}
    return {"figures": figures, "bounds": bounds, "problems": problems, "holds": not problems}


def problems_of(figures: dict[str, Any], kinds: Sequence[str], models_decided_min: int = MODELS_MIN) -> list[str]:
    """Return what was lost, repeated or different, and what kept the run from showing that nothing is."""
    problems = [f"{name}: {figures[name]}" for name in (*ZEROES, "labels_left_waiting") if figures[name]]
    problems += [f"{kind} never happened" for kind in kinds if not figures["faults"].get(kind)]
    problems += [
        f"{figures[one]} {one} and {figures[other]} {other}" for one, other in PAIRS if figures[one] != figures[other]
    ]
    if not figures["decisions"]:
        problems.append("nothing was decided")
    if not figures["training_records"]:
        problems.append("nothing was learned")
    least = {"snapshots": MODELS_MIN, "models_that_decided": models_decided_min}
    problems += [f"only {figures[name]} {name}" for name, number in least.items() if figures[name] < number]
    if not figures["drained"]:
        problems.append(f"not drained within {DRAIN_S_MAX:.0f} s")
    if not figures["learned"]:
        problems.append(f"not learned within {LEARN_S_MAX:.0f} s")
    if any(figures["exit_codes"]):
        problems.append(f"a process did not end in order: {figures['exit_codes']}")
    return problems
