"""The shape of a row of the feature table."""

from collections.abc import Callable
from typing import NamedTuple

from schemas.fields import Number
from streams.detector.look import Look


class Row(NamedTuple):
    """One number about a payment: its unit, its range (values beyond are clipped), why it is there, how it is found.

    `value` returns None where it cannot be told; the feature is then left out. Rows without one are exact
    numbers, which `Look.exact` holds in their order.
    """

    name: str
    unit: str
    low: float
    high: float
    why: str
    value: Callable[[Look], Number | None] | None
