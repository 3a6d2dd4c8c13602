"""Lengths of time as people write them: `7d`, `12h`, `90s`."""

import re
from decimal import Decimal

UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
"""Unit to milliseconds."""

LONGEST_MS = 3_660 * UNITS_MS["d"]
"""Ten years: more is a slip of the pen."""

_DURATION = re.compile(rf"(?P<number>\d{{1,15}}(?:\.\d{{1,9}})?)\s?(?P<unit>{'|'.join(UNITS_MS)})", re.ASCII)


def duration_ms(text: str) -> int:
    """Return the milliseconds in a number with a unit (ms, s, m, h, d).

    >>> duration_ms("7d"), duration_ms("1.5h"), duration_ms("90s"), duration_ms("0s")
    (604800000, 5400000, 90000, 0)
    >>> duration_ms("7")
    Traceback (most recent call last):
    ValueError: '7' is not a duration: write a number and one of ms, s, m, h, d, such as 90s or 7d

    Raises
    ------
    ValueError
        Not a number with a unit, less than a millisecond of precision, or longer than ten years.
    """
    found = _DURATION.fullmatch(text.strip())
    if not found:
        raise ValueError(
            f"{text!r} is not a duration: write a number and one of {', '.join(UNITS_MS)}, such as 90s or 7d"
        )
    exact = Decimal(found["number"]) * UNITS_MS[found["unit"]]
    if exact != int(exact):
        raise ValueError(f"{text!r} is not a whole number of milliseconds")
    if exact > LONGEST_MS:
        raise ValueError(f"{text!r} is longer than ten years")
    return int(exact)
