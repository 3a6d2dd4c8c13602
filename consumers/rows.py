"""Messages to rows: one table of columns for each table of the store, each column with the value it takes.

A row depends on its record alone, so the same record always gives the same row. Where a message leaves a text out the
row holds an empty one; numbers and times that are left out are null.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from consumers.column import Column, Row, as_named, row_maker
from schemas.codec import VALUE_BYTES_MAX, DecodeFailure, decode
from schemas.dead_letter import DeadLetter
from schemas.decision import Decision, Prediction, ShadowScore
from schemas.fields import Message
from schemas.label import Label, Outcome
from schemas.learning import ModelVersion, TrainingRecord
from schemas.registry import Alert, Audit
from schemas.topics import (
    ALERTS,
    AUDIT,
    DEAD_LETTERS,
    DECISIONS,
    LABELS,
    MODELS,
    OUTCOMES,
    PREDICTIONS,
    SHADOW_SCORES,
    TRAINING,
    Topic,
)

AnyMessage = TypeVar("AnyMessage", bound=Message)

TIME_MS_MAX = 4_102_444_799_999
"""End of the year 2099, to which the timestamp of a dead letter is cut: its sender chose it."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record as Kafka gave it. `timestamp_ms` is what its writer set, or when the broker had it."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


_PLACE: tuple[Column[Any], ...] = (
    Column("record_partition", lambda _, record: record.partition),
    Column("record_offset", lambda _, record: record.offset),
)
_REASONS: tuple[Column[Any], ...] = (
    Column("reason_codes", lambda read, _: [reason.code for reason in read.reasons]),
    Column("reason_texts", lambda read, _: [reason.text for reason in read.reasons]),
    Column("reason_contributions", lambda read, _: [reason.contribution for reason in read.reasons]),
)

PREDICTION: tuple[Column[Prediction], ...] = (
    *as_named("transaction_id", "card", "merchant", "amount_minor", "currency", of="transaction"),
    Column("event_time", "transaction.event_time_ms"),
    *as_named("customer", "terminal", of="transaction", text=True),
    *as_named("utc_offset_minutes", of="transaction"),
    *as_named("mcc", of="transaction", text=True),
    *as_named("channel", "entry_mode", of="transaction"),
    *as_named("bin", "issuer_country", "merchant_country", "ip_country", of="transaction", text=True),
    *as_named("shipping_country", "device", "ip", "email", "traceparent", of="transaction", text=True),
    *as_named("features", "late_ms", "positions"),
    *as_named("model_version", text=True),
    *as_named("policy_version", "rates_version", "code_version", "rule_hits"),
    *as_named("score", "probability", "propensity", "mode", "action"),
    *_REASONS,
    Column("decided_at", lambda _, record: record.timestamp_ms),
    *_PLACE,
)

DECISION: tuple[Column[Decision], ...] = (
    *as_named("transaction_id"),
    *as_named("card", text=True),
    Column("event_time", "event_time_ms"),
    *as_named("action", "mode", "score", "probability"),
    *_REASONS,
    *as_named("model_version", text=True),
    *as_named("policy_version"),
    *as_named("traceparent", text=True),
    Column("decided_at", lambda _, record: record.timestamp_ms),
    *_PLACE,
)

DEAD_LETTER: tuple[Column[DeadLetter], ...] = (
    *as_named("topic", "partition", "offset", of="origin"),
    *as_named("stage", "reason", "detail"),
    Column("sent_at", lambda _, record: min(max(record.timestamp_ms, 0), TIME_MS_MAX)),
    Column("key", lambda read, _: _text(read.origin.key)),
    Column("value", lambda read, _: _text(read.origin.value)),
    Column("value_bytes", lambda read, _: read.whole.bytes if read.whole else len(read.origin.value or b"")),
    Column("value_sha256", lambda read, _: read.whole.sha256 if read.whole else ""),
    Column("headers", lambda read, _: {name: _text(content) for name, content in read.origin.headers}),
    *_PLACE,
)

LABEL: tuple[Column[Label], ...] = (
    *as_named("transaction_id", "card", "merchant", "source", "revision", "verdict"),
    Column("occurred_at", "occurred_at_ms"),
    Column("reported_at", "reported_at_ms"),
    *as_named("fraud_type", "reason_code", text=True),
    *as_named("amount_minor"),
    *as_named("currency", text=True),
    Column("stored_at", lambda _, record: record.timestamp_ms),
    *_PLACE,
)

OUTCOME: tuple[Column[Outcome], ...] = (
    *as_named("transaction_id", "card", "merchant", "kind"),
    Column("occurred_at", "occurred_at_ms"),
    *as_named("amount_minor"),
    *as_named("currency", "response_code", text=True),
    Column("stored_at", lambda _, record: record.timestamp_ms),
    *_PLACE,
)

TRAINED: tuple[Column[TrainingRecord], ...] = (
    *as_named("transaction_id", "card", "merchant", "source", "revision", "verdict"),
    Column("verdict_source", lambda read, _: read.verdict_of or read.source),
    *as_named("weight", "probability"),
    *as_named("model_version", text=True),
    Column("occurred_at", "occurred_at_ms"),
    Column("reported_at", "reported_at_ms"),
    Column("joined_at", lambda _, record: record.timestamp_ms),
    *_PLACE,
)

MODEL: tuple[Column[ModelVersion], ...] = (
    *as_named("version"),
    *as_named("parent", text=True),
    *as_named("training_offset", "records", "frauds"),
    Column("learned_to", "learned_to_ms"),
    *as_named("feature_schema", "digest"),
    Column("published_at", lambda _, record: record.timestamp_ms),
    *_PLACE,
)

AUDITED: tuple[Column[Audit], ...] = (
    *as_named("control_id", "control_offset"),
    *as_named("author", "key_id", "kind", text=True),
    *as_named("arguments", "outcome"),
    *as_named("reason", text=True),
    *as_named("text"),
    *as_named("version", text=True),
    *as_named("mode", "sequence"),
    Column("commanded_at", "at_ms"),
    Column("answered_at", lambda _, record: record.timestamp_ms),
    *_PLACE,
)

ALERT: tuple[Column[Alert], ...] = (
    *as_named("alert_id", "kind", "severity", "subject", "text"),
    Column("raised_at", "at_ms"),
    *as_named("state", text=True),
    Column("fired_at", "fired_at_ms"),
    *as_named("value", "bound"),
    *as_named("cause", "action", "runbook", text=True),
    *_PLACE,
)

SHADOW_SCORE: tuple[Column[ShadowScore], ...] = (
    *as_named("transaction_id", "card"),
    Column("event_time", "event_time_ms"),
    *as_named("challenger", "records", "training_offset", "log_odds", "probability", "score_us", "learn_us"),
    *as_named("champion_version", text=True),
    Column("scored_at", lambda _, record: record.timestamp_ms),
    *_PLACE,
)


@dataclass(frozen=True, slots=True)
class Sink:
    """What becomes of one topic: the table its rows go to, their columns, and the view that shows each once."""

    topic: Topic
    table: str
    view: str
    columns: tuple[str, ...]
    to_row: Callable[[Record], Row | DecodeFailure]


def _message_sink(
    topic: Topic,
    table: str,
    kind: type[AnyMessage],
    columns: tuple[Column[AnyMessage], ...],
    *,
    bytes_max: int = VALUE_BYTES_MAX,
) -> Sink:
    row_of = row_maker(columns)

    def to_row(record: Record) -> Row | DecodeFailure:
        read = decode(kind, record.value, bytes_max=bytes_max)
        return read if isinstance(read, DecodeFailure) else row_of(read, record)

    return Sink(topic, table, f"v_{table}", tuple(column.name for column in columns), to_row)


def dead_letter_row(record: Record) -> Row | DecodeFailure:
    """Return the row of a dead letter, or why its headers do not say what it is.

    >>> dead_letter_row(Record("t", 0, 7, 0, b"k", b"{"))
    DecodeFailure(reason='invalid', detail="a header is missing: 'topic'")
    """
    read = dead_letter_of(record)
    return read if isinstance(read, DecodeFailure) else _DEAD_LETTER_ROW(read, record)


_DEAD_LETTER_ROW = row_maker(DEAD_LETTER)


def dead_letter_of(record: Record) -> DeadLetter | DecodeFailure:
    """Return the dead letter in a record, or why its headers do not say what it is."""
    try:
        return DeadLetter.from_record(record.key, record.value, record.headers, record.timestamp_ms)
    except KeyError as missing:
        name = str(missing.args[0])
        return DecodeFailure("invalid", f"a header is missing: '{name}'")
    except ValueError:
        return DecodeFailure("invalid", "a header that should be a number is none")


def _text(content: bytes | None) -> str:
    return (content or b"").decode("utf-8", "backslashreplace")


SINKS: tuple[Sink, ...] = (
    _message_sink(PREDICTIONS, "predictions", Prediction, PREDICTION),
    _message_sink(DECISIONS, "decisions", Decision, DECISION),
    Sink(DEAD_LETTERS, "dead_letters", "v_dead_letters", tuple(column.name for column in DEAD_LETTER), dead_letter_row),
    _message_sink(LABELS, "labels", Label, LABEL),
    _message_sink(OUTCOMES, "outcomes", Outcome, OUTCOME),
    _message_sink(TRAINING, "training", TrainingRecord, TRAINED),
    # A model of some thousand coefficients is larger than any message that is read from a stranger.
    _message_sink(MODELS, "models", ModelVersion, MODEL, bytes_max=MODELS.value_bytes_max),
    _message_sink(AUDIT, "audit", Audit, AUDITED),
    _message_sink(ALERTS, "alerts", Alert, ALERT),
    _message_sink(SHADOW_SCORES, "shadow_scores", ShadowScore, SHADOW_SCORE),
)
