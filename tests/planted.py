"""Logs with something changed in them, and what must depend on it, worked out by the oracle's own features."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from schemas.codec import DecodeFailure, decode
from schemas.dead_letter import REPLAYED_FROM, DeadLetter
from schemas.decision import Prediction, Profiled
from schemas.label import EffectiveLabel, Label, VerdictChange
from schemas.learning import ModelVersion, TrainingRecord
from schemas.topics import DEAD_LETTERS, LABELS, MODELS, PREDICTIONS, PROFILED, TRAINING, TRANSACTIONS, Topic
from streams.detector.stage import Record
from streams.recompute.logs import Logs
from tests.oracle_features import Entity
from tests.oracle_ledger import effective

Identity = tuple[str | None, str | None]
Held = tuple[str, int, int]
"""Topic, partition, offset."""
LabelName = tuple[str, str, str, int]
"""Card, transaction, source, revision."""
Changes = Mapping[LabelName, VerdictChange | None]


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


def name_of(about: Label | TrainingRecord) -> LabelName:
    """Return what names a label, and the record that was learned of it."""
    return about.card, about.transaction_id, about.source, about.revision


def depending_on(logs: Logs, label: Label, *, learned: bool = True) -> set[Identity]:
    """Return whose decisions differ where this label says the opposite: by features, or by what was learned of them.

    What the merchant stage failed on has no prediction; where it was replayed it has one, with the features of the card
    as they are in its dead letter.
    """
    failed = _failed(logs)
    records = [(record, _decoded(Profiled, record)) for record in all_of(logs, PROFILED)]
    of_the_card = _of_the_card(logs, label)
    accepted = [message for record, message in records if (record.partition, record.offset) not in failed]
    changes = _changes(of_the_card, label)
    by_card = _differing(Entity("card"), Entity("card"), of_the_card, label, changes)
    by_card -= {_identity(message) for record, message in records if (record.partition, record.offset) in failed}
    at_the_merchant = [message for message in accepted if _about(message).merchant == label.merchant]
    differing = by_card | _differing(Entity("merchant"), Entity("merchant"), at_the_merchant, label, changes)
    return differing | (_scored_by(logs, _taught(logs, differing, of_the_card, label)) if learned else set())


def labels_differing(logs: Logs, label: Label) -> int:
    """Return how many labels to be learned differ, are missing or are too many where this label says the opposite."""
    of_the_card = _of_the_card(logs, label)
    return len(_others(of_the_card, label))


def _of_the_card(logs: Logs, label: Label) -> list[Profiled]:
    """Return what the card task wrote of a card, along its path."""
    records = [(record, _decoded(Profiled, record)) for record in all_of(logs, PROFILED)]
    of_the_card = [
        message
        for record, message in records
        if _about(message).card == label.card and REPLAYED_FROM not in dict(record.headers)
    ]
    return sorted(
        of_the_card, key=lambda message: sum(message.positions[each.name][1] for each in (LABELS, TRANSACTIONS))
    )


def _failed(logs: Logs) -> set[tuple[int, int]]:
    """Return the places of the profiled records that the merchant stage failed on."""
    letters = (
        DeadLetter.from_record(record.key, record.value, record.headers, record.timestamp_ms)
        for record in all_of(logs, DEAD_LETTERS)
    )
    return {(each.origin.partition, each.origin.offset) for each in letters if each.origin.topic == PROFILED.name}


def _as_planted(said: Label, label: Label) -> Label:
    return other_verdict(label) if said == label else said


def _changes(of_the_card: Iterable[Profiled], label: Label) -> Changes:
    """Return what each label of the card changes where one of them says the opposite."""
    card = Entity("card")
    said = (message.label for message in of_the_card if message.label)
    return {name_of(each): card.report(_as_planted(each, label))[1] for each in said}


def _differing(
    then: Entity, now: Entity, messages: Iterable[Profiled], label: Label, changes: Changes
) -> set[Identity]:
    found: set[Identity] = set()
    for message in messages:
        if message.label:
            _tell(then, message.label, message.change)
            change = changes.get(name_of(message.label), message.change)
            _tell(now, _as_planted(message.label, label), change)
            continue
        assert message.transaction is not None
        told = message.features.get("payment_amount_minor")
        amount = None if told is None else int(told)
        if then.features(message.transaction, amount) != now.features(message.transaction, amount):
            found.add(_identity(message))
        for entity in (then, now):
            entity.pay(message.transaction, amount)
    return found


def _tell(entity: Entity, label: Label, change: VerdictChange | None) -> None:
    if entity.kind == "card":
        entity.report(label)
    elif change:
        entity.follow(label, change)


def _others(of_the_card: list[Profiled], label: Label) -> set[LabelName]:
    """Return the names of the labels to be learned that are others where one label says the opposite."""
    changes = _changes(of_the_card, label)
    pairs = (
        (each.label, effective(each.label, each.change), changes[name_of(each.label)])
        for each in of_the_card
        if each.label
    )
    return {
        name_of(said)
        for said, then, change in pairs
        if _content(then) != _content(effective(_as_planted(said, label), change))
    }


def _content(label: EffectiveLabel | None) -> object:
    return label and label.model_dump()


def _taught(logs: Logs, differing: Collection[Identity], of_the_card: list[Profiled], label: Label) -> set[str]:
    """Return the versions of the snapshots that learned another label, or the features of a payment that differs."""
    others = _others(of_the_card, label)
    first: int | None = None
    for record in all_of(logs, TRAINING):
        example = _decoded(TrainingRecord, record)
        if name_of(example) in others or (example.card, example.transaction_id) in differing:
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
