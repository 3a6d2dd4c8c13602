"""Examples of those who are believed, by which a snapshot is judged before it decides. Pure.

Frauds that a trusted source speaks of and honest payments that nobody disputed, one in eight by a hash of the payment,
the newest of each, with what the model said of each before it learned it. A snapshot that ranks them much worse than
that is refused: whatever it was taught, by whom. It has learned them itself, so nothing is lost by judging and the
doubt is in its favour; were it compared with what an earlier snapshot says of them, which has learned them too, one
that knows its few payments by heart would never give way. Ranks, because a model that learns how rare fraud is says
less of every fraud, and is no worse for it.

(Two rankings of the same rows: DeLong, DeLong and Clarke-Pearson, Biometrics 1988.)
"""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from math import sqrt
from statistics import fmean, variance
from typing import Any
from zlib import crc32

from streams.detector.encode import AnyCells

KEPT_ONE_IN = 8
FRAUDS_MAX, HONEST_MAX = 64, 256
FRAUDS_MIN, HONEST_MIN = 16, 64
"""With fewer nothing is judged."""
WORSE_MIN = 0.03
"""By so much the AUC must fall ..."""
DEVIATIONS = 3.0
"""... and by so many standard errors of the difference."""

SIDES = ((True, "frauds"), (False, "honest"))
LogOdds = Callable[[Sequence[int]], float]


def _above(scores: Sequence[float], others: Sequence[float]) -> list[float]:
    """Return for each score the share of the others that are lower, equal ones counting half.

    >>> _above([3.0, 1.0], [1.0, 2.0])
    [1.0, 0.25]
    """
    ranked = sorted(others)
    return [(bisect_left(ranked, score) + bisect_right(ranked, score)) / (2 * len(ranked)) for score in scores]


class Reference:
    """The examples, by verdict.

    >>> reference = Reference()
    >>> for number in range(6_000):
    ...     reference.keep(f"tx-{number}", number % 2 == 0, [number % 2], said=-3.0 * (number % 2))
    >>> reference.worse(lambda cells: 3.0 * cells[0])
    'its AUC on 320 trusted payments is 1.000 lower than what was said of them at first'
    >>> reference.worse(lambda cells: -4.0 * cells[0]) is None
    True
    """

    def __init__(self) -> None:
        self._kept = {
            True: deque[tuple[float, list[int]]](maxlen=FRAUDS_MAX),
            False: deque[tuple[float, list[int]]](maxlen=HONEST_MAX),
        }

    def keep(self, transaction_id: str, is_fraud: bool, cells: AnyCells, said: float) -> None:  # noqa: FBT001 - verdict
        """Keep this example if it is one of those that are kept. `said`: its log-odds before it was learned."""
        if crc32(transaction_id.encode()) % KEPT_ONE_IN == 0:
            self._kept[is_fraud].append((said, [int(cell) for cell in cells]))

    def worse(self, candidate: LogOdds) -> str | None:
        """Return how much worse a candidate is than what was said, None where it is not, or nobody can tell."""
        if len(self._kept[True]) < FRAUDS_MIN or len(self._kept[False]) < HONEST_MIN:
            return None
        now = [[candidate(cells) for _, cells in self._kept[is_fraud]] for is_fraud in (True, False)]
        then = [[said for said, _ in self._kept[is_fraud]] for is_fraud in (True, False)]
        sides = zip(_placed(*now), _placed(*then), strict=True)
        fell = [[before - after for after, before in zip(*side, strict=True)] for side in sides]
        by, error = fmean(fell[0]), sqrt(sum(variance(each) / len(each) for each in fell))
        if by < max(WORSE_MIN, DEVIATIONS * error):
            return None
        number = sum(map(len, fell))
        return f"its AUC on {number} trusted payments is {by:.3f} lower than what was said of them at first"

    def state(self) -> dict[str, Any]:
        """Return the examples as JSON has them: what was said, and the cells."""
        return {name: [[said, *cells] for said, cells in self._kept[is_fraud]] for is_fraud, name in SIDES}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up the examples of another."""
        for is_fraud, name in SIDES:
            self._kept[is_fraud].clear()
            self._kept[is_fraud].extend((said, cells) for said, *cells in state[name])


def _placed(frauds: Sequence[float], honest: Sequence[float]) -> tuple[list[float], list[float]]:
    """Return how each fraud lies among the honest payments, and each of these among the frauds: 1 is right."""
    return _above(frauds, honest), [1 - share for share in _above(honest, frauds)]
