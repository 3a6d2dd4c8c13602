"""Messages to rows: every topic has its table, every column its place, and what cannot be read is a failure."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.rows import SINKS, Record, dead_letter_row
from schemas.codec import VALUE_BYTES_MAX, DecodeFailure, encode
from schemas.dead_letter import PREFIX, DeadLetter, Origin
from schemas.label import Label
from schemas.learning import ModelVersion
from schemas.topics import BY_NAME, LABELS, MODELS

AT_MS = 1_522_540_800_000
SINK = {sink.table: sink for sink in SINKS}


def named(table: str, record: Record) -> dict[str, Any]:
    row = SINK[table].to_row(record)
    assert isinstance(row, tuple), row
    return dict(zip(SINK[table].columns, row, strict=True))


def test_each_topic_goes_to_one_table_and_each_column_has_one_place() -> None:
    assert len({sink.topic.name for sink in SINKS}) == len({sink.table for sink in SINKS}) == len(SINKS)
    for sink in SINKS:
        assert sink.topic is BY_NAME[sink.topic.name]
        assert len(set(sink.columns)) == len(sink.columns)
        assert sink.columns[-2:] == ("record_partition", "record_offset")


def test_a_label() -> None:
    label = Label(
        transaction_id="tx-1",
        card="card_a",
        merchant="mer_b",
        verdict="fraud",
        source="chargeback",
        occurred_at_ms=AT_MS,
        reported_at_ms=AT_MS + 1,
    )
    record = Record("payments.labels.v1", 4, 17, AT_MS + 9, b"card_a", encode(label))
    assert named("labels", record) == {
        "transaction_id": "tx-1",
        "card": "card_a",
        "merchant": "mer_b",
        "revision": 0,
        "verdict": "fraud",
        "source": "chargeback",
        "occurred_at": AT_MS,
        "reported_at": AT_MS + 1,
        "fraud_type": "",
        "reason_code": "",
        "amount_minor": None,
        "currency": "",
        "stored_at": AT_MS + 9,
        "record_partition": 4,
        "record_offset": 17,
    }


@pytest.mark.parametrize("sink", SINKS, ids=lambda sink: sink.table)
@given(value=st.none() | st.binary(max_size=40) | st.just(b"{}"))
def test_what_cannot_be_read_is_a_failure_that_holds_none_of_it(sink: Any, value: bytes | None) -> None:
    failure = sink.to_row(Record(sink.topic.name, 0, 0, 0, None, value))
    assert isinstance(failure, DecodeFailure)


@given(
    key=st.none() | st.binary(max_size=20),
    value=st.none() | st.binary(max_size=200),
    timestamp_ms=st.integers(-(2**63), 2**63 - 1),
    headers=st.lists(st.tuples(st.text(max_size=10), st.none() | st.binary(max_size=10)), max_size=4),
)
def test_any_dead_letter_has_a_row(
    key: bytes | None, value: bytes | None, timestamp_ms: int, headers: list[tuple[str, bytes | None]]
) -> None:
    origin = Origin(
        topic="payments.labels.v1",
        partition=1,
        offset=2**40,
        timestamp_ms=timestamp_ms,
        key=key,
        value=value,
        headers=tuple(headers),
    )
    sent_key, sent_value, sent_headers = DeadLetter(
        origin=origin, stage="card", reason="invalid", detail="d"
    ).to_record()
    record = Record("fraud.dead-letters.v1", 0, 3, timestamp_ms, sent_key, sent_value, tuple(sent_headers))
    read = named("dead_letters", record)
    assert (read["topic"], read["partition"], read["offset"]) == ("payments.labels.v1", 1, 2**40)
    assert (read["stage"], read["reason"], read["detail"], read["value_sha256"]) == ("card", "invalid", "d", "")
    assert 0 <= read["sent_at"] < 4_102_444_800_000
    assert read["value_bytes"] == len(sent_value or b"")
    for text in (read["key"], read["value"], *read["headers"].values()):
        text.encode()


def test_a_sender_cannot_forge_where_a_dead_letter_came_from() -> None:
    forged = ((PREFIX + "topic", b"somewhere.else"), (PREFIX + "offset", b"-5"))
    origin = Origin(topic="t", partition=0, offset=7, timestamp_ms=0, key=None, value=b"", headers=forged)
    _, value, headers = DeadLetter(origin=origin, stage="card", reason="no_key", detail="").to_record()
    read = named("dead_letters", Record("fraud.dead-letters.v1", 0, 0, 0, None, value, tuple(headers)))
    assert (read["topic"], read["offset"]) == ("t", 7)


@pytest.mark.parametrize("missing", ["topic", "partition", "offset", "stage", "exception.class.name"])
def test_a_dead_letter_without_its_headers_is_a_failure(missing: str) -> None:
    origin = Origin(topic="t", partition=0, offset=7, timestamp_ms=0, key=None, value=b"")
    _, value, headers = DeadLetter(origin=origin, stage="card", reason="no_key", detail="").to_record()
    kept = tuple(header for header in headers if header[0] != PREFIX + missing)
    failure = dead_letter_row(Record("fraud.dead-letters.v1", 0, 0, 0, None, value, kept))
    assert failure == DecodeFailure("invalid", f"a header is missing: '{missing}'")


def test_a_dead_letter_with_a_number_that_is_none() -> None:
    facts = {"topic": "t", "partition": "0", "offset": "seven", "stage": "s"}
    facts |= {"exception.class.name": "r", "exception.message": "d"}
    headers = tuple((PREFIX + name, text.encode()) for name, text in facts.items())
    failure = dead_letter_row(Record("fraud.dead-letters.v1", 0, 0, 0, None, b"", headers))
    assert failure == DecodeFailure("invalid", "a header that should be a number is none")


def test_a_model_may_be_larger_than_what_a_stranger_sends() -> None:
    """Law: a model of many coefficients has its row; a label of that size is refused."""
    model = ModelVersion(
        version="m-1", training_offset=0, records=0, frauds=0, feature_schema="s", libraries={},
        state={"weights": {str(cell): 0.1 for cell in range(VALUE_BYTES_MAX // 8)}}, digest="d",
    )  # fmt: skip
    record = Record("t", 0, 7, 0, b"k", encode(model))
    rows = {sink.topic.name: sink.to_row(record) for sink in SINKS if sink.topic in {MODELS, LABELS}}
    assert not isinstance(rows[MODELS.name], DecodeFailure)
    refused = rows[LABELS.name]
    assert isinstance(refused, DecodeFailure)
    assert refused.reason == "too_large"
