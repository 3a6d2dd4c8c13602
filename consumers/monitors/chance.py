"""How far a share may move by chance, where payments come in clusters: more than independent ones would.

A card's payments resemble one another, frauds come in campaigns, and hours differ: the spread between the buckets of
the reference says by how much a share varies beyond the binomial distribution (McCullagh and Nelder, Generalized Linear
Models, 1989, section 4.5), and the limit widens by it.
"""

from collections.abc import Sequence
from math import asin, sqrt
from statistics import NormalDist
from typing import NamedTuple

CHANCE = 1e-4
"""How often one look may pass its limit without any change: an hourly one takes a year to do it once, over all that it
compares. Hysteresis comes on top."""


def z_of(comparisons: int = 1, chance: float = CHANCE) -> float:
    """Return the one-sided limit in standard deviations where the largest of so many comparisons counts (Bonferroni).

    >>> round(z_of(), 2), round(z_of(60), 2)
    (3.72, 4.65)
    """
    return NormalDist().inv_cdf(1 - chance / max(1, comparisons))


class Share(NamedTuple):
    """A recent share, that of the reference, their distance in standard deviations, and its spread over chance."""

    recent: float
    reference: float
    z: float
    spread: float


def share_of(count: int, rows: int, counts: Sequence[int], reference_rows: Sequence[int]) -> Share:
    """Return how far the share `count / rows` is from that of the buckets of the reference.

    Of few payments the binomial distribution is skewed: its upper tail is longer than the normal distribution's, and
    Anscombe's transformation (Biometrika 35, 1948) makes the lower one too short. So the nearer of both counts.

    >>> share = share_of(30, 100, [10, 12, 8, 10], [100, 100, 100, 100])
    >>> round(share.recent, 2), round(share.reference, 2), round(share.z, 1), share.spread
    (0.3, 0.1, 4.6, 1.0)
    """
    total = sum(reference_rows)
    reference = (sum(counts) + 0.5) / (total + 1)
    variance = reference * (1 - reference)
    buckets = [(k, n) for k, n in zip(counts, reference_rows, strict=True) if n]
    squares = sum((k - n * reference) ** 2 / (n * variance) for k, n in buckets)
    spread = max(1.0, squares / (len(buckets) - 1)) if len(buckets) > 1 else 1.0
    recent = count / rows
    plain = (recent - reference) / sqrt(variance / rows)
    angles = asin(sqrt((count + 0.375) / (rows + 0.75))) - asin(sqrt(reference))
    z = min(plain, 2 * sqrt(rows) * angles, key=abs) / sqrt(spread * (1 + rows / total))
    return Share(recent, reference, z, spread)
