"""Which fault strikes when, whom and where: drawn from a seed before the run begins. Pure."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tests.faults.points import POINTS

SESSION_TIMEOUT_S = 6.0
"""How long a silent worker keeps its partitions in a fault run."""

FIRST_AT_S = 3.0
REST_S = (3.0, 7.0)
"""Least and most time between the end of a fault and the next one."""
OVERLAP_SHARE = 0.25
"""Share of faults that begin while the one before still lasts, or just after it."""
OVERLAP_AFTER_S = (0.2, 4.0)
BEYOND_SESSION_S = (SESSION_TIMEOUT_S + 4.0, SESSION_TIMEOUT_S + 8.0)
"""Least and most length of a pause: another has taken over, or at least the sleeper is out of its group."""
LASTS_SHARE_MAX = 0.1
"""No fault lasts longer than this share of the run, or than a pause."""

Victim = Literal["a worker", "the store", "the learner", "the broker", "the topics", "the gateway"]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault.

    Parameters
    ----------
    asked_as : the name under which it is asked for, with others.
    does : what it does to its victim.
    often : how many of it there are in each round after the first.
    lasts_s : least and most seconds from its begin to its end; None: as long as the run.
    """

    asked_as: str
    victim: Victim
    does: str
    often: int = 1
    lasts_s: tuple[float, float] | None = (0.0, 0.0)

    @property
    def strikes_worker(self) -> bool:
        """Whether one of several is drawn."""
        return self.victim == "a worker"

    @property
    def kills(self) -> bool:
        """Whether it ends a process by SIGKILL."""
        return "SIGKILL" in self.does

    @property
    def pauses(self) -> bool:
        """Whether it stops a process of ours by SIGSTOP for longer than its session."""
        return "SIGSTOP" in self.does and self.victim != "the broker"


AT_A_POINT_S = (3.0, 6.0)
PAUSE = "SIGSTOP past the session time-out, then SIGCONT"

KINDS: Mapping[str, Kind] = {
    "kill": Kind("kill", "a worker", "SIGKILL", 4),
    "kill-point": Kind("kill", "a worker", "SIGKILL at a named point", 4, AT_A_POINT_S),
    "pause": Kind("pause", "a worker", PAUSE, 3, BEYOND_SESSION_S),
    # One process: the sink and the label join die, or sleep, at once.
    "store-pause": Kind("pause", "the store", PAUSE, 1, BEYOND_SESSION_S),
    "learner-pause": Kind("pause", "the learner", PAUSE, 1, BEYOND_SESSION_S),
    "rebalance": Kind("rebalance", "a worker", "it leaves, two others come and leave, it comes back", 1, (12.0, 16.0)),
    "broker-kill": Kind("broker", "the broker", "SIGKILL, then a restart", 1, (0.5, 3.0)),
    "broker-freeze": Kind("broker", "the broker", "SIGSTOP, then SIGCONT", 1, (60.0, 60.0)),
    "store-kill": Kind("clickhouse", "the store", "SIGKILL", 1),
    "store-point": Kind("clickhouse", "the store", "SIGKILL at a named point", 3, AT_A_POINT_S),
    "disk": Kind("disk", "the store", "its disk is full, then has room again", 1, (8.0, 14.0)),
    "learner-kill": Kind("learner", "the learner", "SIGKILL", 1),
    "learner-point": Kind("learner", "the learner", "SIGKILL at a named point", 2, AT_A_POINT_S),
    "poison": Kind("poison", "the topics", "every bad record that we know, among good ones", 1, (5.0, 8.0)),
    "duplicate": Kind("duplicate", "the gateway", "sends again: A, A and A, B, A, up to 15 s later", 0, None),
    "late": Kind("late", "the gateway", "sends late and out of order, and by clocks a day off", 0, None),
}
NAMES = tuple(dict.fromkeys(kind.asked_as for kind in KINDS.values()))
"""What can be asked for."""


def kinds_of(names: Iterable[str]) -> tuple[str, ...]:
    """Return the kinds that are asked for by these names.

    >>> kinds_of(["broker"])
    ('broker-kill', 'broker-freeze')
    """
    asked = set(names)
    return tuple(name for name, kind in KINDS.items() if kind.asked_as in asked)


@dataclass(frozen=True, slots=True)
class Fault:
    """One planned fault; times in seconds from the first transaction.

    `worker` is an index where one is struck; `point` names where it dies, at the `passes`-th time it comes by.
    """

    kind: str
    at_s: float
    lasts_s: float
    worker: int | None = None
    point: str | None = None
    passes: int = 0

    @property
    def until_s(self) -> float:
        """When it ends."""
        return self.at_s + self.lasts_s


def plan(
    seed: int, *, seconds: float, kinds: Sequence[str], workers: int, rest_s: tuple[float, float] = REST_S
) -> list[Fault]:
    """Return faults in order: every kind once in a drawn order, then rounds in which each comes as often as it says.

    No round goes beyond `seconds`; where the time is too short for the first, the plan is longer than it. What lasts
    throughout lasts as long as the rest of the plan, or `seconds`.

    >>> [fault.kind for fault in plan(1, seconds=0, kinds=["kill", "pause"], workers=2)]
    ['kill', 'pause']
    """
    chance = random.Random(seed)
    faults: list[Fault] = []
    striking = [kind for kind in kinds if KINDS[kind].lasts_s]
    again = [kind for kind in striking for _ in range(KINDS[kind].often)]
    at_s = FIRST_AT_S
    lasts_s_max = max(BEYOND_SESSION_S[1], LASTS_SHARE_MAX * seconds)
    order = chance.sample(striking, len(striking))
    first = True
    while order:
        for kind in order:
            fault = _drawn(chance, kind, at_s, faults, workers, lasts_s_max, rest_s[0])
            if not first and fault.until_s > seconds:
                order = []
                break
            faults.append(fault)
            at_s = _next_s(chance, faults, rest_s)
        else:
            first, order = False, chance.sample(again, len(again))
    end_s = max([seconds, *(fault.until_s for fault in faults)])
    faults += [Fault(kind, 0.0, end_s) for kind in kinds if not KINDS[kind].lasts_s]
    return sorted(faults, key=lambda fault: fault.at_s)


def end_s(faults: Sequence[Fault], rest_s: tuple[float, float] = REST_S) -> float:
    """Return when the last fault has ended and the system has had its longest rest."""
    return max((fault.until_s for fault in faults), default=0.0) + rest_s[1]


def _next_s(chance: random.Random, faults: Sequence[Fault], rest_s: tuple[float, float]) -> float:
    if chance.random() < OVERLAP_SHARE:
        return faults[-1].at_s + chance.uniform(*OVERLAP_AFTER_S)
    return max(fault.until_s for fault in faults) + chance.uniform(*rest_s)


def clash(one: str, other: str) -> bool:
    """Return whether two kinds must not overlap.

    Twice the same at once is one fault, not two, and a kill ends a pause: the second waits for the end of the first.
    Of several workers another can be struck meanwhile; but none joins or leaves a group that has no broker.

    >>> clash("disk", "store-kill"), clash("kill", "pause"), clash("rebalance", "broker-freeze")
    (True, False, True)
    """
    kinds = KINDS[one], KINDS[other]
    same_victim = kinds[0].victim == kinds[1].victim and not kinds[0].strikes_worker
    return one == other or same_victim or {kind.asked_as for kind in kinds} == {"rebalance", "broker"}


def _drawn(
    chance: random.Random,
    name: str,
    at_s: float,
    faults: Sequence[Fault],
    workers: int,
    lasts_s_max: float,
    apart_s: float,
) -> Fault:
    kind = KINDS[name]
    assert kind.lasts_s is not None
    at_s = max([at_s, *(fault.until_s + apart_s for fault in faults if clash(name, fault.kind))])
    worker = None
    if kind.strikes_worker:
        held = {each.worker: each.until_s for each in faults if each.worker is not None and each.until_s > at_s}
        free = [index for index in range(workers) if index not in held]
        if not free:  # whoever is held can be struck when that is over
            at_s = min(held.values()) + apart_s
            free = [index for index in range(workers) if held.get(index, 0.0) <= at_s]
        worker = chance.choice(free)
    lasts_s = min(chance.uniform(*kind.lasts_s), lasts_s_max)
    if "point" not in kind.does:
        return Fault(name, at_s, lasts_s, worker)
    point = chance.choice(POINTS[kind.victim])
    return Fault(name, at_s, lasts_s, worker, point.name, chance.randint(1, point.passes_max))
