"""Messages and rows of every table of the store, for the tests of the tables."""

from typing import Any

from consumers.column import Row
from consumers.rows import SINKS, Record
from consumers.warehouse import Warehouse
from schemas.dead_letter import DeadLetter, Origin
from schemas.decision import Decision, Prediction, Reason, ShadowScore
from schemas.fields import Message
from schemas.label import Label, Outcome
from schemas.learning import ModelVersion, TrainingRecord
from schemas.registry import Alert, Audit
from schemas.transaction import Transaction
from streams.detector.admission import alert_of

AT_MS = 1_522_540_800_000
SINK = {sink.table: sink for sink in SINKS}


def prediction(transaction_id: str = "tx-1", *, event_time_ms: int = AT_MS, **changes: Any) -> Prediction:
    transaction = Transaction(
        transaction_id=transaction_id,
        card="card_a",
        merchant="mer_b",
        amount_minor=1_999,
        currency="EUR",
        event_time_ms=event_time_ms,
        utc_offset_minutes=-120,
        mcc="5411",
    )
    fields: dict[str, Any] = {
        "transaction": transaction,
        "features": {"card_amount_sum_1h": 12.5, "card_count_1h": 3},
        "positions": {"payments.transactions.v1": (3, 41), "fraud.models.v1": (0, 2**40)},
        "model_version": "m-1",
        "policy_version": "p-1",
        "rates_version": "r-1",
        "code_version": "c-1",
        "rule_hits": ("velocity", "new_device"),
        "score": 612,
        "probability": 0.25,
        "mode": "normal",
        "action": "review",
        "reasons": (Reason(code="velocity", text="Many payments", contribution=1.5), Reason(code="rule", text="It's")),
    }
    return Prediction(**(fields | changes))


def decision(**changes: Any) -> Decision:
    fields: dict[str, Any] = {
        "transaction_id": "tx-1",
        "card": "card_a",
        "action": "approve",
        "mode": "normal",
        "policy_version": "p-1",
        "event_time_ms": AT_MS,
    }
    return Decision(**(fields | changes))


def label(revision: int = 0, **changes: Any) -> Label:
    fields: dict[str, Any] = {
        "transaction_id": "tx-1",
        "card": "card_a",
        "merchant": "mer_b",
        "revision": revision,
        "verdict": "fraud",
        "source": "chargeback",
        "occurred_at_ms": AT_MS,
        "reported_at_ms": AT_MS + 86_400_000 * (revision + 1),
    }
    return Label(**(fields | changes))


def outcome(**changes: Any) -> Outcome:
    fields: dict[str, Any] = {
        "transaction_id": "tx-1",
        "card": "card_a",
        "merchant": "mer_b",
        "kind": "authorised",
        "occurred_at_ms": AT_MS + 1,
    }
    return Outcome(**(fields | changes))


def training(revision: int = 0, **changes: Any) -> TrainingRecord:
    fields: dict[str, Any] = {
        "transaction_id": "tx-1",
        "card": "card_a",
        "merchant": "mer_b",
        "revision": revision,
        "verdict": "fraud",
        "source": "chargeback",
        "weight": 3.0,
        "features": {"card_count_1h": 3},
        "probability": 0.25,
        "model_version": "m-1",
        "occurred_at_ms": AT_MS,
        "reported_at_ms": AT_MS + 86_400_000,
        "positions": {"fraud.labels-waiting.v1": (3, 41)},
    }
    return TrainingRecord(**(fields | changes))


def model(version: str = "m-1", **changes: Any) -> ModelVersion:
    fields: dict[str, Any] = {
        "version": version,
        "training_offset": 2**40,
        "records": 1_000,
        "frauds": 9,
        "learned_to_ms": AT_MS,
        "feature_schema": "f",
        "libraries": {},
        "state": {"weights": {"a": 0.5}},
        "digest": "d",
    }
    return ModelVersion(**(fields | changes))


def dead_letter_record(offset: int = 0, value: bytes | None = b"{\xff", timestamp_ms: int = AT_MS) -> Record:
    origin = Origin(
        topic="payments.transactions.v1",
        partition=3,
        offset=41,
        timestamp_ms=timestamp_ms,
        key=b"card_a",
        value=value,
        headers=(("traceparent", b"00-1"), ("empty", None)),
    )
    letter = DeadLetter(origin=origin, stage="card", reason="not_json", detail="EOF at column 1")
    key, content, headers = letter.to_record()
    return Record("fraud.dead-letters.v1", 2, offset, timestamp_ms, key, content, tuple(headers))


def row(table: str, message: Message | Record, *, offset: int = 0, partition: int = 2) -> Row:
    sink = SINK[table]
    record = (
        message
        if isinstance(message, Record)
        else Record(sink.topic.name, partition, offset, AT_MS + 5, b"card_a", message.model_dump_json().encode())
    )
    made = sink.to_row(record)
    assert isinstance(made, tuple), made
    assert made == sink.to_row(record)
    return made


def audit(**changes: Any) -> Audit:
    told = {
        "control_id": "c-2",
        "control_offset": 3,
        "author": "ana",
        "key_id": "0f1e",
        "kind": "promote",
        "arguments": {"version": "m-1", "model_offset": "31"},
        "outcome": "refused",
        "reason": "replayed",
        "text": "came before",
        "version": "m-2",
        "mode": "pinned",
        "sequence": 18,
        "at_ms": AT_MS,
    }
    return Audit.model_validate({**told, **changes})


def alert(number: int = 0) -> Alert:
    return alert_of("forged", f"fraud.models.v1:0:{number}", "not this record", AT_MS)


def shadow_score(**changes: Any) -> ShadowScore:
    said = {
        "transaction_id": "tx-1",
        "card": "card_a",
        "event_time_ms": AT_MS,
        "challenger": "cells",
        "records": 7,
        "training_offset": 9,
        "log_odds": -1.5,
        "probability": 0.18,
        "score_us": 12.5,
        "learn_us": 90.0,
        "champion_version": "m-7",
    }
    return ShadowScore.model_validate({**said, **changes})


def insert(warehouse: Warehouse, table: str, *rows: Row) -> None:
    warehouse.insert_columns(table, dict(zip(SINK[table].columns, map(list, zip(*rows, strict=True)), strict=True)))


ROWS = {
    "predictions": [row("predictions", prediction(f"tx-{n}"), offset=n) for n in range(3)]
    + [row("predictions", prediction("bare", model_version=None, score=None, probability=None, reasons=()), offset=9)],
    "decisions": [
        row("decisions", decision(score=1, probability=1.0, reasons=prediction().reasons), offset=0),
        row("decisions", decision(transaction_id="tx-2"), offset=1),
        row("decisions", decision(action="invalid", card=None, event_time_ms=None), offset=2),
    ],
    "dead_letters": [row("dead_letters", dead_letter_record(n)) for n in range(2)],
    "labels": [row("labels", label(n), offset=n) for n in range(3)],
    "outcomes": [
        row("outcomes", outcome(), offset=0),
        row("outcomes", outcome(kind="captured", amount_minor=2**40, currency="EUR", response_code="00"), offset=1),
        row("outcomes", outcome(kind="captured", occurred_at_ms=AT_MS + 2, amount_minor=1), offset=2),
    ],
    "training": [row("training", training(n, probability=None if n else 0.25), offset=n) for n in range(3)],
    "models": [
        row("models", model(learned_to_ms=None), offset=0),
        row("models", model("m-2", parent="m-1"), offset=1),
    ],
    "audit": [row("audit", audit(), offset=0), row("audit", audit(reason=None, author=None), offset=1)],
    "alerts": [row("alerts", alert(n), offset=n) for n in range(2)],
    "shadow_scores": [
        row("shadow_scores", shadow_score(), offset=0),
        row("shadow_scores", shadow_score(challenger="leaves", champion_version=None), offset=1),
    ],
}
