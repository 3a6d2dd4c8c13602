"""What every view of a store shows, and where two stores differ in it."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from consumers.rows import SINKS
from consumers.warehouse import Warehouse
from schemas.fields import DAY_MS
from tests.contract.views_told import PARAMETER, at, called
from tests.contract.warehouse_rows import AT_MS
from tests.crashes.logs import Logs

CLOCK = frozenset({"read_from", "touched_at", "stale", "stale_hours"})
"""Columns that tell when something was stored or built, by the store's own clock."""
EARLIER = {"known_at": at(AT_MS + 3 * DAY_MS)}
LOOKS: Mapping[str, Mapping[str, Any]] = {
    "v_truth": EARLIER,
    "v_verdicts_known": EARLIER,
    "v_transaction": {"transaction_id": "tx-7"},
}
"""What some views are asked beside what they are asked in their own tests."""
TOLERANCE = 1e-9
"""Of fractions, relative: their sums depend on the order of adding."""

Rows = list[tuple[Any, ...]]
Shown = dict[str, Rows]
"""What is asked of a store, as SQL, and the rows of the answer in an order of their own."""


def views(store: Warehouse) -> dict[str, str]:
    """Return every view that is there, with the statement that makes it."""
    listed = store.query_columns(
        "SELECT name, create_table_query AS sql FROM system.tables "
        "WHERE database = currentDatabase() AND engine = 'View' ORDER BY name"
    )
    return dict(zip(listed["name"], listed["sql"], strict=True))


def tables(store: Warehouse) -> list[str]:
    """Return every table that keeps rows of the topics, or what is made from them."""
    listed = store.query_columns(
        "SELECT name FROM system.tables WHERE database = currentDatabase() "
        "AND engine LIKE '%MergeTree' AND name != 'schema_migrations'"
    )
    return listed["name"]


def asked_of(view: str, sql: str) -> list[str]:
    """Return what a view is asked."""
    wanted = {name for name, _ in PARAMETER.findall(sql)}
    return [called(view, wanted, **look) for look in ({}, LOOKS.get(view)) if look is not None]


def shown(store: Warehouse, chosen: Mapping[str, str]) -> Shown:
    """Return what views show, of which the statements are given, without the columns that tell the time."""
    return {
        asked: _rows(store.query_columns(f"SELECT * FROM {asked}"))  # noqa: S608 - names and constants of the tests
        for view, sql in chosen.items()
        for asked in asked_of(view, sql)
    }


def differing(wanted: Shown, found: Shown) -> list[str]:
    """Return what of the wanted the other store shows otherwise, with the first row that differs."""
    told = []
    for asked, rows in wanted.items():
        others = found[asked]
        if len(rows) != len(others):
            told.append(f"{asked}: {len(rows)} rows, found {len(others)}")
        pairs = zip(rows, others, strict=False)
        told += [f"{asked}: {ours}, found {theirs}" for ours, theirs in pairs if not _same(ours, theirs)][:1]
    return told


def store_once(logs: Logs, store: Warehouse) -> None:
    """Store each record once and in order."""
    for sink in SINKS:
        made = [
            sink.to_row(record)
            for (topic, _), records in sorted(logs.records.items())
            if topic == sink.topic.name
            for record in records
        ]
        rows = [row for row in made if isinstance(row, tuple)]
        store.insert_columns(sink.table, dict(zip(sink.columns, map(list, zip(*rows, strict=True)), strict=True)))


def without_final(sql: str) -> str | None:
    """Return the statement that makes a view show every row that is stored; None where it does not hide any so."""
    bare = re.sub(r"\bFINAL\b", "", sql)
    return None if bare == sql else replacing(bare)


def replacing(sql: str) -> str:
    """Return the statement that makes a view, as one that takes the place of what is there."""
    return sql.replace("CREATE VIEW", "CREATE OR REPLACE VIEW", 1)


def _rows(columns: Mapping[str, Sequence[Any]]) -> Rows:
    told = [values for name, values in columns.items() if name not in CLOCK]
    return sorted(zip(*told, strict=True), key=_order)


def _order(row: tuple[Any, ...]) -> tuple[str, str]:
    """Return a key by what is exact first: equal fractions may differ in the last digit."""
    fractions = [f"{value:.6e}" for value in row if isinstance(value, float)]
    return repr([value for value in row if not isinstance(value, float)]), repr(fractions)


def _same(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, float) and isinstance(theirs, float):
        close = math.isclose(ours, theirs, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        return close or (math.isnan(ours) and math.isnan(theirs))
    if isinstance(ours, tuple) and isinstance(theirs, tuple):
        return len(ours) == len(theirs) and all(map(_same, ours, theirs))
    return bool(ours == theirs)
