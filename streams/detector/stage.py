"""What a stage is: records in, outputs and changed state out, one entity at a time. Pure; the arrow moves the records.

`read` turns a record into an event or a refusal and needs no state. `step` turns an event into outputs, changing the
state only after everything that can fail has succeeded.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from schemas.codec import DecodeFailure, encode, readable_identity
from schemas.dead_letter import DeadLetter, DeadLetterReason, Origin
from schemas.decision import Profiled, Reason
from schemas.fields import Positions
from schemas.history import is_history
from schemas.label import Label
from schemas.learning import TrainingRecord
from schemas.topics import DEAD_LETTERS, DECISIONS, TRANSACTIONS, Topic
from schemas.transaction import Transaction
from streams.detector.decide import InForce, without_prediction
from streams.detector.profile import Kind
from streams.detector.state import State


class Record(NamedTuple):
    """One record of a topic, as it was read."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


class Output(NamedTuple):
    """One record to write. Without a partition its key decides; without a timestamp the time of writing."""

    topic: Topic
    key: bytes | None
    value: bytes | None
    partition: int | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp_ms: int | None = None


class Event(NamedTuple):
    """A record that was read, and its place in event time; without a message where it must first be believed."""

    record: Record
    message: Transaction | Label | Profiled | TrainingRecord | None
    event_time_ms: int


class Refusal(NamedTuple):
    """A record that cannot be processed. It has no place in event time, so it is answered as soon as it comes."""

    record: Record
    reason: DeadLetterReason
    detail: str
    event_time_ms: int = 0


class Step(NamedTuple):
    """What became of one event: outputs, and the names of what to count."""

    outputs: tuple[Output, ...]
    counts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Context:
    """What a stage is told beside its events: versions, bounds, and where Kafka's partitioner puts a key."""

    in_force: InForce
    code_version: str
    partition_of: Callable[[bytes], int]
    future_ms_max: int


class Stage(ABC):
    """One hop: records of some topics, in one order."""

    name: str
    inputs: tuple[Topic, ...]
    state_log: Topic
    takes_long = False
    """Whether a step may take seconds, and is made in a thread, so that heartbeats go on."""

    def __init__(self, context: Context) -> None:
        self.context = context

    @abstractmethod
    def read(self, record: Record) -> Event | Refusal:
        """Return the event in a record, or why there is none."""

    def refuse(self, refusal: Refusal) -> Step:
        """Return the dead letter of a refused record, and the `invalid` decision where its id can be read.

        What is history has nobody to answer: it is a dead letter alone.
        """
        outputs = [self._dead_letter(refusal.record, refusal.reason, refusal.detail)]
        asks = refusal.record.topic == TRANSACTIONS.name and not is_history(refusal.record.headers)
        identity = readable_identity(refusal.record.value) if asks else None
        if identity:
            decision = without_prediction(
                identity.transaction_id,
                identity.card,
                action="invalid",
                mode="fallback",
                reason=Reason(code=refusal.reason, text=refusal.detail[:500]),
                policy=self.context.in_force.policy,
            )
            key = identity.card.encode() if identity.card else None
            outputs.append(Output(DECISIONS, key, encode(decision), refusal.record.partition))
        return Step(tuple(outputs), ("dead_letters", f"dead_letters.{refusal.reason}", *(["invalid"] * bool(identity))))

    def fail(self, event: Event, error: Exception) -> Step:
        """Return what follows when `step` raised: a dead letter, and `review` for a transaction. State is untouched."""
        detail = f"{type(error).__name__}: {error}"
        outputs = [self._dead_letter(event.record, "core_exception", detail, _raised_at(error))]
        profiled = event.message if isinstance(event.message, Profiled) else None
        message = profiled.transaction if profiled else event.message
        history = profiled.mode if profiled else is_history(event.record.headers)
        if isinstance(message, Transaction) and not history:
            decision = without_prediction(
                message.transaction_id,
                message.card,
                action="review",
                mode="fallback",
                reason=Reason(code="core_exception", text="the detector failed on this payment"),
                policy=self.context.in_force.policy,
                event_time_ms=message.event_time_ms,
                traceparent=message.traceparent,
            )
            outputs.append(Output(DECISIONS, message.card.encode(), encode(decision), event.record.partition))
        return Step(
            tuple(outputs), ("dead_letters", "dead_letters.core_exception", *(["decided"] * (len(outputs) - 1)))
        )

    def _dead_letter(self, record: Record, reason: DeadLetterReason, detail: str, stacktrace: str = "") -> Output:
        letter = DeadLetter(
            origin=Origin(**record._asdict()),
            stage=self.name,
            reason=reason,
            detail=detail,
            class_name=f"{type(self).__module__}.{type(self).__qualname__}",
            stacktrace=stacktrace,
        )
        key, value, headers = letter.to_record()
        return Output(DEAD_LETTERS, key, value, record.partition, tuple(headers), record.timestamp_ms)


class EntityStage(Stage):
    """A hop that remembers entities of one kind."""

    kind: Kind

    @abstractmethod
    def step(self, state: State, event: Event, positions: Positions) -> Step:
        """Return what follows from an event, and change the state by it.

        `positions` is where every input stands: at this record for its own topic, before the first record that was not
        applied yet for the others.
        """


def _raised_at(error: Exception) -> str:
    """Return the calls that led to an error, innermost first as Kafka Connect has them, by name and line number."""
    calls, at = [], error.__traceback__
    while at is not None:
        code = at.tb_frame.f_code
        calls.append(f"at {at.tb_frame.f_globals.get('__name__', '')}.{code.co_qualname}:{at.tb_lineno}")
        at = at.tb_next
    return "\n".join(reversed(calls))


def refusal_of(record: Record, failure: DecodeFailure) -> Refusal:
    """Return the refusal of a record that is no message."""
    return Refusal(record, failure.reason, failure.detail)


def key_problem(record: Record, expected: str, partition_of: Callable[[bytes], int]) -> Refusal | None:
    """Return a refusal where a record's key is not its entity, or not where Kafka's murmur2 puts that key.

    Either would split one entity's history over two tasks, and every feature of it would be wrong.
    """
    if record.key is None:
        return Refusal(record, "no_key", f"the key must be the {expected.partition('_')[0]} token")
    if record.key != expected.encode():
        return Refusal(record, "key_mismatch", "the key is not the entity that the value names")
    right_partition = partition_of(record.key)
    if right_partition != record.partition:
        return Refusal(
            record,
            "wrong_partition",
            f"this key belongs to partition {right_partition}: set partitioner=murmur2_random in the producer",
        )
    return None
