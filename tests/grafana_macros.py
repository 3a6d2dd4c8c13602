"""The macros of Grafana's ClickHouse data source, written out as its Go code does it (pkg/macros, version 4)."""

import re
from collections.abc import Callable

MACRO = re.compile(r"\$__(\w+)(?:\(([^()]*)\))?")


def expanded(sql: str, from_ms: int, to_ms: int, interval_s: int) -> str:
    """Return a query as the data source sends it, for a range of time and a step.

    >>> expanded("SELECT $__timeInterval(t) AS time FROM a WHERE $__timeFilter(t) AND t < $__toTime", 1_000, 9_000, 60)
    'SELECT toStartOfInterval(toDateTime(t), INTERVAL 60 second) AS time FROM a WHERE t >= toDateTime(1) AND \
t <= toDateTime(9) AND t < toDateTime(9)'
    """
    since, until = f"toDateTime({from_ms // 1_000})", f"toDateTime({to_ms // 1_000})"
    macros: dict[str, Callable[[str], str]] = {
        "fromTime": lambda _: since,
        "toTime": lambda _: until,
        "timeFilter": lambda column: f"{column} >= {since} AND {column} <= {until}",
        "timeInterval": lambda column: f"toStartOfInterval(toDateTime({column}), INTERVAL {interval_s} second)",
    }
    return MACRO.sub(lambda found: macros[found[1]](found[2] or ""), sql)
