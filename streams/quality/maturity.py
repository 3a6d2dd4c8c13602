"""Quality as known at a time: how much fraud there is, and how much of it was found, while labels still come in.

A young payment without a label is not yet honest. Of payments so many days old only a share of the fraud is known that
will be: that share is estimated from labels that have come, and each known fraud stands for those like it that are
still unknown. Nothing here looks at a label that was not known at the time.

A label's delay is seen only if it is shorter than its payment's age, so short ones are seen too often. The share known
after so many days is a product over longer delays, each factor among payments old enough to have shown them (the
Kaplan-Meier estimator with time reversed; Lagakos, Barraj and De Gruttola, Biometrika 1988; the chain ladder of loss
reserves, Mack, ASTIN Bulletin 1993). A known fraud weighs one over its share (Horvitz and Thompson, JASA 1952).

What is assumed: delays of today are those of the months before, within each stratum. Where what is acted on is known
sooner than what is missed, the action must be the stratum, or recall is overstated. "Finally" is after the horizon.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from streams.quality.ranking import Array, Codes, Flags, Ranking
from streams.quality.resampling import DRAWS, SEED, Interval, clusters_of, draws_of, interval_of

SHARE_LEAST = 0.05
"""Payments of which so little is known say nothing of their time yet."""


@dataclass(frozen=True, slots=True)
class Known:
    """Frauds that are known at the time, one a row: days from payment to label, days from payment until now.

    `cohorts` names what is drawn together for the interval, such as the day of the payment; `strata` is the kind of
    payment among which delays are alike, from nought.
    """

    delays: Codes
    ages: Codes
    cohorts: Codes
    strata: Codes


@dataclass(frozen=True, slots=True)
class Period:
    """All payments of the time that is asked about: age in days, stratum, score, and whether known to be fraud."""

    ages: Codes
    strata: Codes
    scores: Array
    known: Flags


class Estimate(NamedTuple):
    """A figure as it will be once all labels are in, and the interval; `naive` takes what is unknown for honest."""

    value: float
    interval: Interval
    naive: float


def shares_known(delays: Codes, ages: Codes, horizon_days: int, weights: Array | None = None) -> Array:
    """Return for 0, 1, … `horizon_days` days the share of finally known frauds that are known by then.

    Of ten frauds that are nine days old, five were known at once, three after a day and two after two. Two more frauds
    are a day old and were known at once: they count where a delay of a day could have been seen, and not beyond.

    >>> delays, ages = np.array([0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 0, 0]), np.array([9] * 10 + [1, 1])
    >>> shares_known(delays, ages, horizon_days=2).round(3).tolist()
    [0.56, 0.8, 1.0]

    Raises
    ------
    ValueError
        No fraud is as old as the horizon: what comes last is not known.
    """
    within = delays <= horizon_days
    counted = np.ones(int(within.sum())) if weights is None else weights[within]
    table = _table(_cells(delays[within], ages[within], horizon_days), counted, horizon_days)
    if not table[:, horizon_days].sum():
        raise ValueError(f"no known fraud is {horizon_days} days old")
    return _shares(table)


def _cells(delays: Codes, ages: Codes, horizon_days: int) -> Codes:
    """Return where each fraud is counted in a table of delay by age; at the horizon and over it ages are one."""
    return delays * (horizon_days + 1) + np.minimum(ages, horizon_days)


def _table(cells: Codes, counted: Array, horizon_days: int) -> Array:
    days = horizon_days + 1
    return np.bincount(cells, counted, minlength=days * days).reshape(days, days).astype(np.float64)


def _shares(table: Array) -> Array:
    """Return the share known by each day, from how many frauds there are of each delay and age."""
    at = table.sum(axis=1)
    # At risk of a delay, time reversed: known no later, on a payment that is at least as old.
    at_risk = np.diagonal(np.cumsum(np.cumsum(table[:, ::-1], axis=1)[:, ::-1], axis=0))
    stays = np.divide(at_risk - at, at_risk, out=np.ones(len(at)), where=at_risk > 0)
    return np.append(np.cumprod(stays[::-1])[::-1][1:], 1.0)


Figure = Callable[[Array], float]
"""What is worked out from how many frauds each payment of a period stands for."""


def figures_of(period: Period, threshold: float, ranking: Ranking) -> dict[str, Figure]:
    """Return the figures of a period: frauds, their rate, recall from a score on, and average precision."""
    found = period.scores >= threshold
    return {
        "frauds": lambda stands_for: float(stands_for.sum()),
        "fraud_rate": lambda stands_for: float(stands_for.mean()),
        "recall": lambda stands_for: _ratio(stands_for[found].sum(), stands_for.sum()),
        "average_precision": ranking.average_precision_of_known,
    }


def _ratio(one: float, other: float) -> float:
    return float(one / other) if other else float("nan")


def as_known(
    history: Known,
    period: Period,
    *,
    horizon_days: int,
    threshold: float,
    draws: int = DRAWS,
    seed: int = SEED,
) -> dict[str, Estimate]:
    """Return the figures of a period as they will be, from what is known now.

    `history` are frauds known now, of months before the period and of the period. In each draw of the interval cohorts
    of the history are drawn anew, and each known fraud of the period stands for itself and as many unknown ones as come
    before a known one where so large a share is known: together a draw from Polya's urn (Lo, Annals of Statistics
    1988), which knows both how little is seen and how little the shares are known. Figures are not a number where some
    payment is too young to tell, or no fraud is known.

    Raises
    ------
    ValueError
        No fraud of a stratum is as old as the horizon.
    """
    figures = figures_of(period, threshold, Ranking(period.scores, period.known))
    curves = _Curves(history, horizon_days)
    youngest = curves.shares(None, curves.places(period.ages, period.strata))
    untold = not period.known.any() or bool((youngest < SHARE_LEAST).any())
    known = curves.places(period.ages[period.known], period.strata[period.known])
    values = _figures(figures, period, 1 / curves.shares(None, known))
    chance = np.random.default_rng([seed, 1])  # apart from the draws of cohorts
    cohorts, clusters = clusters_of(history.cohorts)
    drawn: list[dict[str, float]] = []
    for weights in draws_of(clusters, draws=draws, seed=seed):
        stands_for = chance.geometric(curves.shares(weights[cohorts], known))
        drawn.append(_figures(figures, period, stands_for.astype(np.float64)))
    naive = period.known.astype(np.float64)
    return {
        name: Estimate(
            float("nan") if untold else values[name],
            interval_of(np.array([float("nan") if untold else each[name] for each in drawn])),
            figure(naive),
        )
        for name, figure in figures.items()
    }


def _figures(figures: dict[str, Figure], period: Period, stands_for: Array) -> dict[str, float]:
    """Return the figures where each known fraud stands for so many."""
    rows = np.zeros(len(period.known))
    rows[period.known] = stands_for
    return {name: figure(rows) for name, figure in figures.items()}


class _Curves:
    """The shares known of each stratum, again and again under other weights of the history's frauds."""

    def __init__(self, history: Known, horizon_days: int) -> None:
        self._horizon_days = horizon_days
        self._strata = np.unique(history.strata)
        within = history.delays <= horizon_days
        self._rows = [np.flatnonzero(within & (history.strata == stratum)) for stratum in self._strata]
        self._cells = [_cells(history.delays[rows], history.ages[rows], horizon_days) for rows in self._rows]
        # Where a draw has no fraud that is old enough it says nothing of the end: the whole history speaks.
        self._whole = [shares_known(history.delays[at], history.ages[at], horizon_days) for at in self._rows]

    def places(self, ages: Codes, strata: Codes) -> Codes:
        """Return where the share of each payment lies among those of all strata; the last place is of no stratum."""
        days = self._horizon_days + 1
        of = np.searchsorted(self._strata, strata)
        there = np.append(self._strata, -1)[of] == strata
        return np.where(there, of * days + np.minimum(ages, self._horizon_days), len(self._strata) * days)

    def shares(self, weights: Array | None, places: Codes) -> Array:
        """Return the share known at each place, of whole strata or as drawn; of no stratum nothing is known."""
        curves = self._whole
        if weights is not None:
            strata = zip(self._rows, self._cells, self._whole, strict=True)
            curves = [self._drawn(weights[rows], cells, whole) for rows, cells, whole in strata]
        shares: Array = np.maximum(np.concatenate([*curves, [0.0]]), SHARE_LEAST / 2)
        return shares[places]

    def _drawn(self, weights: Array, cells: Codes, whole: Array) -> Array:
        table = _table(cells, weights, self._horizon_days)
        return _shares(table) if table[:, self._horizon_days].any() else whole
