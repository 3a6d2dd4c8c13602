"""What was learned, against what the topics say should have been: each label once, by the features of its decision.

Every snapshot is made again, by one process that reads the training log from its beginning, and compared coefficient
for coefficient.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from schemas.codec import DecodeFailure, decode
from schemas.decision import Prediction
from schemas.fields import Features
from schemas.label import EffectiveLabel
from schemas.learning import ModelVersion, TrainingRecord
from schemas.sampling import weight_of
from schemas.settings import Settings
from schemas.topics import LABELS_WAITING, MODELS, PREDICTIONS, TRAINING
from streams.detector.learner import Learner
from streams.detector.scorer import made_by
from tests.all_topics import Topics
from tests.findings import Identity, keep
from tests.oracle import first_appearances

ZEROES = (
    "learned_twice",
    "never_learned",
    "learned_of_nothing",
    "labels_differing",
    "features_differing",
    "snapshots_repeated",
    "snapshots_differing",
    "snapshots_missing",
)
"""Figures of which every one must be 0."""

Logged = tuple[int, bytes]
"""Offset and value of a record of the training log."""


@dataclass
class LearningAudit:
    """What the comparison found. Those in `ZEROES` must be 0.

    `snapshots_missing` are those that the log asks for and the models' topic lacks: the learner is behind, or lost one.
    """

    labels: int = 0
    training_records: int = 0
    learned_twice: int = 0
    never_learned: int = 0
    learned_of_nothing: int = 0
    labels_differing: int = 0
    features_differing: int = 0
    snapshots: int = 0
    snapshots_repeated: int = 0
    snapshots_differing: int = 0
    snapshots_missing: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether everything is as it must be."""
        return not any(getattr(self, name) for name in ZEROES)

    def figures(self) -> dict[str, Any]:
        """Return the counts, and a few examples of what is wrong."""
        return asdict(self)

    def wrong(self, figure: str, what: object) -> None:
        """Count something that must not be, and keep the first few."""
        setattr(self, figure, getattr(self, figure) + 1)
        keep(self.examples, f"{figure}: {what}")


def audit_learning(settings: Settings, topics: Topics) -> LearningAudit:
    """Compare what the topics hold of labels, training records and models."""
    labels = [_decoded(EffectiveLabel, message.value()) for message in first_appearances(topics[LABELS_WAITING])]
    predictions = [_decoded(Prediction, message.value()) for message in topics[PREDICTIONS]]
    predicted = {(each.transaction.card, each.transaction.transaction_id): each.features for each in predictions}
    training = [(message.offset(), message.value()) for message in topics[TRAINING]]
    found = LearningAudit()
    compare_records(found, labels, predicted, training, settings.legitimate_kept_one_in)
    compare_snapshots(found, training, [message.value() for message in topics[MODELS]], settings.snapshot_records)
    return found


def compare_records(
    found: LearningAudit,
    labels: Sequence[EffectiveLabel],
    predicted: Mapping[Identity, Features],
    training: Sequence[Logged],
    kept_one_in: int,
) -> None:
    """Compare training records with the labels that waited and with what their payments were decided by."""
    found.labels, found.training_records = len(labels), len(training)
    accepted = {(label.card, label.transaction_id, label.source, label.revision): label for label in labels}
    learned: Counter[tuple[str, str, str, int]] = Counter()
    for offset, value in training:
        record = decode(TrainingRecord, value)
        if isinstance(record, DecodeFailure):
            found.wrong("learned_of_nothing", f"offset {offset}: {record.detail}")
            continue
        identity = (record.card, record.transaction_id, record.source, record.revision)
        learned[identity] += 1
        if learned[identity] > 1:
            found.wrong("learned_twice", identity)
        label = accepted.get(identity)
        if label is None:
            found.wrong("learned_of_nothing", identity)
        elif _of_the_label(record) != (*_of_the_label(label), weight_of(label, kept_one_in)):
            found.wrong("labels_differing", identity)
        if _floats(record.features) != _floats(predicted.get(identity[:2], {})):
            found.wrong("features_differing", identity)
    for identity, label in accepted.items():
        if weight_of(label, kept_one_in) is not None and identity[:2] in predicted and not learned[identity]:
            found.wrong("never_learned", identity)


def compare_snapshots(
    found: LearningAudit, training: Iterable[Logged], models: Sequence[bytes], snapshot_records: int
) -> None:
    """Compare the snapshots that the learner published with those that the training log leads to."""
    cut = [model for model in map(ModelVersion.model_validate_json, models) if model.challenger is None]
    found.snapshots = len(cut)
    expected = {model.version: model for model in snapshots_of(training, snapshot_records)}
    seen: set[str] = set()
    for model in cut:
        if model.version in seen:
            found.wrong("snapshots_repeated", model.version)
        seen.add(model.version)
        wanted = expected.get(model.version)
        if wanted is None or model != made_by(wanted, model.code_version):
            found.wrong("snapshots_differing", model.version)
    for version in expected.keys() - seen:
        found.wrong("snapshots_missing", version)


def snapshots_of(training: Iterable[Logged], snapshot_records: int) -> list[ModelVersion]:
    """Return all snapshots of a training log: at so many records each, and behind one that cannot be read."""
    learner, snapshots = Learner(), list[ModelVersion]()
    for offset, value in training:
        record = decode(TrainingRecord, value)
        if isinstance(record, TrainingRecord):
            learner.learn(record)
        if isinstance(record, DecodeFailure) or learner.records % snapshot_records == 0:
            snapshots.append(learner.snapshot(offset + 1))
            learner.parent = snapshots[-1].version
    return snapshots


def _of_the_label(about: EffectiveLabel | TrainingRecord) -> tuple[object, ...]:
    named = (about.merchant, about.verdict, about.verdict_of, about.occurred_at_ms, about.reported_at_ms)
    return (*named, about.weight) if isinstance(about, TrainingRecord) else named


def _floats(features: Features) -> dict[str, float]:
    return {name: float(value) for name, value in features.items()}


def _decoded(kind: Any, value: bytes) -> Any:
    message = decode(kind, value)
    assert not isinstance(message, DecodeFailure), message
    return message
