"""How fast the sink's work is done: encoded predictions to rows of the embedded store, by part; rows over native TCP.

The values are a backlog as Kafka holds it, every feature in each. No broker: fetching is not measured. The server that
the test machine has is too old for the tables, so over TCP a prediction is a row of plain types and arrays.
"""

import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from consumers.batch import Batch, Limits
from consumers.migrations_to_clickhouse import migrate
from consumers.parts import collect_seldom
from consumers.rows import SINKS, Record
from consumers.warehouse import open_warehouse
from deploy.clickhouse_server import ClickHouseServer, find_clickhouse_server
from schemas.codec import DecodeFailure, decode
from schemas.decision import Prediction, Reason
from schemas.settings import Settings
from schemas.topics import PREDICTIONS
from schemas.transaction import Transaction
from streams.detector.features import FEATURES

ROWS = 100_000
RATE_MIN = 20_000
HOUR_MS = 3_600_000
START_MS = 1_790_000_000_000
PASSWORD = "bench-password"  # noqa: S105 - of a server that lives as long as this run
SINK = next(sink for sink in SINKS if sink.topic is PREDICTIONS)
WIRE = """
CREATE TABLE wire
(
    transaction_id String, card String, merchant String, amount_minor Int64, names Array(String),
    numbers Array(Float64), probability Nullable(Float64), record_partition Int32, record_offset Int64
)
ENGINE = MergeTree ORDER BY record_offset
"""
PLAIN = ("transaction_id", "card", "merchant", "amount_minor", "probability", "record_partition", "record_offset")


def run(*, rows: int = ROWS) -> dict[str, Any]:
    """Move a backlog into both homes of the store; microseconds are of one prediction."""
    backlog = _backlog(rows)
    collect_seldom()  # as the process of the store does
    decode_s = _timed(lambda: deque((decode(Prediction, record.value) for record in backlog), maxlen=0))
    parts = {"row": 0.0, "columns": 0.0, "insert": 0.0}
    with tempfile.TemporaryDirectory(prefix="fraud-warehouse-") as folder:
        with closing(open_warehouse(Settings(data_dir=Path(folder)))) as warehouse:
            migrate(warehouse)
            for columns in _batches(backlog, parts):
                parts["insert"] += _timed(partial(warehouse.insert_columns, SINK.table, columns))
            stored = warehouse.query_columns("SELECT count() AS rows FROM v_predictions")["rows"][0]
        native = _native(backlog, Path(folder) / "server")
    rate = round(rows / sum(parts.values()))
    each_us = {"decode": decode_s, **parts, "row": parts["row"] - decode_s}
    figures = {
        "rows": rows,
        "stored": stored,
        "predictions_per_s": rate,
        "microseconds": {name: round(1e6 * seconds / rows, 1) for name, seconds in each_us.items()},
        "native_rows_per_s": native,
        "bounds": {"predictions_per_s_min": RATE_MIN},
    }
    return {**figures, "holds": stored == rows and rate >= RATE_MIN}


def _backlog(rows: int) -> list[Record]:
    """Return predictions as Kafka holds them: 64 features, two reasons, an hour of payments."""
    chance = Random(1)
    names = [each.name for each in FEATURES]
    made = []
    for number in range(rows):
        at_ms = START_MS + number * HOUR_MS // rows
        prediction = Prediction(
            transaction=Transaction(
                transaction_id=f"tx-{number:012d}",
                card=f"card_{chance.randrange(500_000)}",
                merchant=f"mer_{chance.randrange(20_000)}",
                amount_minor=chance.randrange(1, 100_000),
                currency="EUR",
                event_time_ms=at_ms,
                channel="ecommerce",
            ),
            features={name: round(chance.random() * 1_000, 4) for name in names},
            positions={"payments.transactions.v1": (3, number), "payments.labels.v1": (3, number // 10)},
            model_version="m-1",
            policy_version="policy-1",
            rates_version="rates-1",
            code_version="c-1",
            score=chance.randrange(1_000),
            probability=chance.random(),
            mode="normal",
            action="approve",
            reasons=tuple(Reason(code=name, text="9.8 times what is usual", contribution=0.5) for name in names[:2]),
        )
        value = prediction.model_dump_json(exclude_none=True).encode()
        made.append(Record(PREDICTIONS.name, number % 12, number // 12, at_ms + 50, b"mer_1", value))
    return made


def _batches(backlog: list[Record], parts: dict[str, float]) -> Iterator[dict[str, list[Any]]]:
    """Yield the columns of each batch, as the sink makes them, having timed it."""
    size = Limits().rows
    for start in range(0, len(backlog), size):
        batch, begun = Batch(), time.monotonic()
        for record in backlog[start : start + size]:
            row = SINK.to_row(record)
            if isinstance(row, DecodeFailure):
                raise TypeError(row.detail)
            batch.take(record, SINK, row, now_ms=0)
        taken = time.monotonic()
        columns = batch.columns(SINK.table)
        parts["row"] += taken - begun
        parts["columns"] += time.monotonic() - taken
        yield columns


def _native(backlog: list[Record], folder: Path) -> int | str:
    if find_clickhouse_server() is None:
        return "not measured: no clickhouse-server on this machine"
    folder.mkdir()
    taken_s = 0.0
    with (
        ClickHouseServer(folder, password=PASSWORD) as server,
        closing(open_warehouse(Settings(clickhouse_url=server.url, data_dir=folder))) as warehouse,
    ):
        warehouse.execute(WIRE)
        for columns in _batches(backlog, {"row": 0.0, "columns": 0.0}):
            features = columns["features"]
            arrays = {"names": [list(each) for each in features], "numbers": [list(each.values()) for each in features]}
            rows = {name: columns[name] for name in PLAIN} | arrays
            taken_s += _timed(partial(warehouse.insert_columns, "wire", rows))
    return round(len(backlog) / taken_s)


def _timed(call: Callable[[], object]) -> float:
    begun = time.monotonic()
    call()
    return time.monotonic() - begun
