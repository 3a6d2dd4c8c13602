"""How long decisions pause when a worker is stopped or killed, and when the broker restarts, over all partitions."""

import json
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from deploy.processes import Process, log_tail
from deploy.read_back import read_topic
from deploy.system import System
from deploy.warm_up import warm_up
from schemas.topics import CARD_STATE, DECISIONS, MERCHANT_STATE, TRANSACTIONS
from streams.detector.profile import CARD, MERCHANT
from tests.bench.state_log import fill, lives
from tests.bench.waited import Waits, first_times, longest_s, matched
from tests.faults.acts import JOINED

SIGTERM_S_MAX = 3.0
SIGKILL_OVER_SESSION_S_MAX = 6.0
BROKER_S_MAX = 15.0
SESSION_TIMEOUT_MS = 10_000
READY_S_MAX = 120.0
CALM_S = 8.0
"""Between what is done to the system and what comes next: longer than anything of it lasts."""
LAST_MS = 2_000
CARDS, MERCHANTS = 50_000, 5_000


class Acts:
    """What is done to a system under load, and when it was done."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.spans: dict[str, tuple[int, int]] = {}
        """From when to when each counts, ms."""
        self.broker_back_ms = 0
        self.exit_codes: list[int | None] = []

    def during(self, name: str, act: Callable[[], None], calm_s: float) -> None:
        """Do something, wait until it must be over, and note the span."""
        from_ms = time.time_ns() // 1_000_000
        act()
        time.sleep(calm_s)
        # Without the last payments, whose decisions may have to wait for what is done next.
        self.spans[name] = (from_ms, time.time_ns() // 1_000_000 - LAST_MS)

    def worker(self, name: str, *, restart: bool) -> Process:
        """Start a worker and wait until it has tasks."""
        worker = self.system.process(name, ["streams", "worker"], restart=restart, FRAUD_WORKER_ID=name)
        told = worker.log_path.stat().st_size if worker.log_path.exists() else 0
        self.system.workers.append(worker.start())
        deadline = time.monotonic() + READY_S_MAX
        while JOINED not in worker.log_path.read_bytes()[told:]:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{name} did not start: {log_tail(worker.log_path)}")
            time.sleep(0.1)
        return worker

    def stop(self, worker: Process) -> None:
        """End a worker by SIGTERM and keep its exit code."""
        self.exit_codes.append(worker.terminate())

    def restart_broker(self) -> None:
        """Stop the broker in order and start it again."""
        self.system.broker.restart()
        self.broker_back_ms = time.time_ns() // 1_000_000


def run(*, rate: float = 200, cards: int = CARDS, broker: bool = True) -> dict[str, Any]:
    """Let payments come while one of two workers is stopped, is back, is killed, and while the broker restarts."""
    data_dir = Path(tempfile.mkdtemp(prefix="fraud-recovery-"))
    try:
        with System(data_dir, workers=0, worker_session_timeout_ms=SESSION_TIMEOUT_MS) as system:
            warm_up(system.settings)
            _fill(system, cards)
            acts = Acts(system)
            acts.worker("worker-1", restart=True)
            second = acts.worker("worker-2", restart=False)
            if not system.wait_until_ready(READY_S_MAX):
                raise RuntimeError(f"the workers did not start: {log_tail(second.log_path)}")
            source = system.process("producer", ["producers", "simulate", "--rate", str(rate), "--seed", "1", "--json"])
            with source:
                time.sleep(2 * CALM_S)
                acts.during("sigterm", lambda: acts.stop(second), CALM_S)
                killed: list[Process] = []
                acts.during("join", lambda: killed.append(acts.worker("worker-2", restart=False)), CALM_S)
                acts.during("sigkill", killed[0].kill, SESSION_TIMEOUT_MS / 1000 + CALM_S)
                acts.during("join_again", lambda: killed.append(acts.worker("worker-2", restart=True)), CALM_S)
                if broker:
                    acts.during("broker", acts.restart_broker, BROKER_S_MAX + CALM_S)
                source.terminate()
            drained = system.wait_until_drained(READY_S_MAX)
            for worker in system.workers:
                if worker.running:
                    acts.stop(worker)
            found = _found(system)
            restarts = sum(worker.restarts for worker in system.workers)
            logs = [path.read_text() for path in sorted(system.logs_dir.glob("worker-*.log"))]
    finally:
        shutil.rmtree(data_dir, ignore_errors=True)
    told = [line for log in logs for line in log.splitlines() if "] opened " in line]
    figures = _figures(acts, found)
    figures |= {"cards": cards, "drained": drained, "restarted_themselves": restarts}
    figures["opened"] = [line.partition("] ")[2] for line in told]
    figures["holds"] = figures["holds"] and drained
    return figures


def _fill(system: System, cards: int) -> None:
    until_ms = time.time_ns() // 1_000_000
    names = (f"card_{number:08x}" for number in range(cards))
    fill(system.settings, CARD_STATE, names, lives(CARD, payments=10, until_ms=until_ms))
    merchants = (f"mer_filled-{number}" for number in range(cards * MERCHANTS // CARDS))
    fill(system.settings, MERCHANT_STATE, merchants, lives(MERCHANT, payments=100, until_ms=until_ms))


class Found(NamedTuple):
    """What came of the payments: waits, when something was decided by partition, and how many there are of each."""

    waits: Waits
    decided_at_ms: dict[str, list[int]]
    published: int
    decided: int


def _found(system: System) -> Found:
    transactions = read_topic(system.settings, TRANSACTIONS.name)
    decisions = read_topic(system.settings, DECISIONS.name)
    published, decided = first_times(transactions), first_times(decisions)
    at_ms: defaultdict[str, list[int]] = defaultdict(list)
    # Each decision counts for the partition of its card and for that of its merchant: both had to be at work.
    for topic, messages in (("card", transactions), ("merchant", decisions)):
        for message in messages:
            identity = message.key(), json.loads(message.value())["transaction_id"]
            if identity in decided:
                at_ms[f"{topic}-{message.partition()}"].append(decided[identity])
    return Found(matched(published, decided), dict(at_ms), len(published), len(decisions))


def longest_pause_s(decided_at_ms: Iterable[list[int]], from_ms: int, until_ms: int) -> float:
    """Return the longest time within a span in which nothing was decided in some partition, s.

    >>> longest_pause_s([[900, 1_100, 1_900], [1_000, 1_500, 2_000, 9_000]], 1_000, 2_000)
    0.8
    """
    longest = 0
    for times in decided_at_ms:
        inside = sorted(at_ms for at_ms in times if from_ms < at_ms < until_ms)
        longest = max(longest, *(after - before for before, after in pairwise([from_ms, *inside, until_ms])))
    return longest / 1000


def _figures(acts: Acts, found: Found) -> dict[str, Any]:
    spans = dict(acts.spans)
    bounds = {"sigterm": SIGTERM_S_MAX, "sigkill": SESSION_TIMEOUT_MS / 1000 + SIGKILL_OVER_SESSION_S_MAX}
    if acts.broker_back_ms:
        spans["broker"] = (acts.broker_back_ms, spans["broker"][1])
        bounds["broker"] = BROKER_S_MAX
    partitions = found.decided_at_ms.values()
    longest = {name: longest_pause_s(partitions, *span) for name, span in spans.items()}
    before = (acts.spans["sigterm"][0] - int(1000 * CALM_S), acts.spans["sigterm"][0])
    return {
        "published": found.published,
        "decided": found.decided,
        "partitions": len(partitions),
        "longest_pause_s": longest,
        "longest_pause_s_before": longest_pause_s(partitions, *before),
        "longest_wait_s": {name: longest_s(found.waits, *span) for name, span in acts.spans.items()},
        "exit_codes": acts.exit_codes,
        "bounds": {"longest_pause_s": bounds, "decided": found.published},
        "holds": found.decided == len(found.waits) == found.published
        and all(longest[name] <= bound for name, bound in bounds.items())
        and not any(acts.exit_codes),
    }
