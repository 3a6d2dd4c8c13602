"""Waiting until all that was published is decided, stored, joined and learned, and saying how far it is. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Protocol

LOOK_S = 1.0
SAY_S = 5.0
STILL_S = 20.0
QUIET_S = 75.0
"""A label without its payment's features is looked up at least once a minute: what came to nothing for so long, while
nothing else had to be done, will not be joined by waiting."""

WHO = {"decided": "workers", "stored": "sink", "joined": "label join", "learned": "learner"}


class Parts(Protocol):
    """Whom to ask: `schemas.observer.Observer`."""

    def left(self, done: str) -> int:
        """Return how many offsets are still to be decided, stored, joined or learned."""

    def joined(self) -> int:
        """Return a number that grows whenever a label is joined."""


@dataclass(slots=True)
class CatchingUp:
    """What was seen of the parts so far.

    >>> seen = CatchingUp()
    >>> for at_s, decided in enumerate((1000, 800, 0, 0)):
    ...     seen.look({"decided": decided, "stored": 0, "joined": 0, "learned": 0}, joined=1, at_s=at_s)
    ...     told = (seen.line(), seen.is_over)
    >>> told
    ('left: workers 0, sink 0, label join 0, learner 0', True)
    """

    left: Mapping[str, int] = field(default_factory=dict)
    at_s: float = 0.0
    _most: tuple[float, int] = (0.0, -1)
    _moved_s: float = 0.0
    _joined: int = -1
    _busy_s: float = 0.0
    _settled: int = 0

    def look(self, left: Mapping[str, int], *, joined: int, at_s: float) -> None:
        """Take what is left of each kind, at a time that does not go back."""
        if left != self.left:
            self._moved_s = at_s
        # What the card stage has done is first more to do for the merchant stage: from the most on it is less and less.
        if left["decided"] >= self._most[1]:
            self._most = at_s, left["decided"]
        self.left, self.at_s = left, at_s
        if joined != self._joined or left["decided"] or left["stored"] or left["learned"]:
            self._joined, self._busy_s = joined, at_s
        elif not left["joined"] or at_s - self._busy_s >= QUIET_S:
            self._settled += 1
            return
        self._settled = 0

    @property
    def is_over(self) -> bool:
        """Whether nothing is left, twice in a row: a committed record may be readable a moment after its positions."""
        return self._settled >= 2

    @property
    def labels_waiting(self) -> int:
        """About how many labels wait for a payment that is not stored."""
        return self.left.get("joined", 0)

    def line(self) -> str:
        """Return how far it is.

        >>> seen = CatchingUp()
        >>> for at_s, decided in ((0.0, 1000), (10.0, 800)):
        ...     seen.look({"decided": decided, "stored": 3, "joined": 2, "learned": 1}, joined=1, at_s=at_s)
        >>> seen.line()
        'left: workers 800 (20/s, 1 min), sink 3, label join 2, learner 1'
        """
        told = [f"{who} {self.left[done]:,}" for done, who in WHO.items()]
        since_s, most = self._most
        decided = self.left["decided"]
        if self.at_s - self._moved_s >= STILL_S:
            told.append("nothing moves: do they all run?")
        elif 0 < decided < most and self.at_s - since_s >= SAY_S:
            rate = (most - decided) / (self.at_s - since_s)
            told[0] += f" ({rate:.0f}/s, {ceil(decided / rate / 60)} min)"
        return "left: " + ", ".join(told)


def wait_until_learned(
    parts: Parts,
    *,
    say: Callable[[str], None],
    stopping: Callable[[], bool],
    now_s: Callable[[], float],
    sleep: Callable[[float], None],
) -> CatchingUp:
    """Ask every second until it is over or `stopping`, and say how far it is every five."""
    seen, said_s = CatchingUp(), now_s()
    while not stopping():
        seen.look({done: parts.left(done) for done in WHO}, joined=parts.joined(), at_s=now_s())
        if seen.is_over:
            break
        if now_s() - said_s >= SAY_S:
            said_s = now_s()
            say(seen.line())
        sleep(LOOK_S)
    return seen
