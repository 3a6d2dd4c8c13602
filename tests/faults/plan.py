"""Which fault strikes when and whom: drawn from a seed before the run begins. Pure."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

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

Victim = Literal["a worker", "the store", "the learner", "a newcomer", "the broker"]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault: whom it strikes, and least and most seconds from its begin to its end."""

    victim: Victim
    lasts_s: tuple[float, float] = (0.0, 0.0)

    @property
    def strikes_worker(self) -> bool:
        """Whether one of several is drawn."""
        return self.victim == "a worker"


KINDS: Mapping[str, Kind] = {
    "kill": Kind("a worker"),
    "pause": Kind("a worker", BEYOND_SESSION_S),
    "rebalance": Kind("a newcomer", (6.0, 10.0)),
    # One process: the sink and the label join die, or sleep, at once.
    "store": Kind("the store"),
    "store-pause": Kind("the store", BEYOND_SESSION_S),
    "learner": Kind("the learner"),
    "learner-pause": Kind("the learner", BEYOND_SESSION_S),
    "broker": Kind("the broker", (0.5, 3.0)),
}
DEFAULT_KINDS = tuple(kind for kind in KINDS if kind != "broker")


@dataclass(frozen=True, slots=True)
class Fault:
    """One planned fault; times in seconds from the first transaction. `worker` is an index where one is struck."""

    kind: str
    at_s: float
    lasts_s: float
    worker: int | None = None

    @property
    def until_s(self) -> float:
        """When it ends."""
        return self.at_s + self.lasts_s


def plan(seed: int, *, seconds: float, kinds: Sequence[str], workers: int) -> list[Fault]:
    """Return faults in order: every kind once in a drawn order, then drawn kinds as long as they end within `seconds`.

    Where the time is too short for the first round, the plan is longer than it.

    >>> [fault.kind for fault in plan(1, seconds=0, kinds=["kill", "pause"], workers=2)]
    ['kill', 'pause']
    """
    chance = random.Random(seed)
    faults: list[Fault] = []
    at_s = FIRST_AT_S
    for kind in chance.sample(kinds, len(kinds)):
        faults.append(_drawn(chance, kind, at_s, faults, workers))
        at_s = _next_s(chance, faults)
    while kinds:
        fault = _drawn(chance, chance.choice(kinds), at_s, faults, workers)
        if fault.until_s > seconds:
            break
        faults.append(fault)
        at_s = _next_s(chance, faults)
    return sorted(faults, key=lambda fault: fault.at_s)


def end_s(faults: Sequence[Fault]) -> float:
    """Return when the last fault has ended and the system has had its longest rest."""
    return max((fault.until_s for fault in faults), default=0.0) + REST_S[1]


def _next_s(chance: random.Random, faults: Sequence[Fault]) -> float:
    if chance.random() < OVERLAP_SHARE:
        return faults[-1].at_s + chance.uniform(*OVERLAP_AFTER_S)
    return max(fault.until_s for fault in faults) + chance.uniform(*REST_S)


def _drawn(chance: random.Random, name: str, at_s: float, faults: Sequence[Fault], workers: int) -> Fault:
    kind = KINDS[name]
    # Twice the same at once is one fault, not two, and a kill ends a pause: the second waits for the end of the first.
    # Of several workers another can be struck meanwhile.
    same = [
        each
        for each in faults
        if each.kind == name or (KINDS[each.kind].victim == kind.victim and not kind.strikes_worker)
    ]
    at_s = max([at_s, *(fault.until_s + REST_S[0] for fault in same)])
    worker = None
    if kind.strikes_worker:
        paused = {fault.worker: fault.until_s for fault in faults if fault.kind == "pause" and fault.until_s > at_s}
        awake = [index for index in range(workers) if index not in paused]
        if not awake:  # whom a pause holds can be struck when it is over
            at_s = min(paused.values()) + REST_S[0]
            awake = [index for index in range(workers) if paused.get(index, 0.0) <= at_s]
        worker = chance.choice(awake)
    return Fault(name, at_s, chance.uniform(*kind.lasts_s), worker)
