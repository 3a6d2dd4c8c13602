"""What a panel is: a question in SQL, and how its answer is shown.

`$__timeFilter`, `$__timeInterval`, `$__fromTime` and `$__toTime` are macros of the ClickHouse data source: they stand
for the range of time that is looked at, and for a step of it that fits the panel's width. All payments are by their own
time, which is in the key of the tables, so that a panel reads the weeks that it shows and no more.
"""

from typing import Literal, NamedTuple

Kind = Literal["timeseries", "stat", "table"]


class Panel(NamedTuple):
    """One panel: its unit is Grafana's name of one, `short` for plain numbers."""

    title: str
    kind: Kind
    unit: str
    description: str
    sql: str
