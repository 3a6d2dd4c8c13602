"""How far a feature has moved: the population stability index (PSI), and how much of it chance alone would give.

PSI is the sum over bins of (q - p) * ln(q / p), p and q being the shares of the reference and of the recent payments
that fall into the bin. Without any drift it is not 0: it is (1/n + 1/m) times a chi-squared variable with one degree of
freedom fewer than there are bins, for n reference and m recent payments that are independent of one another.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

BINS = 10
SMOOTHING = 0.5
"""Added to the count of each bin: a bin that is empty on one side would make the sum infinite."""

CHANCE_Z = 3.09
"""Beyond this quantile of the normal distribution lies one case in a thousand: so drift is no noise."""

SLIGHT, STRONG = 0.1, 0.25
"""The customary bounds of credit scoring, below which a drift is slight, and from which on it is strong."""


@dataclass(frozen=True, slots=True)
class Drift:
    """The drift of one feature. `chance` is the PSI expected without drift, `chance_limit` its 99.9 % quantile."""

    psi: float
    bins: int
    chance: float
    chance_limit: float

    @property
    def reading(self) -> str:
        """What to think of it: `chance`, or `slight`, `moderate` or `strong` where chance does not explain it."""
        if self.psi <= self.chance_limit:
            return "chance"
        return "slight" if self.psi < SLIGHT else "moderate" if self.psi < STRONG else "strong"


def drift(reference: Values, recent: Values, bins: int = BINS) -> Drift:
    """Return the drift between two samples, binned at quantiles of the reference. NaN, no value, is a bin of its own.

    Equal quantiles make one bin, so a count that is nearly always 0 has a bin for 0 and one for more.

    >>> drift(np.array([1.0, 2, 3, 4] * 50), np.array([1.0, 2, 3, 4] * 50), bins=4).psi
    0.0
    >>> drift(np.array([0.0] * 100), np.array([0.0] * 50 + [1.0] * 50)).reading
    'strong'
    """
    present = reference[~np.isnan(reference)]
    steps = np.arange(1, bins) / bins
    edges = np.unique(np.quantile(present, steps, method="inverted_cdf")) if present.size else np.empty(0)
    before, after = _counts(reference, edges), _counts(recent, edges)
    used = (before + after) > 0
    before, after = before[used], after[used]
    chance, limit = chance_of(before.size, reference.size, recent.size)
    return Drift(psi_of(before.tolist(), after.tolist()), int(before.size), chance, limit)


def psi_of(before: Sequence[float], after: Sequence[float]) -> float:
    """Return the population stability index of two histograms over the same bins.

    >>> round(psi_of([50, 50], [80, 20]), 3)
    0.406
    """
    rest = SMOOTHING * len(before)
    p_total, q_total = sum(before) + rest, sum(after) + rest
    psi = 0.0
    for p_count, q_count in zip(before, after, strict=True):
        p, q = (p_count + SMOOTHING) / p_total, (q_count + SMOOTHING) / q_total
        psi += (q - p) * log(q / p)
    return psi


def chance_of(bins: int, reference_rows: int, recent_rows: int, z: float = CHANCE_Z) -> tuple[float, float]:
    """Return the expected PSI of two samples without drift and a quantile of it (Wilson and Hilferty's formula).

    The quantile is that at which `z` lies in the normal distribution: 99.9 % unless told otherwise.

    >>> [round(value, 4) for value in chance_of(10, 5_000, 5_000)]
    [0.0036, 0.0112]
    >>> chance_of(1, 10, 10)
    (0.0, 0.0)
    """
    freedom = bins - 1
    if freedom < 1:
        return 0.0, 0.0
    unit = 1 / reference_rows + 1 / recent_rows
    spread = 2 / (9 * freedom)
    return freedom * unit, freedom * unit * float((1 - spread + z * spread**0.5) ** 3)


def _counts(values: Values, edges: Values) -> Values:
    """Count the values up to each edge, those above the last one, and those that are missing."""
    present = values[~np.isnan(values)]
    counted = np.bincount(np.searchsorted(edges, present, side="left"), minlength=edges.size + 1)
    return np.append(counted, values.size - present.size).astype(np.float64)
