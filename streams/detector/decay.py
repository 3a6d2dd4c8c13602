"""Exponentially decayed sums, the same to the last bit on every machine.

A sum loses half of its value in every half-life. Time is counted in ticks of 1/1024 half-life from the epoch, so decay
from one moment to another is a whole number of ticks, and decaying in two goes is decaying in one. Factors come from a
table made in decimal arithmetic: the C library's `exp` may differ in its last bit from machine to machine, and a past
decision must be recomputed bit for bit. (Forward decay: Cormode et al., ICDE 2009.)
"""

from decimal import Decimal
from math import ldexp

_TICKS = 1024
_FACTORS = tuple(float(Decimal(2) ** (Decimal(-tick) / _TICKS)) for tick in range(_TICKS))


def decay(from_ms: int, to_ms: int, half_life_ms: int) -> float:
    """Return what is left at `to_ms` of one unit at `from_ms`; 1.0 where that is not later.

    >>> decay(0, 86_400_000, 86_400_000), decay(0, 3 * 86_400_000, 86_400_000), decay(9, 5, 1000)
    (0.5, 0.125, 1.0)
    """
    if to_ms <= from_ms:
        return 1.0
    ticks = to_ms * _TICKS // half_life_ms - from_ms * _TICKS // half_life_ms
    return ldexp(_FACTORS[ticks & (_TICKS - 1)], -(ticks >> 10))
