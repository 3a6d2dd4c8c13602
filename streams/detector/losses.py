"""What two models have lost on the labels that came lately: how much each counts, and when one is out of date.

Each label is first predicted by both and then learned, so the losses are of payments that neither had learned. The
shares follow them exponentially and forget: a model that is no longer the better one gives way within some thousand
labels. (Exponentially weighted forecasters: Cesa-Bianchi and Lugosi, Prediction, Learning, and Games, 2006, 2.1, 2.11.)
"""

from math import exp, log1p
from typing import NamedTuple

USUALLY_RECORDS = 28_854.0
LATELY_RECORDS = 2_164.0
"""Records over which losses are averaged: half-lives of 20,000 and of 1,500, over ln 2."""
SHARPNESS = 0.02
"""What a unit of loss counts: 1 in the mean would trust a difference of a few labels."""
WORSE = 1.5
"""So many times the usual loss is no chance: over some thousand labels it varies by a tenth."""
SHARE_DECIMALS = 6


class Losses(NamedTuple):
    """Mean log losses per record, as weighed: of the model over cells, of that over leaves, and of this one lately.

    >>> losses = Losses()
    >>> losses.share_of_leaves, losses.leaves_are_out_of_date
    (0.5, False)
    >>> for _ in range(20_000):
    ...     losses = losses.after(-2.0, -4.0, is_fraud=False, weight=3.0)
    >>> losses.share_of_leaves > 0.9
    True
    >>> for _ in range(300):
    ...     losses = losses.after(-2.0, -4.0, is_fraud=True, weight=1.0)
    >>> losses.leaves_are_out_of_date
    True
    """

    records: int = 0
    cells: float = 0.0
    leaves: float = 0.0
    leaves_lately: float = 0.0

    def after(self, cells: float, leaves: float, *, is_fraud: bool, weight: float) -> "Losses":
        """Return the losses after an example for which the models said these log-odds."""
        records, sign = self.records + 1, -1 if is_fraud else 1
        part = 1 / min(records, USUALLY_RECORDS)
        lost, lost_by_leaves = weight * _loss(sign * cells), weight * _loss(sign * leaves)
        return Losses(
            records,
            self.cells + part * (lost - self.cells),
            self.leaves + part * (lost_by_leaves - self.leaves),
            self.leaves_lately + (lost_by_leaves - self.leaves_lately) / min(records, LATELY_RECORDS),
        )

    @property
    def share_of_leaves(self) -> float:
        """The part of the leaves' log-odds in what decides, rounded, as a snapshot holds it."""
        difference = SHARPNESS * min(self.records, USUALLY_RECORDS) * (self.leaves - self.cells)
        return round(1 / (1 + exp(min(max(difference, -50.0), 50.0))), SHARE_DECIMALS)

    @property
    def leaves_are_out_of_date(self) -> bool:
        """Whether the leaves lately lose so much more than usual that something must be new."""
        return self.leaves_lately > WORSE * self.leaves


def _loss(against: float) -> float:
    """Return the log loss of log-odds that speak so much against what was true."""
    return max(against, 0.0) + log1p(exp(-abs(against)))
