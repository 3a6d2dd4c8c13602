"""Chance: the one source of randomness of a run, and the points at which a process may die or be suspended."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

DEPTH_MAX = 3
"""How many processes may be suspended inside a call at a time."""


class KilledError(BaseException):
    """The process is dead. Not an Exception: no code under test may catch it, as none can catch SIGKILL."""


class Mortal(Protocol):
    """A process."""

    alive: bool

    def kill(self) -> None:
        """End it, with everything it has in memory."""


@dataclass(frozen=True, slots=True)
class Rates:
    """How often what goes wrong, each as a probability per point or call."""

    kill: float = 0.008
    interlude: float = 0.06
    commit_refused: float = 0.02
    commit_delayed: float = 0.03
    answer_lost: float = 0.03
    unready: float = 0.1


CALM = Rates(0, 0, 0, 0, 0, 0)


def _nothing() -> None:
    """Let nothing happen in an interlude."""


class Chance:
    """Decides, from a seed, what happens. In an interlude other processes run while this one stands still."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.rates = Rates()
        self.seen: Counter[str] = Counter()
        """What happened how often, so that a test can tell that the simulation is not idle."""
        self.interlude: Callable[[], None] = _nothing
        self._depth = 0

    def happens(self, rate: float) -> bool:
        """Return whether something of this probability happens."""
        return rate > 0 and self.random.random() < rate

    def point(self, process: Mortal, where: str) -> None:
        """Stand between two effects of a process: it may die here, or be suspended for a while."""
        if process.alive and self.rates is not CALM:
            roll = self.random.random()
            if roll < self.rates.kill:
                process.kill()
                self.seen[f"killed {where}"] += 1
            elif roll < self.rates.kill + self.rates.interlude and self._depth < DEPTH_MAX:
                self._depth += 1
                self.seen[f"suspended {where}"] += 1
                for _ in range(self.random.choice((1, 2, 3, 8, 25))):
                    self.interlude()
                self._depth -= 1
        if not process.alive:
            raise KilledError
