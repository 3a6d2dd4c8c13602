"""The shipped tables, on the engine itself: they agree with the rows, take them twice and show them once."""

import datetime as dt
import re
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
from clickhouse_driver import Client
from clickhouse_driver.block import ColumnOrientedBlock
from clickhouse_driver.bufferedwriter import BufferedSocketWriter
from clickhouse_driver.connection import ServerInfo
from clickhouse_driver.streams.native import BlockOutputStream

from consumers.clickhouse_to_parquet import write_parquet
from consumers.migrations_to_clickhouse import (
    Migration,
    MigrationError,
    migrate,
    pending_migrations,
    shipped_migrations,
)
from consumers.rows import SINKS
from consumers.warehouse import Warehouse, WarehouseError, open_warehouse, query_frame
from schemas.settings import Settings
from tests.contract.warehouse_rows import (
    AT_MS,
    ROWS,
    SINK,
    dead_letter_record,
    decision,
    insert,
    prediction,
    row,
)

AT = dt.datetime.fromtimestamp(AT_MS / 1_000, dt.UTC)
MARKS = {
    "predictions_to_hours_touched": "hours_touched",
    "predictions_to_transaction_ids": "transaction_ids",
}
"""Materialised views, and the tables that they write."""
ANALYSTS = (
    "v_answered",
    "v_disparity",
    "v_drift",
    "v_drift_features",
    "v_drift_score",
    "v_feature_hours",
    "v_hours_touched",
    "v_in_force",
    "v_latency",
    "v_maturity",
    "v_merchant_fraud",
    "v_money_daily",
    "v_quality",
    "v_reviews",
    "v_threshold_sweep",
    "v_transaction",
    "v_truth",
    "v_verdicts_known",
)


@pytest.mark.parametrize("table", SINK)
def test_the_rows_have_the_columns_of_the_table(warehouse: Warehouse, table: str) -> None:
    described = warehouse.query_columns("DESCRIBE TABLE {table:Identifier}", {"table": table})
    kinds = dict(zip(described["name"], described["default_type"], strict=True))
    assert SINK[table].columns == tuple(name for name, kind in kinds.items() if kind != "MATERIALIZED")
    assert all(described["comment"])
    assert len(set(described["comment"])) == len(described["comment"])


def test_every_table_and_view_says_what_it_is(warehouse: Warehouse) -> None:
    listed = query_frame(
        warehouse, "SELECT name, engine, comment FROM system.tables WHERE database = currentDatabase()"
    ).set_index("name")
    assert set(listed.index) == {
        *SINK,
        *(sink.view for sink in SINKS),
        "v_verdicts",
        "v_labelled",
        "v_alerts_firing",
        "matured",
        "schema_migrations",
        "feature_hours",
        "payment_hours",
        "hours_touched",
        "transaction_ids",
        *MARKS,
        *ANALYSTS,
    }
    assert listed["comment"].all()


def test_what_an_insert_does_beside_is_harmless_twice(warehouse: Warehouse) -> None:
    """Law: a materialised view only marks, in a table where a repeat takes the place of what was there."""
    asked = "SELECT name, as_select, engine FROM system.tables WHERE database = currentDatabase()"
    listed = query_frame(warehouse, asked).set_index("name")
    assert set(listed[listed["engine"] == "MaterializedView"].index) == set(MARKS)
    for name, target in MARKS.items():
        assert listed.loc[target, "engine"] == "ReplacingMergeTree"
        assert not re.search(r"\b(sum|count|GROUP BY)\b", str(listed.loc[name, "as_select"]))


@pytest.mark.parametrize("table", SINK)
def test_the_native_driver_packs_the_columns_as_the_engine_reads_them(
    warehouse: Warehouse, tmp_path: Path, table: str
) -> None:
    """No server of today's version can be installed here, but the engine reads the driver's blocks from a file."""
    described = warehouse.query_columns("DESCRIBE TABLE {table:Identifier}", {"table": table})
    types = dict(zip(described["name"], described["type"], strict=True))
    client = Client("nowhere")
    client.connection.context.server_info = ServerInfo("", 0, 0, 0, 0, "UTC", "", 0)
    columns = [list(column) for column in zip(*ROWS[table], strict=True)]
    block = ColumnOrientedBlock([(name, types[name]) for name in SINK[table].columns], columns)
    path = tmp_path / "block.native"
    with path.open("wb") as file:
        socket = SimpleNamespace(sendall=file.write)
        BlockOutputStream(BufferedSocketWriter(socket, 65_536), client.connection.context).write(block)
    names = ", ".join(f"`{name}`" for name in SINK[table].columns)
    warehouse.execute(f"INSERT INTO {table} ({names}) FROM INFILE '{path}' FORMAT Native")
    read = "SELECT * FROM {view:Identifier} ORDER BY record_offset"
    packed = warehouse.query_columns(read, {"view": SINK[table].view})
    warehouse.execute(f"TRUNCATE TABLE {table}")
    insert(warehouse, table, *ROWS[table])
    assert packed == warehouse.query_columns(read, {"view": SINK[table].view})
    assert packed["record_offset"]


@pytest.mark.parametrize("table", SINK)
def test_rows_stored_again_change_no_view(warehouse: Warehouse, table: str) -> None:
    rows, view = ROWS[table], {"view": SINK[table].view}
    read = "SELECT * FROM {view:Identifier} ORDER BY record_partition, record_offset"
    insert(warehouse, table, *rows)
    first = warehouse.query_columns(read, view)
    assert first["record_offset"] == [made[-1] for made in rows]
    insert(warehouse, table, *rows)  # the same batch again
    insert(warehouse, table, *rows[1:], *rows[1:])  # an overlapping one, and twice in one block
    insert(warehouse, table, rows[0])
    assert warehouse.query_columns("SELECT count() AS c FROM {t:Identifier}", {"t": table})["c"][0] > len(rows)
    assert warehouse.query_columns(read, view) == first
    warehouse.execute(f"OPTIMIZE TABLE {table} FINAL")
    assert warehouse.query_columns(read, view) == first


def test_what_a_prediction_says_is_what_the_store_says(warehouse: Warehouse) -> None:
    insert(warehouse, "predictions", row("predictions", prediction(), offset=7))
    read = {name: values[0] for name, values in warehouse.query_columns("SELECT * FROM v_predictions").items()}
    assert read["event_time"] == AT
    assert read["decided_at"] == AT + dt.timedelta(milliseconds=5)
    assert read["features"] == {"card_amount_sum_1h": 12.5, "card_count_1h": 3}
    assert read["positions"]["fraud.models.v1"] == {"partition": 0, "offset": 2**40}
    assert list(read["reason_contributions"]) == [1.5, None]
    assert (read["score"], read["customer"], read["utc_offset_minutes"]) == (612, "", -120)
    assert (read["model_version"], read["policy_version"], read["rates_version"]) == ("m-1", "p-1", "r-1")
    assert (read["record_partition"], read["record_offset"]) == (2, 7)
    asked = "SELECT features['card_count_1h'] AS n, positions['fraud.models.v1'].offset AS o FROM v_predictions"
    assert warehouse.query_columns(asked) == {"n": [3.0], "o": [2**40]}


def test_a_fallback_gives_way_to_a_decision(tmp_path: Path) -> None:
    """Law: of answers to one payment the first that is no fallback holds, whichever came first, and from before too."""
    review = decision(action="review", mode="fallback")
    opened = open_warehouse(Settings(data_dir=tmp_path))
    migrate(opened, shipped_migrations()[:8])
    insert(opened, "decisions", row("decisions", decision(transaction_id="tx-old"), offset=4))
    migrate(opened)
    insert(opened, "decisions", row("decisions", review, offset=1))
    assert opened.query_columns("SELECT mode FROM v_decisions WHERE transaction_id != 'tx-old'") == {
        "mode": ["fallback"]
    }
    for offset, answer in ((7, decision()), (0, review), (9, decision())):
        insert(opened, "decisions", row("decisions", answer, offset=offset, partition=offset % 3))
    for offset, answer in (
        (3, decision(transaction_id="tx-old", mode="fallback")),
        (5, decision(transaction_id="tx-old")),
    ):
        insert(opened, "decisions", row("decisions", answer, offset=offset))
    for _ in range(2):
        read = opened.query_columns("SELECT mode, record_offset FROM v_decisions ORDER BY record_offset")
        assert read == {"mode": ["normal", "normal"], "record_offset": [4, 7]}
        opened.execute("OPTIMIZE TABLE decisions FINAL")
    opened.close()


def test_of_two_predictions_of_one_payment_the_first_counts(warehouse: Warehouse) -> None:
    later, first = prediction(action="block"), prediction(action="approve")
    insert(warehouse, "predictions", row("predictions", later, offset=9))
    insert(warehouse, "predictions", row("predictions", first, offset=7))
    insert(warehouse, "predictions", row("predictions", later, offset=9))
    assert warehouse.query_columns("SELECT action FROM v_predictions") == {"action": ["approve"]}


def test_an_id_used_again_after_its_horizon_is_another_payment(warehouse: Warehouse) -> None:
    again_ms = AT_MS + 31 * 86_400_000
    insert(
        warehouse,
        "predictions",
        row("predictions", prediction()),
        row("predictions", prediction(event_time_ms=again_ms)),
    )
    assert warehouse.query_columns("SELECT count() AS c FROM v_predictions") == {"c": [2]}


def test_refusals_stand_beside_the_answer_and_each_other(warehouse: Warehouse) -> None:
    refused = decision(action="invalid")
    unread = decision(action="invalid", card=None, event_time_ms=None)
    rows = [
        row("decisions", refused, offset=1),
        row("decisions", decision(), offset=2),
        row("decisions", refused, offset=3),
        row("decisions", unread, offset=4),
        row("decisions", unread, offset=5),
        row("decisions", unread, offset=5, partition=3),
        row("decisions", decision(action="block"), offset=8),  # a second answer: never shown
    ]
    for _ in range(2):
        insert(warehouse, "decisions", *rows)
    counted = query_frame(warehouse, "SELECT action, count() AS c FROM v_decisions GROUP BY action ORDER BY action")
    assert counted.to_dict("list") == {"action": ["approve", "invalid"], "c": [1, 5]}


@pytest.mark.parametrize("timestamp_ms", [-1, 0, 2**62])
def test_a_dead_letter_keeps_bytes_as_text_and_any_timestamp(warehouse: Warehouse, timestamp_ms: int) -> None:
    insert(warehouse, "dead_letters", row("dead_letters", dead_letter_record(timestamp_ms=timestamp_ms)))
    read = {name: values[0] for name, values in warehouse.query_columns("SELECT * FROM v_dead_letters").items()}
    assert (read["value"], read["value_bytes"], read["key"]) == ("{\\xff", 2, "card_a")
    assert (read["topic"], read["partition"], read["offset"]) == ("payments.transactions.v1", 3, 41)
    assert (read["stage"], read["reason"], read["detail"]) == ("card", "not_json", "EOF at column 1")
    assert read["headers"] == {"traceparent": "00-1", "empty": ""}


def test_a_large_dead_letter_keeps_size_and_hash(warehouse: Warehouse) -> None:
    insert(warehouse, "dead_letters", row("dead_letters", dead_letter_record(value=b"x" * 100_000)))
    read = warehouse.query_columns(
        "SELECT length(value) AS l, value_bytes, length(value_sha256) AS h FROM v_dead_letters"
    )
    assert read == {"l": [65_536], "value_bytes": [100_000], "h": [64]}


def test_migrations_apply_once_and_refuse_a_changed_file(warehouse: Warehouse) -> None:
    assert pending_migrations(warehouse, shipped_migrations()) == ()
    assert migrate(warehouse) == ()
    changed = [Migration(each.name, each.sql + "\n-- changed") for each in shipped_migrations()]
    with pytest.raises(MigrationError, match=r"0001_predictions\.sql was changed"):
        migrate(warehouse, changed)
    added = Migration("0099_more.sql", "CREATE TABLE more (a Int8) ENGINE = Memory;\nINSERT INTO more VALUES (1);\n")
    assert migrate(warehouse, [*shipped_migrations(), added]) == ("0099_more.sql",)
    assert migrate(warehouse, [*shipped_migrations(), added]) == ()
    assert warehouse.query_columns("SELECT a FROM more") == {"a": [1]}
    with pytest.raises(MigrationError, match="a number of its own"):
        migrate(warehouse, [*shipped_migrations(), Migration("0001_again.sql", "")])


def test_a_migration_that_failed_is_pending_and_those_before_it_are_not(tmp_path: Path) -> None:
    opened = open_warehouse(Settings(data_dir=tmp_path))
    good, bad = (
        Migration("0001_a.sql", "CREATE TABLE a (b Int8) ENGINE = Memory;"),
        Migration("0002_b.sql", "CREATE b;"),
    )
    with pytest.raises(WarehouseError):
        migrate(opened, [good, bad])
    assert pending_migrations(opened, [good, bad]) == (bad,)
    opened.close()


def test_a_result_is_written_to_a_file_whole_or_not_at_all(warehouse: Warehouse, tmp_path: Path) -> None:
    for _ in range(2):
        insert(warehouse, "predictions", *ROWS["predictions"])
    path = tmp_path / "predictions.parquet"
    read = warehouse.query_arrow("SELECT * FROM v_predictions")
    assert write_parquet(read, path) == len(ROWS["predictions"])
    table = pq.read_table(path)
    assert table.column_names == list(SINK["predictions"].columns)
    assert dict(table["features"][0].as_py()) == {"card_amount_sum_1h": 12.5, "card_count_1h": 3}
    assert list(tmp_path.glob("*.partial")) == []
    with pytest.raises(WarehouseError, match="cannot be written"):
        write_parquet(read, tmp_path / "no folder" / "x.parquet")
