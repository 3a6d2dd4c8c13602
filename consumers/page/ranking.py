"""How well scores rank fraud above the rest: area under the ROC curve and average precision, exactly, ties included."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Ranking(NamedTuple):
    """Quality of a ranking. `auc` of chance is 0.5, `average_precision` of chance is the share of fraud."""

    payments: int
    frauds: int
    auc: float | None
    average_precision: float | None

    @property
    def fraud_share(self) -> float | None:
        return self.frauds / self.payments if self.payments else None


def ranking(scores: npt.NDArray[np.float64], frauds: npt.NDArray[np.bool_]) -> Ranking:
    """Return the quality of scores over payments whose label is known; None where there is only one kind of label.

    Average precision is the precision at each fraud, averaged over frauds; equal scores count as found together.

    >>> ranking(np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, False]))
    Ranking(payments=4, frauds=2, auc=0.75, average_precision=0.8333333333333333)
    >>> ranking(np.array([0.5, 0.5]), np.array([True, False]))
    Ranking(payments=2, frauds=1, auc=0.5, average_precision=0.5)
    >>> ranking(np.array([0.5]), np.array([True])).auc is None
    True
    """
    distinct, place = np.unique(scores, return_inverse=True)
    found = np.bincount(place[frauds], minlength=distinct.size)[::-1].astype(np.float64)
    others = np.bincount(place[~frauds], minlength=distinct.size)[::-1].astype(np.float64)
    n_frauds, n_others = int(found.sum()), int(others.sum())
    if not n_frauds or not n_others:
        return Ranking(len(scores), n_frauds, None, None)
    below = n_others - np.cumsum(others)
    auc = float(np.sum(found * (below + others / 2)) / (n_frauds * n_others))
    precision = np.cumsum(found) / np.cumsum(found + others)
    return Ranking(len(scores), n_frauds, auc, float(np.sum(found * precision) / n_frauds))
