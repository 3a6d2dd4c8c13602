"""A look at the scores of the model in force: where they collapse or are no numbers, rules decide alone."""

from collections.abc import Callable
from math import isfinite

EQUAL_MAX = 1_000
"""So many scores in a row that are all the same: of sixty cells a payment no two payments in a hundred share all."""


class Watch:
    """Counts equal scores of one model in a row.

    Parameters
    ----------
    collapsed : called once for a model, with its version and what is wrong, before another is in force.

    >>> told = []
    >>> watch = Watch(lambda version, what: told.append((version, what)), equal_max=3)
    >>> for log_odds in (-3.0, -2.0, -2.0, -2.0, -2.0):
    ...     watch.saw("m-1", log_odds)
    >>> told
    [('m-1', '3 scores in a row were equal')]
    """

    def __init__(self, collapsed: Callable[[str, str], None], equal_max: int = EQUAL_MAX) -> None:
        self._collapsed = collapsed
        self._equal_max = equal_max
        self._version = ""
        self._last = 0.0
        self._equal = 0

    def saw(self, version: str, log_odds: float) -> None:
        """Take the score of one payment."""
        if version != self._version:
            self._version, self._equal = version, 0
        self._equal = self._equal + 1 if self._equal and log_odds == self._last else 1
        self._last = log_odds
        if not isfinite(log_odds):
            self._collapsed(version, "a score is not finite")
        elif self._equal == self._equal_max:
            self._collapsed(version, f"{self._equal} scores in a row were equal")
