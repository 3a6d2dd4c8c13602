"""The yardstick: a model that is trained anew every so many days, on all labels that had arrived by then."""

import sys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from schemas.fields import DAY_MS
from streams.quality.figures import Scored
from streams.quality.ranking import Array, Flags
from tests.bench.passed import Table

TREES, RATE, DEPTH = 300, 0.05, 5
SEED = 1

Model = Callable[[Table], Array]
Trainer = Callable[[Table, Flags, Array], Model]
"""From features, what labels said and how many each stands for, to what gives log-odds of fraud."""


class Retraining(NamedTuple):
    """How often, and of honest payments which share is learned; one that is stands for so many."""

    every_days: int
    kept_one_in: int = 1


WEEKLY = Retraining(7)
NIGHTLY = Retraining(1, kept_one_in=5)


def boosted(table: Table, frauds: Flags, weights: Array) -> Model:
    """Train XGBoost, on all processors unless OMP_NUM_THREADS says less. Without a fraud all is scored alike."""
    try:
        import xgboost  # noqa: PLC0415 - of the extra `dev`: only this needs it
    except ImportError:
        sys.exit("xgboost is not installed: it is one of the extra `dev`")
    if not frauds.any():
        return lambda rows: np.zeros(len(rows))
    settings = {
        "objective": "binary:logistic",
        "eta": RATE,
        "max_depth": DEPTH,
        "tree_method": "hist",
        "seed": SEED,
    }
    data = xgboost.QuantileDMatrix(table, label=frauds, weight=weights)
    booster = xgboost.train(settings, data, num_boost_round=TREES)
    return lambda rows: booster.predict(xgboost.DMatrix(rows), output_margin=True).astype(np.float64)


def retrained(
    scored: Scored, table: Table, *, first_day: int, last_day: int, retraining: Retraining, trainer: Trainer = boosted
) -> Array:
    """Return log-odds of the payments of the days, not a number for all others.

    Each model is trained at the first midnight of its days on everything whose label had come by then.
    """
    scores = np.full(len(scored.days), np.nan)
    kept = np.random.default_rng(SEED).integers(0, retraining.kept_one_in, len(scores)) == 0
    for start in range(first_day, last_day + 1, retraining.every_days):
        learned = (scored.told_ms <= start * DAY_MS) & (kept | scored.told)
        frauds = scored.told[learned]
        model = trainer(table[learned], frauds, np.where(frauds, 1.0, retraining.kept_one_in))
        end = min(start + retraining.every_days - 1, last_day)
        these = (scored.days >= start) & (scored.days <= end)
        if these.any():
            scores[these] = model(table[these])
    return scores
