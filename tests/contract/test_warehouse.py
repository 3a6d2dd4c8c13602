"""What both homes of the store promise, on simple types that ClickHouse has had since 2018."""

import datetime as dt
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from consumers.warehouse import (
    Warehouse,
    WarehouseError,
    WarehouseInUseError,
    WarehouseUnavailableError,
    open_warehouse,
)
from deploy.clickhouse_server import ClickHouseServer, find_clickhouse_server
from schemas.settings import Settings

PASSWORD = "pass/word:@ten"  # noqa: S105 - of a server that lives as long as this module
CREATE = """
CREATE TABLE wire
(
    number Int64, name String, share Float64, names Array(String), shares Array(Nullable(Float64)),
    maybe Nullable(Int32), word Nullable(String), at DateTime('UTC')
)
ENGINE = MergeTree PARTITION BY toYYYYMM(at) ORDER BY number
"""
COLUMNS: dict[str, list[Any]] = {
    "number": [2**62, -1, 0],
    "name": ["", "naïve ⚡", "'; DROP TABLE wire; --"],
    "share": [0.1, -1e300, 5e-324],
    "names": [[], ["a", ""], ["b"]],
    "shares": [[None], [], [0.5, None]],
    "maybe": [None, 7, -7],
    "word": ["x", None, ""],
    "at": [1_522_540_800, 0, 4_102_444_799],
}
AS_READ = COLUMNS | {"at": [dt.datetime.fromtimestamp(second, dt.UTC) for second in COLUMNS["at"]]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseServer]:
    if find_clickhouse_server() is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no clickhouse-server: CI must prove the native protocol (apt-get install clickhouse-server)")
        pytest.skip("no clickhouse-server on this machine: apt-get install clickhouse-server")
    with ClickHouseServer(tmp_path_factory.mktemp("clickhouse"), password=PASSWORD) as running:
        yield running


@pytest.fixture(params=["embedded", pytest.param("server", marks=pytest.mark.clickhouse_server)])
def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Warehouse]:
    url = request.getfixturevalue("server").url if request.param == "server" else ""
    opened = open_warehouse(Settings(clickhouse_url=url, data_dir=tmp_path))
    opened.execute("DROP TABLE IF EXISTS wire")
    opened.execute(CREATE)
    yield opened
    opened.close()


def test_what_is_inserted_is_read(warehouse: Warehouse) -> None:
    warehouse.ping()
    warehouse.insert_columns("wire", COLUMNS)
    read = warehouse.query_columns("SELECT * FROM wire ORDER BY maybe DESC NULLS FIRST")
    assert {name: [list(v) if isinstance(v, tuple) else v for v in values] for name, values in read.items()} == AS_READ


def test_the_columns_given_are_left_as_they_were(warehouse: Warehouse) -> None:
    given = {name: list(values) for name, values in COLUMNS.items()}
    for _ in range(2):  # a retry inserts the same lists again
        warehouse.insert_columns("wire", given)
    assert given == COLUMNS
    assert warehouse.query_columns("SELECT count() AS rows, sum(maybe IS NULL) AS nulls FROM wire") == {
        "rows": [6],
        "nulls": [2],
    }


def test_columns_may_come_in_any_order_and_some_be_left_out(warehouse: Warehouse) -> None:
    warehouse.insert_columns("wire", {"name": ["n"], "number": [1]})
    assert warehouse.query_columns("SELECT number, name, maybe FROM wire") == {
        "number": [1],
        "name": ["n"],
        "maybe": [None],
    }


def test_no_rows_is_nothing(warehouse: Warehouse) -> None:
    warehouse.insert_columns("wire", {"number": [], "name": []})
    assert warehouse.query_columns("SELECT number, name FROM wire") == {"number": [], "name": []}


def test_a_large_batch_over_many_months(warehouse: Warehouse) -> None:
    rows = 20_000
    month_s = 31 * 86_400
    months = 99 if "Native" in repr(warehouse) else 300  # 18.16 has no way to allow more than 100 in one insert
    warehouse.insert_columns(
        "wire",
        {
            "number": list(range(rows)),
            "name": ["same text"] * rows,
            "at": [1_000_000_000 + month_s * (n % months) for n in range(rows)],
        },
    )
    assert warehouse.query_columns("SELECT count() AS c, uniqExact(number) AS u FROM wire") == {
        "c": [rows],
        "u": [rows],
    }


def test_arrow(warehouse: Warehouse) -> None:
    warehouse.insert_columns("wire", COLUMNS)
    table = warehouse.query_arrow("SELECT number, name, maybe FROM wire ORDER BY number")
    assert table.to_pydict() == {
        "number": [-1, 0, 2**62],
        "name": ["naïve ⚡", "'; DROP TABLE wire; --", ""],
        "maybe": [7, -7, None],
    }


@pytest.mark.parametrize(
    ("table", "columns", "told"),
    [
        ("nowhere", {"number": [1]}, "nowhere"),
        ("wire", {"number": ["text"]}, "number"),
        ("wire", {"number": [1, 2], "name": ["only one"]}, "unequal"),
        ("wire; DROP TABLE wire", {"number": [1]}, "not a name"),
        ("wire", {"number) SELECT 1 --": [1]}, "not a name"),
        ("wire", {"no_column": [1]}, "no_column"),
        ("wire", {"number": [2**63]}, "number"),
    ],
)
def test_a_refused_insert_says_why_in_one_line_and_stores_nothing(
    warehouse: Warehouse, table: str, columns: dict[str, list[object]], told: str
) -> None:
    with pytest.raises(WarehouseError, match=told) as refused:
        warehouse.insert_columns(table, columns)
    assert not isinstance(refused.value, WarehouseUnavailableError)
    assert "\n" not in str(refused.value)
    assert warehouse.query_columns("SELECT count() AS rows FROM wire") == {"rows": [0]}


@pytest.mark.parametrize("sql", ["SELEC 1", "SELECT * FROM nowhere", "SELECT no_column FROM wire"])
def test_a_refused_question_says_why_and_the_next_is_answered(warehouse: Warehouse, sql: str) -> None:
    with pytest.raises(WarehouseError) as refused:
        warehouse.query_columns(sql)
    assert "\n" not in str(refused.value)
    assert "Stack trace" not in str(refused.value)
    warehouse.ping()


def test_a_parameter_is_a_value_and_never_sql(tmp_path: Path) -> None:
    opened = open_warehouse(Settings(data_dir=tmp_path))
    read = opened.query_columns("SELECT {text:String} AS text, {n:Int64} AS n", {"text": "' OR 1=1 --", "n": 3})
    opened.close()
    assert read == {"text": ["' OR 1=1 --"], "n": [3]}


def test_the_folder_keeps_and_belongs_to_one_at_a_time(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    first = open_warehouse(settings)
    first.execute(CREATE)
    first.insert_columns("wire", COLUMNS)
    with pytest.raises(WarehouseInUseError, match="open in another process") as refused:
        open_warehouse(settings)
    assert "\n" not in str(refused.value)
    first.close()
    first.close()
    second = open_warehouse(settings)
    assert second.query_columns("SELECT count() AS rows FROM wire") == {"rows": [3]}
    second.close()


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WarehouseError, match="cannot be opened"):
        open_warehouse(Settings(data_dir=tmp_path / "file"))


@pytest.mark.parametrize("url", ["http://h:8123", "clickhouse://h:port/x", "clickhouse://", "h:9000"])
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(WarehouseError, match="FRAUD_CLICKHOUSE_URL"):
        open_warehouse(Settings(clickhouse_url=url))


@pytest.mark.clickhouse_server
def test_it_connects_again_after_a_kill(server: ClickHouseServer) -> None:
    opened = open_warehouse(Settings(clickhouse_url=server.url))
    opened.execute("DROP TABLE IF EXISTS wire")
    opened.execute(CREATE)
    opened.insert_columns("wire", COLUMNS)
    server.kill()
    for _ in range(2):
        with pytest.raises(WarehouseUnavailableError) as unavailable:
            opened.insert_columns("wire", COLUMNS)
        assert "\n" not in str(unavailable.value)
        assert PASSWORD not in str(unavailable.value)
    server.restart()
    opened.insert_columns("wire", COLUMNS)
    assert opened.query_columns("SELECT count() AS rows FROM wire") == {"rows": [6]}
    opened.close()


@pytest.mark.clickhouse_server
def test_a_paused_server_is_unavailable_in_bounded_time(server: ClickHouseServer) -> None:
    opened = open_warehouse(
        Settings(clickhouse_url=server.url + "?send_receive_timeout=1&sync_request_timeout=1&connect_timeout=1")
    )
    opened.ping()
    server.pause()
    try:
        with pytest.raises(WarehouseUnavailableError):
            opened.query_columns("SELECT 1")
    finally:
        server.resume()
    opened.ping()
    opened.close()


@pytest.mark.clickhouse_server
def test_a_wrong_password_is_refused_and_never_shown(
    server: ClickHouseServer, caplog: pytest.LogCaptureFixture
) -> None:
    url = server.url.replace("pass%2Fword", "wrong%2Fsecret")
    assert url != server.url
    opened = open_warehouse(Settings(clickhouse_url=url))
    with pytest.raises(WarehouseError) as refused:
        opened.ping()
    assert not isinstance(refused.value, WarehouseUnavailableError)
    for told in (str(refused.value), repr(opened), repr(Settings(clickhouse_url=url)), caplog.text):
        assert "secret" not in told


@pytest.mark.clickhouse_server
def test_columns_travel_compressed(server: ClickHouseServer) -> None:
    opened = open_warehouse(Settings(clickhouse_url=server.url))
    opened.execute("DROP TABLE IF EXISTS wire")
    opened.execute(CREATE)
    opened.insert_columns("wire", {"number": list(range(1000)), "name": ["x" * 100] * 1000})
    read = opened.query_columns("SELECT 1 FROM wire WHERE length(name) = 100")
    assert len(next(iter(read.values()))) == 1000
    assert opened._client.connection.compressor_cls.__module__ == "clickhouse_driver.compression.lz4"  # type: ignore[attr-defined]
    opened.close()
