"""Figures as people read them: money by its currency's exponent, times in UTC, shares and ages."""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

from iso4217 import Currency

NOTHING = "—"
"""What stands where there is no figure."""

_EXPONENTS = {currency.code: currency.exponent or 0 for currency in Currency}
_LABELS = {"step_up": "step-up"}


def money(amount_minor: int, currency: str) -> str:
    """Return an amount in the currency's own unit.

    >>> money(123456, "EUR"), money(123456, "JPY"), money(1500, "KWD"), money(-5, "EUR")
    ('1,234.56 EUR', '123,456 JPY', '1.500 KWD', '-0.05 EUR')
    """
    exponent = _EXPONENTS.get(currency, 0)
    whole, rest = divmod(abs(amount_minor), 10**exponent)
    fraction = f".{rest:0{exponent}}" if exponent else ""
    return f"{'-' if amount_minor < 0 else ''}{whole:,}{fraction} {currency}"


def count(value: float | None) -> str:
    """Return a whole number with its thousands set apart.

    >>> count(1234567), count(None)
    ('1,234,567', '—')
    """
    return NOTHING if value is None else f"{value:,.0f}"


def per_second(value: float | None) -> str:
    """Return a rate; below ten a decimal is told.

    >>> per_second(4.25), per_second(1234.5)
    ('4.2', '1,234')
    """
    return NOTHING if value is None else f"{value:,.1f}" if value < 10 else f"{value:,.0f}"


def percent(value: float | None) -> str:
    """Return a share of 0 to 1 in per cent; small ones keep two digits, and what is not all is not called 100 %.

    >>> percent(0.5), percent(0.0123), percent(0.9999), percent(1.0), percent(0.00001), percent(None)
    ('50.0 %', '1.23 %', '99.9 %', '100 %', '<0.01 %', '—')
    """
    if value is None:
        return NOTHING
    if value in {0, 1}:
        return f"{value:.0%}".replace("%", " %")
    if value < 0.0001:
        return "<0.01 %"
    return f"{100 * value:.2f} %" if value < 0.1 else f"{min(100 * value, 99.9):.1f} %"


def decimal(value: float | None, digits: int = 3) -> str:
    """Return a number with so many decimals.

    >>> decimal(0.98765), decimal(None)
    ('0.988', '—')
    """
    return NOTHING if value is None else f"{value:.{digits}f}"


def milliseconds(value: float | None) -> str:
    """Return a duration that is given in milliseconds.

    >>> milliseconds(44.4), milliseconds(2345), milliseconds(125_000), milliseconds(None)
    ('44 ms', '2.3 s', '2 min 5 s', '—')
    """
    if value is None:
        return NOTHING
    if abs(value) < 1_000:
        return f"{value:.0f} ms"
    return f"{value / 1_000:.1f} s" if abs(value) < 10_000 else age(value / 1_000)


def age(seconds: float | None) -> str:
    """Return a duration in its two largest units.

    >>> [age(value) for value in (0.4, 59, 61, 7200, 90_061, None)]
    ['0 s', '59 s', '1 min 1 s', '2 h', '1 d 1 h', '—']
    """
    if seconds is None:
        return NOTHING
    rest = max(0, int(seconds))
    told: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        value, rest = divmod(rest, size)
        told += [f"{value} {unit}"] if value else [""] if told else []
    return " ".join(part for part in told[:2] if part) or "0 s"


def clock(time_ms: int | None) -> str:
    """Return the time of day.

    >>> clock(1_522_540_800_000), clock(None)
    ('00:00:00', '—')
    """
    return NOTHING if time_ms is None else f"{_utc(time_ms):%H:%M:%S}"


def moment(time_ms: int | None) -> str:
    """Return date and time of day.

    >>> moment(1_522_540_800_000)
    '2018-04-01 00:00:00'
    """
    return NOTHING if time_ms is None else f"{_utc(time_ms):%Y-%m-%d %H:%M:%S}"


def minute(time_ms: int | None) -> str:
    """Return date and time of day to the minute.

    >>> minute(1_522_540_859_999)
    '2018-04-01 00:00'
    """
    return NOTHING if time_ms is None else f"{_utc(time_ms):%Y-%m-%d %H:%M}"


def iso(time_ms: int) -> str:
    """Return a time for machines.

    >>> iso(1_522_540_800_000)
    '2018-04-01T00:00:00Z'
    """
    return f"{_utc(time_ms):%Y-%m-%dT%H:%M:%SZ}"


def label(action: str) -> str:
    """Return an action in words.

    >>> label("step_up"), label("block")
    ('step-up', 'block')
    """
    return _LABELS.get(action, action)


def sentence(text: str) -> str:
    """Return a reason with a capital letter and a full stop.

    >>> sentence("ten or more payments"), sentence("Why?"), sentence("")
    ('Ten or more payments.', 'Why?', '')
    """
    told = text.strip()
    return told[:1].upper() + told[1:] + ("" if not told or told[-1] in ".!?…" else ".")


def _utc(time_ms: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(time_ms / 1_000, dt.UTC)


FILTERS: Mapping[str, Callable[..., Any]] = {
    told.__name__: told
    for told in (
        money,
        count,
        per_second,
        percent,
        decimal,
        milliseconds,
        age,
        clock,
        moment,
        minute,
        iso,
        label,
        sentence,
    )
}
"""The words by the names that templates call them by."""
