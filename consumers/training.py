"""What becomes of a label: one training record, or a reason why there is none. Each label has exactly one end."""

from dataclasses import dataclass
from typing import Literal

from consumers.look_up import Answers, Stored, stored_for
from consumers.waiting import Waiting
from schemas.codec import DecodeFailure, encode
from schemas.dead_letter import DeadLetter, DeadLetterReason, Origin
from schemas.label import EffectiveLabel
from schemas.learning import TrainingRecord
from schemas.sampling import weight_of
from schemas.topics import DEAD_LETTERS, LABELS_WAITING, PREDICTIONS, TRAINING, Topic

STAGE = "label-join"
CLASS_NAME = "consumers.labels_to_training.LabelsToTraining"

Kind = Literal["joined", "sampled_out", "dead_letters", "requeued"]


@dataclass(frozen=True, slots=True)
class Terms:
    """What the deployment chose: see `schemas/settings.py`."""

    legitimate_kept_one_in: int
    label_wait_ms_max: int


@dataclass(frozen=True, slots=True)
class Write:
    """One record to write. Without a timestamp it has the time of its writing."""

    topic: Topic
    partition: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp_ms: int | None = None


@dataclass(frozen=True, slots=True)
class End:
    """How a label was counted, and what is written for it."""

    kind: Kind
    write: Write | None = None


def asked_for(waiting: Waiting, terms: Terms) -> EffectiveLabel | None:
    """Return the label whose features are to be looked up; None where whatever is stored changes nothing."""
    label = waiting.label
    if isinstance(label, DecodeFailure) or weight_of(label, terms.legitimate_kept_one_in) is None:
        return None
    return label


def end_of(waiting: Waiting, found: Answers, terms: Terms, *, now_ms: int) -> End:
    """Return what becomes of a label now, by what is stored for its payment. `now_ms` is the wall clock."""
    label = waiting.label
    if isinstance(label, DecodeFailure):
        return End("dead_letters", _dead_letter(waiting, label.reason, label.detail))
    weight = weight_of(label, terms.legitimate_kept_one_in)
    if weight is None:
        return End("sampled_out")
    stored = stored_for(label, found)
    if stored:
        return End("joined", _training_record(waiting, label, weight, stored))
    waited_ms = now_ms - waiting.first_seen_ms
    if waited_ms >= terms.label_wait_ms_max:
        told = f"no prediction is stored for its payment, {waited_ms} ms after the label was first seen"
        return End("dead_letters", _dead_letter(waiting, "label_without_prediction", told))
    record = waiting.record
    again = Write(LABELS_WAITING, record.partition, record.key, record.value, waiting.next_headers(now_ms))
    return End("requeued", again)


def _training_record(waiting: Waiting, label: EffectiveLabel, weight: float, stored: Stored) -> Write:
    record = TrainingRecord(
        transaction_id=label.transaction_id,
        card=label.card,
        merchant=label.merchant,
        revision=label.revision,
        source=label.source,
        verdict=label.verdict,
        verdict_of=label.verdict_of,
        weight=weight,
        features=dict(stored.features),
        probability=stored.probability,
        model_version=stored.model_version or None,
        occurred_at_ms=label.occurred_at_ms,
        reported_at_ms=label.reported_at_ms,
        positions={
            LABELS_WAITING.name: (waiting.record.partition, waiting.record.offset),
            PREDICTIONS.name: (stored.partition, stored.offset),
        },
    )
    return Write(TRAINING, 0, label.transaction_id.encode(), encode(record))


def _dead_letter(waiting: Waiting, reason: DeadLetterReason, detail: str) -> Write:
    record = waiting.record
    origin = Origin(
        topic=LABELS_WAITING.name,
        partition=record.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp_ms,
        key=record.key,
        value=record.value,
        headers=record.headers,
    )
    letter = DeadLetter(origin=origin, stage=STAGE, reason=reason, detail=detail, class_name=CLASS_NAME)
    key, value, headers = letter.to_record()
    return Write(DEAD_LETTERS, record.partition, key, value, tuple(headers), record.timestamp_ms)
