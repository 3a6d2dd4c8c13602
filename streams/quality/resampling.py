"""How sure a figure is: bootstrap over clusters, for a figure and for the difference of two on the same rows.

Payments of a card are no independent witnesses, nor are those of a day: whole cards or whole days are drawn with
replacement, and all their payments with them. The draws are a function of the seed. What is drawn is what varies: an
interval by card says nothing of other days, one by day nothing of other cards.
(Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13; Davison and Hinkley, 1997, 2.4 and 3.8.)
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from streams.quality.ranking import Array, Codes, Ranking

LEVEL = 0.95
DRAWS = 200
SEED = 1


class Interval(NamedTuple):
    """From where to where a figure lies, so sure as `LEVEL`."""

    low: float
    high: float


def draws_of(clusters: int, *, draws: int = DRAWS, seed: int = SEED) -> Iterator[Array]:
    """Give for each draw how often each cluster is in it.

    >>> [weights.tolist() for weights in draws_of(3, draws=2, seed=7)]
    [[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]]
    """
    chance = np.random.default_rng(seed)
    for _ in range(draws):
        yield np.bincount(chance.integers(0, clusters, clusters), minlength=clusters).astype(np.float64)


def clusters_of(codes: Codes) -> tuple[Codes, int]:
    """Return for each row the number of its cluster, from nought, and how many there are.

    >>> clusters_of(np.array([7, 3, 7]))[0].tolist()
    [1, 0, 1]
    """
    names, places = np.unique(codes, return_inverse=True)
    return places.astype(np.int64), len(names)


def interval_of(values: Array) -> Interval:
    """Return the middle `LEVEL` of drawn values, not a number where none of them is one.

    >>> interval_of(np.array([0.5, float("nan"), 0.5]))
    Interval(low=0.5, high=0.5)
    """
    told = values[~np.isnan(values)]
    if not len(told):
        return Interval(float("nan"), float("nan"))
    low, high = np.quantile(told, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))


def intervals(
    figures: Callable[[Array], dict[str, float]], clusters: int, *, draws: int = DRAWS, seed: int = SEED
) -> dict[str, Interval]:
    """Return the interval of each figure; `figures` works them out from how often each cluster counts."""
    drawn = [figures(weights) for weights in draws_of(clusters, draws=draws, seed=seed)] if clusters else []
    return {name: interval_of(np.array([each[name] for each in drawn])) for name in (drawn[0] if drawn else ())}


class Compared(NamedTuple):
    """Average precision of one model beside another's on the same rows; the intervals are of paired draws."""

    one: float
    other: float
    difference: float
    difference_interval: Interval
    ratio: float
    ratio_interval: Interval


def compared(one: Ranking, other: Ranking, codes: Codes, *, draws: int = DRAWS, seed: int = SEED) -> Compared:
    """Return how two rankings of the same rows compare, drawn by the clusters that `codes` names.

    >>> frauds, codes = np.array([True, False, True, False]), np.array([1, 1, 2, 2])
    >>> better, worse = (Ranking(np.array(scores), frauds) for scores in ([0.9, 0.1, 0.8, 0.2], [0.9, 0.8, 0.7, 0.1]))
    >>> found = compared(better, worse, codes)
    >>> round(found.difference, 4), found.difference_interval.low >= 0
    (0.1667, True)
    """
    places, clusters = clusters_of(codes)
    drawn = []
    for weights in draws_of(clusters, draws=draws, seed=seed):
        rows = weights[places]
        drawn.append((one.average_precision(rows), other.average_precision(rows)))
    ours, theirs = np.array(drawn).reshape(-1, 2).T
    first, second = one.average_precision(), other.average_precision()
    return Compared(
        first,
        second,
        first - second,
        interval_of(ours - theirs),
        first / second if second else float("nan"),
        interval_of(np.divide(ours, theirs, out=np.full(len(ours), np.nan), where=theirs > 0)),
    )
