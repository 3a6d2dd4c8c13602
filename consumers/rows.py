"""Messages to rows: one table of columns for each table of the store, each column with the value it takes.

A row depends on its record alone, so the same record always gives the same row. Where a message leaves a text out the
row holds an empty one; numbers and times that are left out are null.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

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

Row = tuple[Any, ...]
Read = TypeVar("Read")
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


@dataclass(frozen=True, slots=True)
class Column(Generic[Read]):
    """One column of a table: its name and where its value comes from."""

    name: str
    value: Callable[[Read, Record], Any]


def _as_named(*names: str) -> tuple[Column[Any], ...]:
    """Return columns that are called as the message's fields are."""
    return tuple(Column(name, _field(name)) for name in names)


def _field(name: str) -> Callable[[Any, Record], Any]:
    return lambda read, _: getattr(read, name)


PREDICTION: tuple[Column[Prediction], ...] = (
    Column("transaction_id", lambda read, _: read.transaction.transaction_id),
    Column("card", lambda read, _: read.transaction.card),
    Column("merchant", lambda read, _: read.transaction.merchant),
    Column("amount_minor", lambda read, _: read.transaction.amount_minor),
    Column("currency", lambda read, _: read.transaction.currency),
    Column("event_time", lambda read, _: read.transaction.event_time_ms),
    Column("customer", lambda read, _: read.transaction.customer or ""),
    Column("terminal", lambda read, _: read.transaction.terminal or ""),
    Column("utc_offset_minutes", lambda read, _: read.transaction.utc_offset_minutes),
    Column("mcc", lambda read, _: read.transaction.mcc or ""),
    Column("channel", lambda read, _: read.transaction.channel),
    Column("entry_mode", lambda read, _: read.transaction.entry_mode),
    Column("bin", lambda read, _: read.transaction.bin or ""),
    Column("issuer_country", lambda read, _: read.transaction.issuer_country or ""),
    Column("merchant_country", lambda read, _: read.transaction.merchant_country or ""),
    Column("ip_country", lambda read, _: read.transaction.ip_country or ""),
    Column("shipping_country", lambda read, _: read.transaction.shipping_country or ""),
    Column("device", lambda read, _: read.transaction.device or ""),
    Column("ip", lambda read, _: read.transaction.ip or ""),
    Column("email", lambda read, _: read.transaction.email or ""),
    Column("traceparent", lambda read, _: read.transaction.traceparent or ""),
    *_as_named("features", "late_ms", "positions"),
    Column("model_version", lambda read, _: read.model_version or ""),
    *_as_named(
        "policy_version",
        "rates_version",
        "code_version",
        "rule_hits",
        "score",
        "probability",
        "propensity",
        "mode",
        "action",
    ),
    Column("reason_codes", lambda read, _: [reason.code for reason in read.reasons]),
    Column("reason_texts", lambda read, _: [reason.text for reason in read.reasons]),
    Column("reason_contributions", lambda read, _: [reason.contribution for reason in read.reasons]),
    Column("decided_at", lambda _, record: record.timestamp_ms),
    Column("record_partition", lambda _, record: record.partition),
    Column("record_offset", lambda _, record: record.offset),
)

DECISION: tuple[Column[Decision], ...] = (
    Column("transaction_id", lambda read, _: read.transaction_id),
    Column("card", lambda read, _: read.card or ""),
    Column("event_time", lambda read, _: read.event_time_ms),
    *_as_named("action", "mode", "score", "probability"),
    Column("reason_codes", lambda read, _: [reason.code for reason in read.reasons]),
    Column("reason_texts", lambda read, _: [reason.text for reason in read.reasons]),
    Column("reason_contributions", lambda read, _: [reason.contribution for reason in read.reasons]),
    Column("model_version", lambda read, _: read.model_version or ""),
    Column("policy_version", lambda read, _: read.policy_version),
    Column("traceparent", lambda read, _: read.traceparent or ""),
    Column("decided_at", lambda _, record: record.timestamp_ms),
    Column("record_partition", lambda _, record: record.partition),
    Column("record_offset", lambda _, record: record.offset),
)

DEAD_LETTER: tuple[Column[DeadLetter], ...] = (
    Column("topic", lambda read, _: read.origin.topic),
    Column("partition", lambda read, _: read.origin.partition),
    Column("offset", lambda read, _: read.origin.offset),
    *_as_named("stage", "reason", "detail"),
    Column("sent_at", lambda _, record: min(max(record.timestamp_ms, 0), TIME_MS_MAX)),
    Column("key", lambda read, _: _text(read.origin.key)),
    Column("value", lambda read, _: _text(read.origin.value)),
    Column("value_bytes", lambda read, _: read.whole.bytes if read.whole else len(read.origin.value or b"")),
    Column("value_sha256", lambda read, _: read.whole.sha256 if read.whole else ""),
    Column("headers", lambda read, _: {name: _text(content) for name, content in read.origin.headers}),
    Column("record_partition", lambda _, record: record.partition),
    Column("record_offset", lambda _, record: record.offset),
)

LABEL: tuple[Column[Label], ...] = (
    *_as_named("transaction_id", "card", "merchant", "source", "revision", "verdict"),
    Column("occurred_at", lambda read, _: read.occurred_at_ms),
    Column("reported_at", lambda read, _: read.reported_at_ms),
    Column("fraud_type", lambda read, _: read.fraud_type or ""),
    Column("reason_code", lambda read, _: read.reason_code or ""),
    Column("amount_minor", lambda read, _: read.amount_minor),
    Column("currency", lambda read, _: read.currency or ""),
    Column("stored_at", lambda _, record: record.timestamp_ms),
    Column("record_partition", lambda _, record: record.partition),
    Column("record_offset", lambda _, record: record.offset),
)

OUTCOME: tuple[Column[Outcome], ...] = (
    *_as_named("transaction_id", "card", "merchant", "kind"),
    Column("occurred_at", lambda read, _: read.occurred_at_ms),
    Column("amount_minor", lambda read, _: read.amount_minor),
    Column("currency", lambda read, _: read.currency or ""),
    Column("response_code", lambda read, _: read.response_code or ""),
    Column("stored_at", lambda _, record: record.timestamp_ms),
    Column("record_partition", lambda _, record: record.partition),
    Column("record_offset", lambda _, record: record.offset),
)

TRAINED: tuple[Column[TrainingRecord], ...] = (
    *_as_named("transaction_id", "card", "merchant", "source", "revision", "verdict"),
    Column("verdict_source", lambda read, _: read.verdict_of or read.source),
    Column("weight", lambda read, _: read.weight),
    Column("probability", lambda read, _: read.probability),
    Column("model_version", lambda read, _: read.model_version or ""),
    Column("occurred_at", lambda read, _: read.occurred_at_ms),
    Column("reported_at", lambda read, _: read.reported_at_ms),
    Column("joined_at", lambda _, record: record.timestamp_ms),
    Column("record_partition", lambda _, record: record.partition),
    Column("record_offset", lambda _, record: record.offset),
)

MODEL: tuple[Column[ModelVersion], ...] = (
    Column("version", lambda read, _: read.version),
    Column("parent", lambda read, _: read.parent or ""),
    *_as_named("training_offset", "records", "frauds"),
    Column("learned_to", lambda read, _: read.learned_to_ms),
    Column("feature_schema", lambda read, _: read.feature_schema),
    Column("digest", lambda read, _: read.digest),
    Column("published_at", lambda _, record: record.timestamp_ms),
    Column("record_partition", lambda _, record: record.partition),
    Column("record_offset", lambda _, record: record.offset),
)

AUDITED: tuple[Column[Audit], ...] = (
    *_as_named("control_id", "control_offset"),
    Column("author", lambda read, _: read.author or ""),
    Column("key_id", lambda read, _: read.key_id or ""),
    Column("kind", lambda read, _: read.kind or ""),
    Column("arguments", lambda read, _: read.arguments),
    Column("outcome", lambda read, _: read.outcome),
    Column("reason", lambda read, _: read.reason or ""),
    Column("text", lambda read, _: read.text),
    Column("version", lambda read, _: read.version or ""),
    *_as_named("mode", "sequence"),
    Column("commanded_at", lambda read, _: read.at_ms),
    Column("answered_at", lambda _, record: record.timestamp_ms),
    Column("record_partition", lambda _, record: record.partition),
    Column("record_offset", lambda _, record: record.offset),
)

ALERT: tuple[Column[Alert], ...] = (
    *_as_named("alert_id", "kind", "severity", "subject", "text"),
    Column("raised_at", lambda read, _: read.at_ms),
    Column("record_partition", lambda _, record: record.partition),
    Column("record_offset", lambda _, record: record.offset),
)

SHADOW_SCORE: tuple[Column[ShadowScore], ...] = (
    Column("transaction_id", lambda read, _: read.transaction_id),
    Column("card", lambda read, _: read.card),
    Column("event_time", lambda read, _: read.event_time_ms),
    *_as_named("challenger", "records", "training_offset", "log_odds", "probability", "score_us", "learn_us"),
    Column("champion_version", lambda read, _: read.champion_version or ""),
    Column("scored_at", lambda _, record: record.timestamp_ms),
    Column("record_partition", lambda _, record: record.partition),
    Column("record_offset", lambda _, record: record.offset),
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
    values = tuple(column.value for column in columns)

    def to_row(record: Record) -> Row | DecodeFailure:
        read = decode(kind, record.value, bytes_max=bytes_max)
        if isinstance(read, DecodeFailure):
            return read
        return tuple([value(read, record) for value in values])

    return Sink(topic, table, f"v_{table}", tuple(column.name for column in columns), to_row)


def dead_letter_row(record: Record) -> Row | DecodeFailure:
    """Return the row of a dead letter, or why its headers do not say what it is.

    >>> dead_letter_row(Record("t", 0, 7, 0, b"k", b"{"))
    DecodeFailure(reason='invalid', detail="a header is missing: 'topic'")
    """
    read = dead_letter_of(record)
    return read if isinstance(read, DecodeFailure) else tuple([column.value(read, record) for column in DEAD_LETTER])


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
