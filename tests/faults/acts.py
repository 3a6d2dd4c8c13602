"""What each kind of fault does to the system when it begins and when it ends."""

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from deploy.processes import Process, log_tail
from tests.faults.plan import KINDS, Fault
from tests.faults.points import arm, disarm
from tests.faults.system import FaultySystem

RESTART_S_MAX = 10.0
JOIN_S_MAX = 40.0
NOTICED_S_MAX = 8.0
"""How long the end of a fault waits for its point to be reached."""
DISK_NOTICED_S_MAX = 90.0
"""And for the store to say that its disk is full: it may be starting again after a broker that was away a minute."""
JOINED = b"] opened "
"""What a worker logs when it has its tasks."""
STORE_WAITS = b" wait for the store"
"""What the sink and the label join log when they cannot store or read."""
LEFT = (0, os.EX_SOFTWARE)
"""What a worker ends with that was told to leave: in order, or fenced just then, by a broker that was away too long."""


class NotStruckError(Exception):
    """A fault could not begin or end as it should."""


class Strike(NamedTuple):
    """A fault that has happened, by the wall clock in ms, and what came of it."""

    fault: Fault
    began_at_ms: int
    ended_at_ms: int
    happened: str


class Act(NamedTuple):
    """What begins a fault and what ends it; each says what happened, or raises NotStruckError."""

    begin: Callable[[FaultySystem, Fault], str]
    end: Callable[[FaultySystem, Fault], str] = lambda _system, _fault: ""


def alive(process: Process) -> Process:
    """Wait until a process that is just being restarted has a pid."""
    if not _within(RESTART_S_MAX, lambda: process.pid is not None):
        raise NotStruckError(f"{process.log_path.stem} does not run")
    return process


def _within(seconds: float, holds: Callable[[], bool]) -> bool:
    """Wait until something holds, and return whether it does."""
    deadline = time.monotonic() + seconds
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return held


def _victim(system: FaultySystem, fault: Fault) -> Process:
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


def _kill(system: FaultySystem, fault: Fault) -> str:
    victim = _victim(system, fault)
    victim.kill()
    return f"{victim.log_path.stem} killed"


def _arm(system: FaultySystem, fault: Fault) -> str:
    assert fault.point
    victim = _victim(system, fault)
    arm(system.point_file(victim), fault.point, fault.passes)
    return victim.log_path.stem


def _killed_at_point(system: FaultySystem, fault: Fault) -> str:
    victim = _victim(system, fault)
    path = system.point_file(victim)
    _within(NOTICED_S_MAX, lambda: not path.exists())
    if disarm(path):
        victim.kill()
        return f"killed before it came to pass {fault.passes} of {fault.point!r}"
    return f"killed at pass {fault.passes} of {fault.point!r}"


def _pause(system: FaultySystem, fault: Fault) -> str:
    victim = _victim(system, fault)
    victim.pause()
    return victim.log_path.stem


def _resume(system: FaultySystem, fault: Fault) -> str:
    _victim(system, fault).resume()
    return "slept"


def _leave_and_bring_two(system: FaultySystem, fault: Fault) -> str:
    leaver = _victim(system, fault)
    # One that was just started again has not learned yet to return 0.
    if (code := leaver.terminate()) not in (*LEFT, -signal.SIGTERM):
        leaver.start()
        raise NotStruckError(f"{leaver.log_path.stem} ended with {code}: {log_tail(leaver.log_path)}")
    system.start_workers(2)
    return f"{leaver.log_path.stem} left, two came"


def _two_leave_and_one_comes(system: FaultySystem, fault: Fault) -> str:
    leaver, newcomers = system.workers[fault.worker or 0], system.workers[-2:]
    joined = _within(JOIN_S_MAX, lambda: all(JOINED in each.log_path.read_bytes() for each in newcomers))
    ended = [each.terminate() for each in newcomers]
    leaver.start()
    if not joined or any(code not in LEFT for code in ended):
        raise NotStruckError(f"newcomers joined: {joined}, ended with {ended}")
    return "both left, it came back"


def _start_broker(system: FaultySystem, _fault: Fault) -> str:
    system.broker.start()
    return "started again"


def _fill(system: FaultySystem, _fault: Fault) -> str:
    if system.disk is None or system.store is None:
        raise NotStruckError("the store has no disk of its own")
    system.disk.log_was = system.store.log_path.stat().st_size
    system.disk.fill()
    return "full"


def _free(system: FaultySystem, _fault: Fault) -> str:
    disk, store = system.disk, system.store
    assert disk
    assert store

    def said() -> int:
        return store.log_path.read_bytes()[disk.log_was :].count(STORE_WAITS)

    _within(DISK_NOTICED_S_MAX, lambda: bool(said()))
    disk.free()
    waited = said()
    if not waited:
        raise NotStruckError("the store never said that records wait")
    return f"the store said {waited} times that records or labels wait for it"


def _poison(system: FaultySystem, fault: Fault) -> str:
    assert system.gateway
    return f"{system.gateway.poison(fault.lasts_s)} bad records"


def _poisoned(system: FaultySystem, _fault: Fault) -> str:
    assert system.gateway
    gateway = system.gateway
    if not _within(RESTART_S_MAX, lambda: not gateway.bad_left):
        raise NotStruckError(f"{system.gateway.bad_left} bad records were not sent")
    return "sent"


def _mischief(system: FaultySystem, fault: Fault) -> str:
    assert system.gateway
    system.gateway.begin(fault.kind)
    return "begun"


def _told(system: FaultySystem, fault: Fault) -> str:
    assert system.gateway
    return ", ".join(f"{name} {number}" for name, number in system.gateway.played(fault.kind).items())


ACTS: Mapping[str, Act] = {
    "kill": Act(_kill),
    "kill-point": Act(_arm, _killed_at_point),
    "pause": Act(_pause, _resume),
    "store-pause": Act(_pause, _resume),
    "learner-pause": Act(_pause, _resume),
    "rebalance": Act(_leave_and_bring_two, _two_leave_and_one_comes),
    "broker-kill": Act(_kill, _start_broker),
    "broker-freeze": Act(_pause, _resume),
    "store-kill": Act(_kill),
    "store-point": Act(_arm, _killed_at_point),
    "disk": Act(_fill, _free),
    "learner-kill": Act(_kill),
    "learner-point": Act(_arm, _killed_at_point),
    "poison": Act(_poison, _poisoned),
    "duplicate": Act(_mischief, _told),
    "late": Act(_mischief, _told),
}


def strike_all(
    system: FaultySystem, faults: Sequence[Fault], say: Callable[[str], None] = lambda _line: None
) -> tuple[list[Strike], list[str]]:
    """Carry out a plan from now on; return what happened, and what could not be done."""
    start_s = time.monotonic()
    moments = sorted(
        [(fault.at_s, 0, fault) for fault in faults] + [(fault.until_s, 1, fault) for fault in faults],
        key=lambda moment: moment[:2],
    )
    began: dict[Fault, tuple[int, str]] = {}
    strikes, failed = [], []
    for at_s, ends, fault in moments:
        if ends and fault not in began:
            continue
        time.sleep(max(0.0, start_s + at_s - time.monotonic()))
        now_ms = time.time_ns() // 1_000_000
        act = ACTS[fault.kind]
        try:
            happened = (act.end if ends else act.begin)(system, fault)
        except (NotStruckError, RuntimeError) as error:
            happened = f"could not {'end' if ends else 'begin'}: {error}"
            failed.append(f"{fault.kind} at {fault.at_s:.1f} s {happened}")
            if not ends:
                continue
        say(f"{at_s:.1f} s: {fault.kind} {'ends' if ends else 'begins'}: {happened}")
        if ends:
            began_at_ms, begun = began[fault]
            told = ", ".join(filter(None, (begun, happened)))
            strikes.append(Strike(fault, began_at_ms, time.time_ns() // 1_000_000, told))
        else:
            began[fault] = now_ms, happened
    return sorted(strikes, key=lambda strike: strike.began_at_ms), failed
