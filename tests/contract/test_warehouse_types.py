"""The embedded store takes a column of any type of ours as it is given, and refuses a whole batch for one value."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from consumers.warehouse import WarehouseError, open_warehouse
from schemas.settings import Settings

TIME = dt.datetime(2026, 10, 31, 23, 59, 59, 999_000, dt.UTC)
TIME_MS = 1_793_491_199_999
TYPES: dict[str, tuple[str, list[Any]]] = {
    "number": ("UInt64", [2**64 - 1, 0]),
    "maybe": ("Nullable(Int16)", [None, -120]),
    "word": ("LowCardinality(String)", ["", "naïve ⚡"]),
    "maybe_word": ("LowCardinality(Nullable(String))", [None, "a"]),
    "at": ("DateTime64(3, 'UTC')", [TIME_MS, 0]),
    "second": ("DateTime('UTC')", [TIME_MS // 1_000, 0]),
    "share": ("Float64", [2**60, -1e300]),
    "flag": ("Bool", [True, False]),
    "numbers": ("Map(LowCardinality(String), Float64)", [{"a": 1, "b": 0.5}, {}]),
    "texts": ("Map(String, String)", [{}, {"k": "v"}]),
    "places": ("Map(LowCardinality(String), Tuple(partition Int32, offset Int64))", [{"t": (3, 2**40)}, {}]),
    "words": ("Array(LowCardinality(String))", [["a", ""], []]),
    "shares": ("Array(Nullable(Float64))", [[None, 0.5], [1]]),
}
READ = {name: values for name, (_, values) in TYPES.items()} | {
    "at": [TIME, dt.datetime.fromtimestamp(0, dt.UTC)],
    "second": [TIME.replace(microsecond=0), dt.datetime.fromtimestamp(0, dt.UTC)],
    "places": [{"t": {"partition": 3, "offset": 2**40}}, {}],
}
MISFITS = {"number": None, "maybe": "-120", "word": 7, "numbers": {"a": None}, "places": {"t": (3,)}, "words": [None]}


def test_each_type_is_read_as_it_was_inserted(tmp_path: Path) -> None:
    opened = open_warehouse(Settings(data_dir=tmp_path))
    columns = ", ".join(f"{name} {kind}" for name, (kind, _) in TYPES.items())
    opened.execute(f"CREATE TABLE typed ({columns}) ENGINE = MergeTree ORDER BY tuple()")
    given = {name: values for name, (_, values) in TYPES.items()}
    for name, misfit in MISFITS.items():
        with pytest.raises(WarehouseError, match=rf"a value does not fit its column: typed\.{name}: "):
            opened.insert_columns("typed", given | {name: [given[name][0], misfit]})
    assert opened.query_columns("SELECT count() AS rows FROM typed") == {"rows": [0]}
    opened.insert_columns("typed", given)
    read = opened.query_columns("SELECT * FROM typed")
    assert {name: [list(v) if isinstance(v, tuple) else v for v in values] for name, values in read.items()} == READ
    opened.close()


def test_a_table_that_was_changed_is_known_anew(tmp_path: Path) -> None:
    opened = open_warehouse(Settings(data_dir=tmp_path))
    for kind, value in (("Int64", 7), ("String", "seven")):
        opened.execute("DROP TABLE IF EXISTS changed")
        opened.execute(f"CREATE TABLE changed (c {kind}) ENGINE = MergeTree ORDER BY tuple()")
        opened.insert_columns("changed", {"c": [value]})
        assert opened.query_columns("SELECT c FROM changed") == {"c": [value]}
    opened.close()
