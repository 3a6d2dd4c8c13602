"""Scores in money: what is saved by the action that costs least, as far as the probability says.

A fraud that is approved loses its amount. An honest payment that is blocked loses the shop's margin and some goodwill.
A review costs a fixed sum and finds out. The prices are examples, the same for every model: they compare, no more.
"""

from typing import Any, NamedTuple

import numpy as np

from streams.quality.ranking import Array, Codes, Flags

APPROVE, REVIEW, BLOCK = 0, 1, 2


class Prices(NamedTuple):
    """In minor units; `margin` is a share of the amount."""

    review: float = 300.0
    goodwill: float = 1_000.0
    margin: float = 0.1


PRICES = Prices()


def cheapest(probabilities: Array, amounts: Array, prices: Prices = PRICES) -> Codes:
    """Return for each payment the action that is expected to cost least.

    >>> cheapest(np.array([0.001, 0.3, 0.99]), np.array([5000.0, 5000.0, 5000.0])).tolist()
    [0, 1, 2]
    """
    approve = probabilities * amounts
    review = np.full(len(amounts), prices.review)
    block = (1 - probabilities) * (prices.margin * amounts + prices.goodwill)
    actions: Codes = np.argmin([approve, review, block], axis=0)
    return actions


def saved(actions: Codes, frauds: Flags, amounts: Array, prices: Prices = PRICES) -> dict[str, Any]:
    """Return what the actions did, in minor units, beside approving everything.

    >>> frauds, amounts = np.array([True, True, True, False]), np.array([100.0, 900.0, 5000.0, 400.0])
    >>> told = saved(np.array([APPROVE, REVIEW, BLOCK, BLOCK]), frauds, amounts)
    >>> told["fraud_stopped_minor"], told["false_declines_lost_minor"], told["saved_minor"], told["saved_share"]
    (5900, 1040, 4560, 0.76)
    """
    lost, blocked, reviewed = amounts[frauds].sum(), actions == BLOCK, actions == REVIEW
    stopped = amounts[frauds & (blocked | reviewed)].sum()
    declined = blocked & ~frauds
    declines = (prices.margin * amounts[declined] + prices.goodwill).sum()
    reviews = prices.review * reviewed.sum()
    net = stopped - declines - reviews
    return {
        "fraud_stopped_minor": round(float(stopped)),
        "false_declines": int(declined.sum()),
        "false_declines_lost_minor": round(float(declines)),
        "reviews": int(reviewed.sum()),
        "reviews_cost_minor": round(float(reviews)),
        "saved_minor": round(float(net)),
        "saved_share": round(float(net / lost), 4) if lost else None,
    }
