"""How a panel asks the store, and how it gets at the answer.

A panel that is asked every second cannot read a view over all that was ever stored: merging away the sink's repeats
takes about a second per million rows. What is recent is read from the tables instead, by the time it was written, and
each record counts once by its place in Kafka; what is added up over everything is read from the views.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Query = Callable[[str, Mapping[str, Any] | None], Mapping[str, Sequence[Any]]]
"""SQL with `{name:Type}` parameters and their values -> the result by column."""

ACTIONS = ("block", "review", "step_up", "approve", "invalid")
"""From severe to mild; `invalid` answers a record that could not be read."""


def rows(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return a result row by row.

    >>> rows({"action": ["approve", "block"], "payments": [9, 1]})
    [{'action': 'approve', 'payments': 9}, {'action': 'block', 'payments': 1}]
    """
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def number(value: Any) -> float | None:
    """Return a number of the store, or None for its ways to say that there is none.

    >>> number(2), number(None), number(float("nan"))
    (2.0, None, None)
    """
    return None if value is None or not math.isfinite(value) else float(value)


def share(part: float, whole: float) -> float | None:
    """Return what part of the whole it is, 0 to 1, or None of nothing.

    >>> share(1, 4), share(0, 0)
    (0.25, None)
    """
    return part / whole if whole else None
