"""The features: one row each, with unit, range, what is absent when missing, and why it is there.

A row's value is worked out from a `Look`, clipped to its range and, where it is a fraction, rounded to four decimals:
what is stored, shown and learned is one and the same number. A feature without a value is left out, which the model
takes as a fact of its own. Counts and sums over hours and days are exact over (time - window, time] in event time and
include the payment itself; a late payment sees the entries up to its own time that had arrived before it, and decayed
sums as they stand.

Names begin with what they are of: `card_`, `merchant_` or `payment_`.
"""

from collections.abc import Callable
from functools import cache, partial
from math import floor
from operator import attrgetter, methodcaller
from typing import Literal, NamedTuple

from schemas.fields import DAY_MS, HOUR_MS, Features, Number
from streams.detector.habit import FRAUDS, PAYMENTS, PER_HALF_LIFE
from streams.detector.look import MONTH, Look
from streams.detector.payment import PAYMENT_ROWS
from streams.detector.row import Row

Of = Literal["card", "merchant", "payment"]

_VELOCITY = "bursts: card testing, a stolen card being emptied, a terminal under attack"
_SPEND = "spending out of habit"
_KNOWN = "who was hit before is hit again: the strongest signal there is, as late as its labels"
_PLACE = "a thief does not shop where the owner does"
_AGE = "how much the other features of the card rest on"
_COUNT_MAX, _SUM_MAX = 1e9, 1e15

_WINDOWS = ("1h", "24h", "7d", "30d")
_HALF_LIVES = (("1d", 0), ("7d", 1), ("30d", 2))


def _decayed_count(half_life: int, look: Look) -> float:
    return look.sums[half_life * PER_HALF_LIFE + PAYMENTS]


def _decayed_frauds(half_life: int, look: Look) -> float:
    return look.sums[half_life * PER_HALF_LIFE + FRAUDS]


def _times_mean(half_life: int, look: Look) -> float | None:
    return look.times(look.mean(half_life))


def _times_cleared(look: Look) -> float | None:
    return look.times(look.cleared_mean())


def _exact(name: str, unit: str, why: str) -> Row:
    """Return the row of a number that `Look.exact` holds, in the table's order; no window can exceed the range."""
    return Row(name, unit, 0, 1e18, why, None)


_BOTH: tuple[Row, ...] = (
    *(_exact(f"count_{of}", "payments", _VELOCITY) for of in _WINDOWS),
    *(_exact(f"amount_minor_{of}", "minor units", _SPEND) for of in _WINDOWS),
    *(_exact(f"known_frauds_{of}", "labels", _KNOWN) for of in _WINDOWS[1:]),
    *(
        Row(f"decayed_count_{of}", "payments", 0, _COUNT_MAX, _VELOCITY, partial(_decayed_count, at))
        for of, at in _HALF_LIVES
    ),
    Row("amount_mean_30d", "minor units", 0, _SUM_MAX, _SPEND, methodcaller("mean", MONTH)),
    Row("amount_times_mean_7d", "times", 0, 1e6, _SPEND, partial(_times_mean, 1)),
    Row("amount_times_mean_30d", "times", 0, 1e6, _SPEND, partial(_times_mean, MONTH)),
    Row("pace", "times", 0, 1e6, _VELOCITY, Look.pace),
    Row("known_days", "days", 0, 32, _AGE, attrgetter("known_days")),
)

_CARD: tuple[Row, ...] = (
    *(
        Row(f"decayed_frauds_{of}", "labels", 0, _COUNT_MAX, _KNOWN, partial(_decayed_frauds, at))
        for of, at in _HALF_LIVES[1:]
    ),
    Row("amount_times_cleared", "times", 0, 1e6, "cleared payments are free of the thief's own", _times_cleared),
    Row("amount_deviations", "standard deviations", -50, 50, _SPEND, Look.deviations),
    Row("amount_rank", "share", 0, 1, _SPEND, Look.rank),
    Row("seconds_since_last", "s", 0, 32 * 86_400, _VELOCITY, Look.since_last_s),
    Row("merchants_1h", "merchants", 1, 17, _VELOCITY, methodcaller("distinct", HOUR_MS)),
    Row("merchants_24h", "merchants", 1, 17, _VELOCITY, methodcaller("distinct", DAY_MS)),
    Row("merchant_is_new", "0 or 1", 0, 1, _PLACE, Look.counterparty_is_new),
    Row("device_is_new", "0 or 1", 0, 1, _PLACE, Look.device_is_new),
)

_MERCHANT: tuple[Row, ...] = (
    *(Row(f"fraud_rate_{of}", "share", 0, 1, _KNOWN, methodcaller("fraud_rate", at)) for of, at in _HALF_LIVES),
    *(
        Row(f"labelled_fraud_share_{of}", "share", 0, 1, _KNOWN, methodcaller("labelled_fraud_share", at))
        for of, at in _HALF_LIVES
    ),
)


class Feature(NamedTuple):
    """One feature under its full name."""

    name: str
    row: Row


ROWS: dict[Of, tuple[Row, ...]] = {"payment": PAYMENT_ROWS, "card": _BOTH + _CARD, "merchant": _BOTH + _MERCHANT}
FEATURES: tuple[Feature, ...] = tuple(Feature(f"{of}_{row.name}", row) for of, rows in ROWS.items() for row in rows)


class _Plan(NamedTuple):
    """The table in the shape that is fastest to go through: names of exact numbers, and all else row by row."""

    exact: tuple[str, ...]
    others: tuple[tuple[str, Callable[[Look], Number | None], float, float], ...]


@cache
def _plan(groups: tuple[Of, ...]) -> _Plan:
    named = [(f"{of}_{row.name}", row) for of in groups for row in ROWS[of]]
    return _Plan(
        tuple(name for name, row in named if row.value is None),
        tuple((name, row.value, row.low, row.high) for name, row in named if row.value is not None),
    )


def features_of(groups: tuple[Of, ...], look: Look) -> Features:
    """Return the features of these groups that have a value."""
    plan = _plan(groups)
    features: dict[str, Number] = dict(zip(plan.exact, look.exact, strict=True))
    for name, work_out, low, high in plan.others:
        value = work_out(look)
        if value is None:
            continue
        if not low <= value <= high:
            value = min(max(value, low), high)
        features[name] = floor(value * 10_000 + 0.5) / 10_000 if type(value) is float else int(value)
    return features
