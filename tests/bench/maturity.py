"""Quality as known while labels still come in: how often its interval holds what turns out, over simulated weeks.

Payments of a day, their fraud, scores and label delays are drawn. What is acted on is known in days, what was missed
in weeks: so recall on known labels looks better than it is, and fraud rarer.
"""

from typing import Any, NamedTuple

import numpy as np

from streams.quality.maturity import Estimate, Known, Period, as_known, figures_of
from streams.quality.ranking import Array, Codes, Flags, Ranking
from streams.quality.resampling import DRAWS, Interval, interval_of

WEEKS = 200
WEEK_DAYS = 7
PAYMENTS_A_DAY = 1_000
FRAUD_RATE = 0.015
THRESHOLD = 2.0
"""From this score on a payment is acted on."""
DELAY_DAYS = {"acted on": (4.0, 0.6), "missed": (12.0, 0.7)}
"""Median and standard deviation of the logarithm."""
HORIZON_DAYS = 60
HISTORY_WEEKS = 26
AGES_DAYS = (7, 28)
"""How long after the end of a week it is looked at."""
COVERED_MIN = 0.90
NAIVE_COVERED_MAX = 0.50
NAIVE_FIGURES = ("frauds", "fraud_rate", "recall")
"""Where labels that are out must show. Average precision is a share of both, and moves less."""


class Simulated(NamedTuple):
    """All payments: day, score, truth, and how many days later a fraud is known."""

    days: Codes
    scores: Array
    frauds: Flags
    delays: Codes


def run(*, weeks: int = WEEKS, seed: int = 1) -> dict[str, Any]:
    """Look at each week some days after its end, and compare with what it came to."""
    simulated = simulate(weeks, seed)
    figures: dict[str, Any] = {}
    holds = True
    for age in AGES_DAYS:
        told = covered(simulated, weeks, age)
        figures[f"{age}_days_after"] = told
        holds &= all(row["covered"] >= COVERED_MIN for row in told.values())
        if age == AGES_DAYS[0]:
            holds &= all(told[name]["naive_covered"] <= NAIVE_COVERED_MAX for name in NAIVE_FIGURES)
    bounds = {"covered_min": COVERED_MIN, f"naive_covered_max_{AGES_DAYS[0]}_days_after": NAIVE_COVERED_MAX}
    return {"weeks": weeks, **figures, "bounds": bounds, "holds": bool(holds)}


def simulate(weeks: int, seed: int) -> Simulated:
    """Return the payments of the weeks, of the history before them and of the time until all labels are in."""
    chance = np.random.default_rng(seed)
    last = (HISTORY_WEEKS + weeks) * WEEK_DAYS + HORIZON_DAYS
    number = chance.poisson(PAYMENTS_A_DAY, last)
    days = np.repeat(np.arange(last), number)
    # Fraud comes and goes from day to day, as its campaigns do.
    rate = FRAUD_RATE * np.exp(chance.normal(0.0, 0.3, last))
    frauds = chance.random(len(days)) < rate[days]
    scores = chance.normal(0.0, 1.0, len(days)) + 2.0 * frauds
    delays = np.full(len(days), HORIZON_DAYS + 1)
    for kind, acted in (("acted on", True), ("missed", False)):
        those = frauds & ((scores >= THRESHOLD) == acted)
        median, deviation = DELAY_DAYS[kind]
        delays[those] = np.floor(median * np.exp(chance.normal(0.0, deviation, those.sum())))
    return Simulated(days, scores, frauds, delays)


def covered(simulated: Simulated, weeks: int, age_days: int) -> dict[str, dict[str, float]]:
    """Return for each figure how often both intervals hold what came out, and how far off both are in the mean."""
    told: dict[str, list[tuple[float, Estimate, Interval]]] = {}
    for week in range(HISTORY_WEEKS, HISTORY_WEEKS + weeks):
        for name, row in _looked_at(simulated, week * WEEK_DAYS, age_days).items():
            told.setdefault(name, []).append(row)
    return {
        name: {
            "covered": round(float(np.mean([_holds(row.interval, truth) for truth, row, _ in rows])), 4),
            "naive_covered": round(float(np.mean([_holds(naive, truth) for truth, _, naive in rows])), 4),
            "bias": round(float(np.mean([row.value / truth - 1 for truth, row, _ in rows])), 4),
            "naive_bias": round(float(np.mean([row.naive / truth - 1 for truth, row, _ in rows])), 4),
        }
        for name, rows in told.items()
    }


def _holds(interval: Interval, truth: float) -> bool:
    return bool(interval.low - 1e-9 <= truth <= interval.high + 1e-9)


def _looked_at(simulated: Simulated, first_day: int, age_days: int) -> dict[str, tuple[float, Estimate, Interval]]:
    """Return of one week what came out, what was estimated, and the interval of who takes the unknown for honest."""
    now = first_day + WEEK_DAYS - 1 + age_days
    start, end = np.searchsorted(simulated.days, [now - HISTORY_WEEKS * WEEK_DAYS, now + 1])
    seen = slice(start, end)
    days, scores, delays = simulated.days[seen], simulated.scores[seen], simulated.delays[seen]
    ages, strata = now - days, (scores >= THRESHOLD).astype(np.int64)
    finally_known = simulated.frauds[seen] & (delays <= HORIZON_DAYS)
    known = finally_known & (delays <= ages)
    history = Known(delays[known], ages[known], days[known], strata[known])
    week = (days >= first_day) & (days < first_day + WEEK_DAYS)
    period = Period(ages[week], strata[week], scores[week], known[week])
    estimates = as_known(history, period, horizon_days=HORIZON_DAYS, threshold=THRESHOLD, seed=first_day)
    ranking = Ranking(scores[week], finally_known[week])
    came_out = {
        name: figure(finally_known[week].astype(np.float64))
        for name, figure in figures_of(period, THRESHOLD, ranking).items()
    }
    naive = _naive_intervals(period, seed=first_day)
    return {name: (came_out[name], estimates[name], naive[name]) for name in came_out}


def _naive_intervals(period: Period, seed: int) -> dict[str, Interval]:
    """Return the usual bootstrap over known frauds, as if no more were to come; their number is Poisson's."""
    figures = figures_of(period, THRESHOLD, Ranking(period.scores, period.known))
    chance = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {name: [] for name in figures}
    for _ in range(DRAWS):
        rows = np.where(period.known, chance.poisson(1.0, len(period.known)), 0.0)
        for name, figure in figures.items():
            drawn[name].append(figure(rows))
    return {name: interval_of(np.array(values)) for name, values in drawn.items()}
