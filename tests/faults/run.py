"""A live system under a plan of faults, and everything it wrote against the oracle."""

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.broker import Broker
from deploy.processes import log_tail
from deploy.system import System
from tests.bench.audited import ZEROES, audited
from tests.faults.acts import Strike, strike_all
from tests.faults.plan import DEFAULT_KINDS, SESSION_TIMEOUT_S, end_s, plan
from tests.faults.repeats import Repeats
from tests.faults.waits import Waits, longest_by_kind, longest_s, pauses, waits

READY_S_MAX = 120.0
DRAIN_S_MAX = 120.0
STOPPED_ITSELF = b" stopping: "


@dataclass
class Load:
    """What was published and done while the faults struck."""

    seconds: float
    strikes: list[Strike]
    failed: list[str]
    produced: dict[str, Any]
    repeats: int
    drained: bool = False
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
    ) as system:
        system.start_workers()
        system.start_sink()
        if not system.wait_until_ready(READY_S_MAX):
            raise RuntimeError(f"the workers did not start: {log_tail(system.workers[0].log_path)}")
        load = _under_load(system, seconds=seconds, rate=rate, workers=workers, seed=seed, kinds=kinds, say=say)
        load.drained = system.wait_until_drained(DRAIN_S_MAX)
        say("drained" if load.drained else "not drained")
        load.exit_codes = [worker.terminate() for worker in system.workers]
        system.stop_sink()
        found = audited(system)
        counted = system.counters()["card"].get("duplicates", 0)
        return _report(system, load, found, counted, waits(system), kinds)


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
    simulation = ["--rate", str(rate), "--seed", str(seed), "--label-delay", "5s"]
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


def _report(
    system: System, load: Load, found: dict[str, Any], counted: int, waited: Waits, kinds: Sequence[str]
) -> dict[str, Any]:
    struck = Counter(strike.fault.kind for strike in load.strikes)
    logs = b"".join(path.read_bytes() for path in system.logs_dir.glob("worker-*.log"))
    figures = {
        "seconds": round(load.seconds, 1),
        "transactions": found["transactions"],
        "published": load.produced["transactions"],
        "repeats_published": load.repeats,
        "duplicates": found["duplicates"],
        "duplicates_counted": counted,
        **{name: found[name] for name in ("decisions", "predictions", "labels", "dead_letters", "refused", "stored")},
        **{name: found[name] for name in ZEROES},
        "drained": load.drained,
        "faults": dict(sorted(struck.items())),
        "stages_restarted": sum(worker.restarts for worker in system.workers),
        "stopped_themselves": logs.count(STOPPED_ITSELF),
        "sink_restarted": system.sink.restarts if system.sink else 0,
        "exit_codes": load.exit_codes,
        "longest_pause_s": longest_s(waited),
        "longest_pause_s_by_kind": longest_by_kind(load.strikes, waited),
        "pauses": pauses(load.strikes, waited),
        "examples": found["examples"],
    }
    problems = problems_of(figures, kinds) + load.failed
    bounds = dict.fromkeys(ZEROES, 0)
    return {"figures": figures, "bounds": bounds, "problems": problems, "holds": not problems}


def problems_of(figures: dict[str, Any], kinds: Sequence[str]) -> list[str]:
    """Return what was lost, repeated or different, and what kept the run from showing that nothing is."""
    problems = [f"{name}: {figures[name]}" for name in ZEROES if figures[name]]
    problems += [f"{kind} never happened" for kind in kinds if not figures["faults"].get(kind)]
    pairs = (
        ("transactions", "published"), ("decisions", "transactions"), ("stored", "predictions"),
        ("duplicates", "repeats_published"), ("duplicates_counted", "duplicates"),
    )  # fmt: skip
    problems += [
        f"{figures[one]} {one} and {figures[other]} {other}" for one, other in pairs if figures[one] != figures[other]
    ]
    if not figures["decisions"]:
        problems.append("nothing was decided")
    if not figures["drained"]:
        problems.append(f"not drained within {DRAIN_S_MAX:.0f} s")
    if any(figures["exit_codes"]):
        problems.append(f"a worker did not end in order: {figures['exit_codes']}")
    return problems
