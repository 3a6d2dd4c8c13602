"""What each kind of fault does to the system when it begins and when it ends."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from deploy.processes import Process
from deploy.system import System
from tests.faults.plan import KINDS, Fault

RESTART_S_MAX = 10.0
JOIN_S_MAX = 30.0
JOINED = b"] opened "
"""What a worker logs when it has its tasks."""


class Strike(NamedTuple):
    """A fault that has happened, by the wall clock in ms."""

    fault: Fault
    began_at_ms: int
    ended_at_ms: int


class Act(NamedTuple):
    """What begins a fault and what ends it; each returns False where it could not be done."""

    begin: Callable[[System, Fault], bool]
    end: Callable[[System, Fault], bool] = lambda _system, _fault: True


def alive(process: Process) -> Process:
    """Wait until a process that is just being restarted has a pid."""
    deadline = time.monotonic() + RESTART_S_MAX
    while process.pid is None and time.monotonic() < deadline:
        time.sleep(0.02)
    return process


def _victim(system: System, fault: Fault) -> Process:
    """Return whom a fault strikes, running."""
    victims = {
        "a worker": system.workers[fault.worker or 0],
        "the store": system.store,
        "the learner": system.learner,
        "the broker": system.broker,
    }
    victim = victims[KINDS[fault.kind].victim]
    assert victim is not None
    return alive(victim)


def _kill(system: System, fault: Fault) -> bool:
    victim = _victim(system, fault)
    struck = victim.pid is not None
    victim.kill()
    return struck


def _pause(system: System, fault: Fault) -> bool:
    victim = _victim(system, fault)
    victim.pause()
    return victim.pid is not None


def _resume(system: System, fault: Fault) -> bool:
    _victim(system, fault).resume()
    return True


def _start_another_worker(system: System, _fault: Fault) -> bool:
    system.start_workers(1)
    return True


def _end_the_other_worker(system: System, _fault: Fault) -> bool:
    worker = system.workers[-1]
    deadline = time.monotonic() + JOIN_S_MAX
    while not (joined := JOINED in worker.log_path.read_bytes()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return worker.terminate() == 0 and joined


def _start_broker(system: System, _fault: Fault) -> bool:
    return system.broker.start().running


ACTS: Mapping[str, Act] = {
    "kill": Act(_kill),
    "pause": Act(_pause, _resume),
    "rebalance": Act(_start_another_worker, _end_the_other_worker),
    "store": Act(_kill),
    "store-pause": Act(_pause, _resume),
    "learner": Act(_kill),
    "learner-pause": Act(_pause, _resume),
    "broker": Act(_kill, _start_broker),
}


def strike_all(
    system: System, faults: Sequence[Fault], say: Callable[[str], None] = lambda _line: None
) -> tuple[list[Strike], list[str]]:
    """Carry out a plan from now on; return what happened, and what could not be done."""
    start_s = time.monotonic()
    moments = sorted(
        [(fault.at_s, 0, fault) for fault in faults] + [(fault.until_s, 1, fault) for fault in faults],
        key=lambda moment: moment[:2],
    )
    began_at_ms: dict[Fault, int] = {}
    strikes, failed = [], []
    for at_s, ends, fault in moments:
        time.sleep(max(0.0, start_s + at_s - time.monotonic()))
        now_ms = time.time_ns() // 1_000_000
        say(f"{at_s:.1f} s: {fault.kind} {'ends' if ends else 'begins'}")
        act = ACTS[fault.kind]
        done = (act.end if ends else act.begin)(system, fault)
        if not done:
            failed.append(f"{fault.kind} at {fault.at_s:.1f} s: could not {'end' if ends else 'begin'} in order")
        if ends:
            strikes.append(Strike(fault, began_at_ms[fault], now_ms))
        else:
            began_at_ms[fault] = now_ms
    return sorted(strikes, key=lambda strike: strike.began_at_ms), failed
