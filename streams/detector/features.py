"""The features: one row each. Names begin with the entity's kind: `card_count_24h`, `merchant_known_frauds_30d`.

All are exact over (time - window, time] in event time and include the payment itself; a late payment sees the entries
up to its own time that had arrived before it.
"""

from dataclasses import dataclass
from functools import cache
from typing import Literal

from schemas.fields import DAY_MS, HOUR_MS, Features, Number
from streams.detector.window import Timeline


@dataclass(frozen=True, slots=True)
class Feature:
    """One number about an entity at a payment: which entries, what of them, over how long, and why it is there."""

    name: str
    entries: Literal["payments", "frauds"]
    statistic: Literal["number", "value"]
    window_ms: int
    unit: str
    why: str


_VELOCITY = "bursts: card testing, a stolen card being emptied, a terminal under attack"
_SPEND = "spending out of habit"
_KNOWN = "who was hit before is hit again: the strongest signal there is, as late as its labels"

FEATURES: tuple[Feature, ...] = (
    Feature("count_1h", "payments", "number", HOUR_MS, "payments", _VELOCITY),
    Feature("count_24h", "payments", "number", DAY_MS, "payments", _VELOCITY),
    Feature("count_7d", "payments", "number", 7 * DAY_MS, "payments", _VELOCITY),
    Feature("count_30d", "payments", "number", 30 * DAY_MS, "payments", _VELOCITY),
    Feature("amount_minor_1h", "payments", "value", HOUR_MS, "minor units", _SPEND),
    Feature("amount_minor_24h", "payments", "value", DAY_MS, "minor units", _SPEND),
    Feature("amount_minor_7d", "payments", "value", 7 * DAY_MS, "minor units", _SPEND),
    Feature("amount_minor_30d", "payments", "value", 30 * DAY_MS, "minor units", _SPEND),
    Feature("known_frauds_24h", "frauds", "number", DAY_MS, "labels", _KNOWN),
    Feature("known_frauds_7d", "frauds", "number", 7 * DAY_MS, "labels", _KNOWN),
    Feature("known_frauds_30d", "frauds", "number", 30 * DAY_MS, "labels", _KNOWN),
)

_PAYMENT_WINDOWS_MS = tuple(sorted({row.window_ms for row in FEATURES if row.entries == "payments"}))
_FRAUD_WINDOWS_MS = tuple(sorted({row.window_ms for row in FEATURES if row.entries == "frauds"}))


@cache
def _plan(kind: str) -> tuple[tuple[str, bool, int, bool], ...]:
    """Return the table as (name, of payments, index of the window, is a number of entries), to be read per payment."""
    return tuple(
        (
            f"{kind}_{row.name}",
            row.entries == "payments",
            (_PAYMENT_WINDOWS_MS if row.entries == "payments" else _FRAUD_WINDOWS_MS).index(row.window_ms),
            row.statistic == "number",
        )
        for row in FEATURES
    )


def feature_names(kind: str) -> tuple[str, ...]:
    """Return the names in the table's order.

    >>> feature_names("card")[:2]
    ('card_count_1h', 'card_count_24h')
    """
    return tuple(name for name, _, _, _ in _plan(kind))


def features_of(kind: str, payments: Timeline, frauds: Timeline, time_ms: int, amount_minor: int) -> Features:
    """Return an entity's features at a payment that is not in its timeline yet."""
    paid = payments.totals(time_ms, _PAYMENT_WINDOWS_MS)
    reported = frauds.totals(time_ms, _FRAUD_WINDOWS_MS)
    features: dict[str, Number] = {}
    for name, of_payments, window, is_number in _plan(kind):
        if of_payments:
            features[name] = paid[window].number + 1 if is_number else paid[window].value + amount_minor
        else:
            features[name] = reported[window].number if is_number else reported[window].value
    return features
