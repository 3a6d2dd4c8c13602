"""A dashboard's JSON, by Grafana's own foundation SDK, for the official ClickHouse data source."""

import json
from collections.abc import Sequence
from typing import Any

from grafana_foundation_sdk.builders import dashboard, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DataSourceRef, GridPos

from deploy.grafana.panel import Panel

SOURCE_TYPE = "grafana-clickhouse-datasource"
VARIABLE = "datasource"
PLUGIN_VERSION = "4.0.0"
"""Whose form the queries have: without one the data source takes them for those of version 3."""
SOURCE_UID = f"${{{VARIABLE}}}"
WIDTH, HEIGHT, COLUMNS = 12, 8, 2
BUILDERS = {"timeseries": timeseries.Panel, "stat": stat.Panel, "table": table.Panel}


class SqlQuery:
    """A query as the ClickHouse data source keeps it, and its own builder: the SDK knows none for this source."""

    def __init__(self, sql: str, *, over_time: bool) -> None:
        self._sql = sql.strip()
        self._over_time = over_time

    def build(self) -> "SqlQuery":
        """Return itself."""
        return self

    def to_json(self) -> dict[str, Any]:
        """Return the fields of the data source's SQL editor; format 0 is a time series, 1 a table."""
        return {
            "datasource": {"type": SOURCE_TYPE, "uid": SOURCE_UID},
            "editorType": "sql",
            "format": 0 if self._over_time else 1,
            "pluginVersion": PLUGIN_VERSION,
            "queryType": "timeseries" if self._over_time else "table",
            "rawSql": self._sql,
            "refId": "A",
        }


def dashboard_json(name: str, panels: Sequence[Panel]) -> str:
    """Return one dashboard: two panels a row, in their order."""
    board = (
        dashboard.Dashboard(f"Fraud detection: {name}")
        .uid(f"fraud-detection-{name}")
        .tags(["fraud-detection"])
        .timezone("utc")
        .time("now-7d", "now")
        .refresh("1m")
        .readonly()
        .with_variable(dashboard.DatasourceVariable(VARIABLE).label("ClickHouse").type(SOURCE_TYPE))
    )
    for place, panel in enumerate(panels):
        row, column = divmod(place, COLUMNS)
        board.with_panel(
            BUILDERS[panel.kind]()
            .id(place + 1)
            .title(panel.title)
            .description(panel.description)
            .unit(panel.unit)
            .datasource(DataSourceRef(type_val=SOURCE_TYPE, uid=SOURCE_UID))
            .grid_pos(GridPos(x=column * WIDTH, y=row * HEIGHT, w=WIDTH, h=HEIGHT))
            .with_target(SqlQuery(panel.sql, over_time=panel.kind == "timeseries"))
        )
    built = json.loads(json.dumps(board.build(), cls=JSONEncoder))
    for panel in built["panels"]:
        panel["options"] = panel["options"] or {}  # the SDK writes null, which Grafana's own export never has
    return json.dumps(built, indent=1, sort_keys=True) + "\n"
