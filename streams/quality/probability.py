"""How right probabilities are: log loss, Brier score, and calibration, over all and by bin.

(Brier, Monthly Weather Review 1950; Murphy and Winkler, Applied Statistics 1977; Gneiting and Raftery, JASA 2007.)
"""

from typing import NamedTuple

import numpy as np

from streams.quality.ranking import Array, Flags

LEAST = 1e-15
"""A probability of nought or one is taken to be this far from it: log loss would be without bounds."""


def probabilities_of(log_odds: Array) -> Array:
    """Return probabilities, without overflow.

    >>> probabilities_of(np.array([-1e6, 0.0, 1e6])).tolist()
    [0.0, 0.5, 1.0]
    """
    odds = np.exp(-np.abs(log_odds))
    return np.where(log_odds >= 0, 1 / (1 + odds), odds / (1 + odds))


def log_odds_of(probabilities: Array, least: float) -> Array:
    """Return log-odds; a probability nearer to nought or one than `least` is taken to be so near.

    >>> log_odds_of(np.array([0.0, 0.5]), least=1e-9).round(2).tolist()
    [-20.72, 0.0]
    """
    held = np.clip(probabilities, least, 1 - least)
    log_odds: Array = np.log(held) - np.log1p(-held)
    return log_odds


def log_losses(probabilities: Array, frauds: Flags) -> Array:
    """Return what each payment adds to log loss, in nats.

    >>> log_losses(np.array([0.5, 1.0]), np.array([True, True])).round(4).tolist()
    [0.6931, 0.0]
    """
    held = np.clip(np.where(frauds, probabilities, 1 - probabilities), LEAST, 1.0)
    losses: Array = np.abs(np.log(held))
    return losses


def squared_errors(probabilities: Array, frauds: Flags) -> Array:
    """Return what each payment adds to the Brier score.

    >>> squared_errors(np.array([0.5, 1.0]), np.array([True, False])).tolist()
    [0.25, 1.0]
    """
    return np.square(probabilities - frauds)


class Bin(NamedTuple):
    """Payments of like probability: how many, the mean of what was said, and the share that was fraud."""

    payments: int
    mean_probability: float
    fraud_rate: float


def calibration_bins(probabilities: Array, frauds: Flags, number: int = 10) -> list[Bin]:
    """Return bins of as many expected frauds each, from improbable to probable.

    By payments nearly all bins would hold no fraud, by width of probability nearly all payments would lie in one.
    Equal probabilities share a bin, so there may be fewer bins.

    >>> calibration_bins(np.array([0.25, 0.25, 0.5]), np.array([False, True, True]), 2)
    [Bin(payments=2, mean_probability=0.25, fraud_rate=0.5), Bin(payments=1, mean_probability=0.5, fraud_rate=1.0)]
    """
    if not probabilities.sum():
        return []
    order = np.argsort(probabilities, kind="stable")
    ordered = probabilities[order]
    expected = np.cumsum(ordered)
    edges = ordered[np.searchsorted(expected, expected[-1] * np.arange(1, number) / number)]
    places = np.searchsorted(np.unique(edges), probabilities, side="left")
    sizes, said, were = (np.bincount(places, each) for each in (None, probabilities, frauds.astype(np.float64)))
    return [
        Bin(int(size), float(mean / size), float(rate / size))
        for size, mean, rate in zip(sizes, said, were, strict=True)
        if size
    ]
