"""Examples that the model never learns, and by which its snapshots are judged before they decide. Pure.

Frauds that a trusted source speaks of and honest payments, one in forty by a hash of the payment, the newest of each.
A snapshot that says much worse things of them than the one in force is refused: whatever it was taught, by whom.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from math import exp, log1p, sqrt
from statistics import fmean, variance
from typing import Any
from zlib import crc32

KEPT_ONE_IN = 40
FRAUDS_MAX, HONEST_MAX = 64, 256
FRAUDS_MIN, HONEST_MIN = 8, 32
"""With fewer nothing is judged."""
WORSE_MIN = 0.1
"""By so much the log loss of an example must grow in the mean, frauds and honest payments weighing the same ..."""
DEVIATIONS = 3.0
"""... and by so many standard errors of that mean."""

LogOdds = Callable[[Sequence[int]], float]


def _loss(log_odds: float, *, is_fraud: bool) -> float:
    """Return the log loss of an example.

    >>> round(_loss(0.0, is_fraud=True), 3), round(_loss(40.0, is_fraud=False), 3)
    (0.693, 40.0)
    """
    at = -log_odds if is_fraud else log_odds
    return max(at, 0.0) + log1p(exp(-abs(at)))


class Holdout:
    """The examples, by verdict.

    >>> holdout = Holdout()
    >>> kept = [holdout.keep(f"tx-{number}", number % 2 == 0, [number % 2]) for number in range(16_000)]
    >>> 350 < sum(kept) < 450
    True
    >>> holdout.worse(lambda cells: 3.0 * cells[0], lambda cells: -3.0 * cells[0])[:29]
    'log loss of 320 held out is +'
    >>> holdout.worse(lambda cells: -4.0 * cells[0], lambda cells: -3.0 * cells[0]) is None
    True
    """

    def __init__(self) -> None:
        self._kept = {True: deque[list[int]](maxlen=FRAUDS_MAX), False: deque[list[int]](maxlen=HONEST_MAX)}

    def keep(self, transaction_id: str, is_fraud: bool, cells: Sequence[int]) -> bool:  # noqa: FBT001 - a verdict
        """Return whether this example is one of those that are kept, and keep it."""
        if crc32(transaction_id.encode()) % KEPT_ONE_IN:
            return False
        self._kept[is_fraud].append([*cells])
        return True

    def worse(self, candidate: LogOdds, champion: LogOdds) -> str | None:
        """Return how much worse a candidate is than what is in force, None where it is not, or nobody can tell."""
        if len(self._kept[True]) < FRAUDS_MIN or len(self._kept[False]) < HONEST_MIN:
            return None
        growth, error = 0.0, 0.0
        for is_fraud, kept in self._kept.items():
            differences = [
                _loss(candidate(cells), is_fraud=is_fraud) - _loss(champion(cells), is_fraud=is_fraud) for cells in kept
            ]
            growth += fmean(differences) / 2
            error += variance(differences) / len(kept) / 4
        if growth < max(WORSE_MIN, DEVIATIONS * sqrt(error)):
            return None
        number = sum(map(len, self._kept.values()))
        return f"log loss of {number} held out is {growth:+.2f} beside the model in force, {sqrt(error):.2f} the error"

    def state(self) -> dict[str, Any]:
        """Return the examples as JSON has them."""
        return {"frauds": [*self._kept[True]], "honest": [*self._kept[False]]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up the examples of another."""
        for is_fraud, name in ((True, "frauds"), (False, "honest")):
            self._kept[is_fraud].clear()
            self._kept[is_fraud].extend(state[name])
