"""Logs with something changed in them, and what must depend on it, worked out by the oracle's own features."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from schemas.codec import DecodeFailure, decode
from schemas.dead_letter import REPLAYED_FROM, DeadLetter
from schemas.decision import Prediction, Profiled
from schemas.label import Label
from schemas.learning import ModelVersion, TrainingRecord
from schemas.topics import DEAD_LETTERS, LABELS, MODELS, PREDICTIONS, PROFILED, TRAINING, TRANSACTIONS, Topic
from streams.detector.stage import Record
from streams.recompute.logs import Logs
from tests.oracle_features import Entity

Identity = tuple[str | None, str | None]
Held = tuple[str, int, int]
"""Topic, partition, offset."""


class MemoryLogs:
    """Topics in memory: what a test puts there."""

    def __init__(self, records: Mapping[tuple[str, int], list[Record]], partitions: int) -> None:
        self.records = dict(records)
        self._partitions = partitions
        self.begins: dict[tuple[str, int], int] = {}

    def partitions(self, topic: Topic) -> int:
        return topic.partitions(self._partitions)

    def bounds(self, topic: Topic, partition: int) -> tuple[int, int]:
        held = self.records.get((topic.name, partition), [])
        return self.begins.get((topic.name, partition), 0), held[-1].offset + 1 if held else 0

    def stable(self, topic: Topic, partition: int) -> int:
        return self.bounds(topic, partition)[1]

    def read(self, topic: Topic, partition: int, start: int = 0) -> Iterator[Record]:
        held = self.records.get((topic.name, partition), [])
        begin = max(start, self.begins.get((topic.name, partition), 0))
        return (record for record in held if record.offset >= begin)


class PlantedLogs:
    """Logs in which some records hold another value."""

    def __init__(self, logs: Logs, values: Mapping[Held, bytes]) -> None:
        self._logs = logs
        self._values = values

    def partitions(self, topic: Topic) -> int:
        return self._logs.partitions(topic)

    def bounds(self, topic: Topic, partition: int) -> tuple[int, int]:
        return self._logs.bounds(topic, partition)

    def stable(self, topic: Topic, partition: int) -> int:
        return self._logs.stable(topic, partition)

    def read(self, topic: Topic, partition: int, start: int = 0) -> Iterator[Record]:
        for record in self._logs.read(topic, partition, start):
            value = self._values.get((topic.name, partition, record.offset))
            yield record if value is None else record._replace(value=value)


def all_of(logs: Logs, topic: Topic) -> list[Record]:
    """Return all records of a topic, partition by partition."""
    return [record for partition in range(logs.partitions(topic)) for record in logs.read(topic, partition)]


def other_verdict(label: Label) -> Label:
    """Return the label with the opposite verdict."""
    return label.model_copy(update={"verdict": "legitimate" if label.verdict == "fraud" else "fraud"})


def accepted_labels(logs: Logs) -> dict[Held, Label]:
    """Return the labels that the card stage took, by their places."""
    labels = {}
    for record in all_of(logs, PROFILED):
        message = _decoded(Profiled, record)
        if message.label:
            labels[LABELS.name, *message.positions[LABELS.name]] = message.label
    return labels


def depending_on(logs: Logs, label: Label, *, learned: bool = True) -> set[Identity]:
    """Return whose decisions differ where this label says the opposite: by features, or by what was learned of them.

    What the merchant stage failed on has no prediction; where it was replayed it has one, with the features of the card
    as they are in its dead letter.
    """
    failed = _failed(logs)
    records = [(record, _decoded(Profiled, record)) for record in all_of(logs, PROFILED)]
    of_the_card = [
        message
        for record, message in records
        if _about(message).card == label.card and REPLAYED_FROM not in dict(record.headers)
    ]
    # Along the path of the card task; the partition of the merchant is an order by itself.
    of_the_card.sort(key=lambda message: sum(message.positions[topic.name][1] for topic in (LABELS, TRANSACTIONS)))
    accepted = [message for record, message in records if (record.partition, record.offset) not in failed]
    by_card = _differing("card", of_the_card, label)
    by_card -= {_identity(message) for record, message in records if (record.partition, record.offset) in failed}
    at_the_merchant = [message for message in accepted if _about(message).merchant == label.merchant]
    differing = by_card | _differing("merchant", at_the_merchant, label)
    return differing | (_scored_by(logs, _taught(logs, differing, label)) if learned else set())


def _failed(logs: Logs) -> set[tuple[int, int]]:
    """Return the places of the profiled records that the merchant stage failed on."""
    letters = (
        DeadLetter.from_record(record.key, record.value, record.headers, record.timestamp_ms)
        for record in all_of(logs, DEAD_LETTERS)
    )
    return {(each.origin.partition, each.origin.offset) for each in letters if each.origin.topic == PROFILED.name}


def _differing(kind: Any, messages: Iterable[Profiled], label: Label) -> set[Identity]:
    then, now = Entity(kind), Entity(kind)
    found: set[Identity] = set()
    for message in messages:
        if message.label:
            then.report(message.label)
            now.report(other_verdict(label) if message.label == label else message.label)
            continue
        assert message.transaction is not None
        told = message.features.get("payment_amount_minor")
        amount = None if told is None else int(told)
        if then.features(message.transaction, amount) != now.features(message.transaction, amount):
            found.add(_identity(message))
        for entity in (then, now):
            entity.pay(message.transaction, amount)
    return found


def _taught(logs: Logs, differing: Collection[Identity], label: Label) -> set[str]:
    """Return the versions of the snapshots that learned the label, or the features of a payment that differs."""
    first: int | None = None
    for record in all_of(logs, TRAINING):
        example = _decoded(TrainingRecord, record)
        identity = (example.card, example.transaction_id)
        is_its_own = identity == (label.card, label.transaction_id) and example.revision == label.revision
        if is_its_own or identity in differing:
            first = record.offset
            break
    models = [ModelVersion.model_validate_json(record.value or b"") for record in all_of(logs, MODELS)]
    return {model.version for model in models if first is not None and model.training_offset > first}


def _scored_by(logs: Logs, versions: Collection[str]) -> set[Identity]:
    return predicted(logs, lambda prediction: prediction.model_version in versions)


def predicted(logs: Logs, holds: Callable[[Prediction], bool]) -> set[Identity]:
    """Return whose predictions are such."""
    predictions = (_decoded(Prediction, record) for record in all_of(logs, PREDICTIONS))
    return {(each.transaction.card, each.transaction.transaction_id) for each in predictions if holds(each)}


def _identity(message: Profiled) -> Identity:
    about = _about(message)
    return about.card, about.transaction_id


def _about(message: Profiled) -> Any:
    return message.transaction or message.label


def _decoded(kind: Any, record: Record) -> Any:
    message = decode(kind, record.value)
    assert not isinstance(message, DecodeFailure), message
    return message
