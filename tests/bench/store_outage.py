"""The store is stopped for a minute under load: decisions take as long as ever, and no row is missing afterwards."""

import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from deploy.audit import audit_answers
from deploy.processes import log_tail
from deploy.read_back import read_topic
from deploy.system import System
from deploy.warm_up import warm_up
from schemas.topics import DECISIONS, TRANSACTIONS
from tests.bench.waited import Waits, first_times, matched

RATIO_MAX = 1.5
PAIRS = 3
SETTLE_S = 15.0
"""Before the first window: the broker and the workers get warm."""
CATCH_UP_S = 20.0
"""After an outage, before the next window: what was missed is stored. It belongs to the outage's window."""
READY_S_MAX = 120.0


def run(*, seconds: float = 60, rate: float = 200, pairs: int = PAIRS) -> dict[str, Any]:
    """Measure spans with the embedded store stopped and without in turn, and compare their 99th percentiles."""
    data_dir = Path(tempfile.mkdtemp(prefix="fraud-store-outage-"))
    spans: dict[str, list[tuple[int, int]]] = {"without": [], "with": []}
    try:
        with System(data_dir, workers=1) as system:
            warm_up(system.settings)
            system.start_workers()
            system.start_store()
            if not system.wait_until_ready(READY_S_MAX):
                raise RuntimeError(f"the worker did not start: {log_tail(system.workers[0].log_path)}")
            source = system.process("producer", ["producers", "simulate", "--rate", str(rate), "--seed", "1", "--json"])
            with source:
                time.sleep(SETTLE_S)
                for _ in range(pairs):
                    for name, measured in spans.items():
                        measured.append(_span(system, seconds, stopped=name == "with"))
                source.terminate()
            drained = system.wait_until_drained(READY_S_MAX)
            for worker in system.workers:
                worker.terminate()
            system.stop_store()
            answers = audit_answers(system)
            waited = _waits(system)
    finally:
        shutil.rmtree(data_dir, ignore_errors=True)
    p99 = {name: [_p99(waited, *span) for span in each] for name, each in spans.items()}
    ratios = [round(stopped / calm, 3) for stopped, calm in zip(p99["with"], p99["without"], strict=True)]
    ratio = statistics.median(ratios)
    return {
        "transactions": answers.transactions,
        "decisions_missing": answers.decisions_missing,
        "decisions_repeated": answers.decisions_repeated,
        "predictions_stored": answers.predictions_stored,
        "rows_missing": answers.predictions_missing,
        "p99_ms": p99,
        "ratios": ratios,
        "ratio": ratio,
        "bounds": {"ratio": RATIO_MAX, "rows_missing": 0, "decisions_missing": 0, "decisions_repeated": 0},
        "holds": drained and answers.complete and ratio <= RATIO_MAX,
    }


def _span(system: System, seconds: float, *, stopped: bool) -> tuple[int, int]:
    """Let payments come for a while, the store stopped or not, and return from when to when they were published."""
    from_ms = time.time_ns() // 1_000_000
    if stopped:
        assert system.store is not None
        system.store.terminate(grace_s=0)  # as hard as it comes
    time.sleep(seconds)
    if stopped:
        system.start_store()
    time.sleep(CATCH_UP_S)
    return from_ms, time.time_ns() // 1_000_000


def _waits(system: System) -> Waits:
    settings = system.settings
    published, decided = (first_times(read_topic(settings, topic.name)) for topic in (TRANSACTIONS, DECISIONS))
    return matched(published, decided)


def _p99(found: Waits, from_ms: int, until_ms: int) -> float:
    waited = sorted(wait_ms for at_ms, wait_ms in found if from_ms <= at_ms < until_ms)
    return max(1.0, float(waited[int(0.99 * len(waited))]))
