"""The result of a ClickHouse query as a recording, on the real engine: what was stored comes back as it was."""

import re
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from importlib.resources import files
from pathlib import Path

import pandas as pd
import pytest

from consumers.migrations_to_clickhouse import migrate
from consumers.rows import SINKS, Record
from consumers.warehouse import Warehouse, open_warehouse
from deploy.clickhouse_server import ClickHouseServer
from schemas.codec import DecodeFailure, encode
from schemas.decision import Prediction
from schemas.label import Label
from schemas.recordings.clickhouse_to_rows import read_query
from schemas.recordings.file_to_rows import read_frames
from schemas.recordings.mapping import MappingError, RecordingError, parse_mapping
from schemas.recordings.recording import cases
from schemas.recordings.stream import Case
from schemas.settings import Settings
from schemas.transaction import Transaction

AT_MS = 1_522_540_800_123
DELAY_MS = 60_000
PLAIN = """
transaction_id = { column = "id", prefix = "tx-" }
card = { const = "card_a" }
merchant = { const = "mer_b" }
amount = { column = "amount" }
currency = { const = "EUR" }
event_time = { column = "at" }
utc_offset_minutes = { column = "offset" }
fraud = { column = "fraud" }
"""
ROWS = """
SELECT number AS id, toDecimal64(number, 2) / 4 AS amount, if(number % 2 = 0, NULL, toInt16(60)) AS offset,
       if(number % 10 = 0, 1, 0) AS fraud, <at> AS at
FROM numbers(<count> + 1) WHERE number < <count> ORDER BY number
"""


def payment(number: int, **changes: object) -> Transaction:
    fields = {
        "transaction_id": f"tx-{number}",
        "card": f"card_{number % 3}",
        "merchant": "mer_b",
        "amount_minor": 100 + number,
        "currency": "EUR",
        "event_time_ms": AT_MS + number,
    }
    return Transaction.model_validate(fields | changes)


PAYMENTS = (
    payment(0),
    payment(1, terminal="ter_1", channel="pos", entry_mode="chip", utc_offset_minutes=-300, mcc="5411", bin="497010"),
    payment(2, device="dev_1", ip="ip_1", email="eml_1", ip_country="FR", issuer_country="DE", customer="cus_1"),
    payment(3, channel="ecommerce", merchant_country="ES", shipping_country="IT", currency="JPY", amount_minor=10**13),
)


def label(number: int, verdict: str, revision: int = 0, fraud_type: str | None = None) -> Label:
    paid = PAYMENTS[number]
    return Label.model_validate(
        {
            "transaction_id": paid.transaction_id,
            "card": paid.card,
            "merchant": paid.merchant,
            "revision": revision,
            "verdict": verdict,
            "source": "chargeback",
            "occurred_at_ms": paid.event_time_ms,
            "reported_at_ms": paid.event_time_ms + 1,
            "fraud_type": fraud_type,
        }
    )


LABELS = (label(1, "fraud", fraud_type="card_testing"), label(2, "fraud"), label(2, "service_dispute", revision=1))


def store(warehouse: Warehouse, messages: Sequence[Prediction | Label]) -> None:
    """Store messages as the sink does."""
    for sink in SINKS:
        mine = [message for message in messages if type(message) is sink.topic.message]
        stored = [
            sink.to_row(Record(sink.topic.name, 0, offset, AT_MS, b"card_a", encode(message), ()))
            for offset, message in enumerate(mine)
        ]
        assert not any(isinstance(row, DecodeFailure) for row in stored)
        if stored:
            warehouse.insert_columns(
                sink.table, dict(zip(sink.columns, map(list, zip(*stored, strict=True)), strict=True))
            )


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A deployment whose embedded store has been opened once, and is closed."""
    made = Settings(data_dir=tmp_path)
    open_warehouse(made).close()
    return made


def rows(at: str, count: int) -> str:
    """Return a query for so many rows of the plain mapping, with this as their time."""
    return ROWS.replace("<at>", at).replace("<count>", str(count))


def read(settings: Settings, sql: str, mapping: str = PLAIN) -> list[Case]:
    parsed = parse_mapping(mapping)
    with closing(read_query(settings, sql, parsed)) as frames:
        return list(cases(frames, parsed, DELAY_MS))


def test_what_the_system_stored_is_read_back_by_the_shipped_mapping_and_its_query(settings: Settings) -> None:
    """Law: payments come back as they were decided on, each once, with the verdict that counts for each."""
    predictions = [
        Prediction(
            transaction=paid, features={}, positions={}, policy_version="p", code_version="c", mode="normal",
            action="approve",
        )
        for paid in PAYMENTS
    ]  # fmt: skip
    with closing(open_warehouse(settings)) as warehouse:
        migrate(warehouse)
        store(warehouse, [*reversed(predictions), *predictions, *LABELS])
    text = (files("schemas.recordings") / "mappings" / "predictions.toml").read_text(encoding="utf-8")
    query = "\n".join(re.findall(r"^#(   .*)$", text, re.MULTILINE))
    recorded = read(settings, query, text)
    assert [case.transaction for case in recorded] == list(PAYMENTS)
    said = [[(each.verdict, each.fraud_type) for each in case.labels] for case in recorded]
    assert said == [[], [("fraud", "card_testing")], [], []]
    assert recorded[1].labels[0].reported_at_ms == PAYMENTS[1].event_time_ms + DELAY_MS


def test_a_query_gives_what_a_file_of_the_same_rows_gives(settings: Settings, tmp_path: Path) -> None:
    count = 70_000  # more than one block of the engine
    mapping = parse_mapping(PLAIN)
    frames = list(read_query(settings, rows("toDateTime64('2018-04-01 00:00:00', 3, 'UTC') + number", count), mapping))
    assert len(frames) > 1
    pd.DataFrame(
        {
            "id": range(count),
            "amount": [f"{number // 4}.{number % 4 * 25:02}" for number in range(count)],
            "offset": ["" if number % 2 == 0 else "60" for number in range(count)],
            "fraud": [int(number % 10 == 0) for number in range(count)],
            "at": pd.Timestamp("2018-04-01") + pd.to_timedelta(range(count), unit="s"),
        }
    ).to_csv(tmp_path / "same.csv", index=False)
    from_file = cases(read_frames(tmp_path / "same.csv", mapping), mapping, DELAY_MS)
    assert list(cases(frames, mapping, DELAY_MS)) == list(from_file)


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELECT nothing FROM nowhere", "ClickHouse: .*nowhere"),
        ("SELEC 1", "ClickHouse: .*Syntax error"),
        ("SELECT throwIf(number = 3) FROM numbers(9)", "ClickHouse: "),
        (
            "SELECT 1 AS id, 2 AS amount",
            r"the result of the query has no column at \(for event_time\).*; it has id, am",
        ),
        (rows("toDateTime(1000000000 - number, 'UTC')", 9), "row 2: is older than"),
        (rows("'x' AS id, toDateTime(1000000000, 'UTC')", 1), "ClickHouse: "),
        (rows("'noon'", 1), "row 1: event_time: is not a time"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line_and_the_store_is_free_again(
    settings: Settings, sql: str, says: str
) -> None:
    with pytest.raises((RecordingError, MappingError), match=says) as refused:
        read(settings, sql)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 600
    open_warehouse(settings).close()


def test_no_rows_are_no_cases(settings: Settings) -> None:
    assert read(settings, rows("now64(3, 'UTC')", 0)) == []


def test_a_store_that_is_not_there_or_in_use_is_told(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"there is no store in .*nowhere"):
        read(Settings(data_dir=tmp_path / "nowhere"), "SELECT 1")
    assert not (tmp_path / "nowhere").exists()
    warehouse = open_warehouse(settings)
    try:
        with pytest.raises(RecordingError, match="is open in another process"):
            read(settings, "SELECT 1")
    finally:
        warehouse.close()


def test_closing_before_the_end_gives_the_store_back(settings: Settings) -> None:
    mapping = parse_mapping(PLAIN)
    with closing(read_query(settings, rows("toDateTime(1000000000, 'UTC')", 500_000), mapping)) as frames:
        next(frames)
    open_warehouse(settings).close()


@pytest.mark.parametrize("url", ["http://warehouse:8123", "clickhouse://", "clickhouse://host:port", "warehouse"])
def test_an_address_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(RecordingError, match="FRAUD_CLICKHOUSE_URL is not clickhouse://"):
        read(Settings(clickhouse_url=url), "SELECT 1")


def test_a_server_that_is_not_there_is_told_without_its_password() -> None:
    with pytest.raises(RecordingError, match="ClickHouse: ") as refused:
        read(Settings(clickhouse_url="clickhouse://sink:secret@127.0.0.1:1/fraud"), "SELECT 1")
    assert "secret" not in str(refused.value)


@pytest.mark.clickhouse_server
def test_a_server_gives_its_rows_in_frames(tmp_path: Path) -> None:
    mapping = parse_mapping(PLAIN)
    with ClickHouseServer(tmp_path / "server", password="pass/word:@ten") as server:  # noqa: S106 - of this test
        there = Settings(clickhouse_url=server.url)
        sql = rows("toDateTime(1522540800 + number, 'UTC')", 2_500)
        frames = list(read_query(there, sql, mapping, frame_rows=1_000))
        assert [len(frame) for frame in frames] == [1_000, 1_000, 500]
        recorded = list(cases(frames, mapping, DELAY_MS))
        assert [case.transaction.event_time_ms for case in recorded] == [
            1_522_540_800_000 + 1_000 * n for n in range(2_500)
        ]
        assert recorded[7].transaction.amount_minor == 175
        assert [case.transaction.utc_offset_minutes for case in recorded[:2]] == [None, 60]
        for refused, says in (
            ("SELECT nothing FROM nowhere", "ClickHouse: .*nowhere"),
            ("SELECT 1 AS id", "the result of the query has no column amount"),
            (rows("now()", 1), r"at is a DateTime without a time zone; select toTimeZ"),
        ):
            with pytest.raises((RecordingError, MappingError), match=says) as error:
                read(there, refused)
            assert "\n" not in str(error.value)
        assert read(there, rows("toDateTime(1522540800, 'UTC')", 0)) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("replay", "--mapping", "handbook"), "one of the arguments file --query is required"),
        (("replay", "a.csv", "--query", "SELECT 1", "--mapping", "handbook"), "not allowed with argument"),
        (("replay", "--query", "SELECT 1", "--mapping", "predictions"), "there is no store in"),
        (("simulate", "--label-coverage", "2"), "label_coverage: out of range"),
    ],
)
def test_flags_that_do_not_fit_end_the_producer_with_status_2(
    arguments: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "producers", *arguments],
        cwd=Path(__file__).parents[2],
        env={"FRAUD_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
