"""Amounts in one base currency, so that a card that pays abroad is compared with itself."""

from functools import cache

from iso4217 import Currency

from schemas.learning import RateTable

AMOUNT_BASE_MAX = 10**13


@cache
def _minor_per_major(code: str) -> int:
    exponent: int = Currency(code).exponent or 0
    return int(10**exponent)


def to_base_minor(amount_minor: int, currency: str, rates: RateTable) -> int | None:
    """Return an amount in minor units of the base currency, at most 10**13, or None where the table has no rate.

    >>> rates = RateTable(version="r-1", author="x", base="EUR", units_per_base={"USD": 1.25, "JPY": 125.0})
    >>> to_base_minor(1000, "USD", rates), to_base_minor(1250, "JPY", rates), to_base_minor(7, "EUR", rates)
    (800, 1000, 7)
    >>> to_base_minor(7, "XOF", rates) is None
    True
    """
    if currency == rates.base:
        return min(amount_minor, AMOUNT_BASE_MAX)
    per_base = rates.units_per_base.get(currency)
    if per_base is None:
        return None
    base_minor = amount_minor / _minor_per_major(currency) / per_base * _minor_per_major(rates.base)
    return round(min(base_minor, AMOUNT_BASE_MAX))
