"""The training log folded again: every snapshot from the records before it, and who made those that differ. Pure."""

from collections.abc import Callable, Iterator, Mapping

from schemas.codec import encode
from schemas.fields import Features
from schemas.label import EffectiveLabel
from schemas.learning import ModelVersion, TrainingRecord
from schemas.sampling import weight_of
from schemas.topics import MODELS, PREDICTIONS, TRAINING
from streams.detector.learner import Learner, libraries
from streams.detector.learning_stage import LearningStage
from streams.detector.rebuild import rebuilt
from streams.detector.scorer import RefusedError, Scorer, made_by, model_of, scorer_of
from streams.detector.stage import Output, Record, Refusal
from streams.recompute.card import LabelName
from streams.recompute.compare import Found, Subject
from streams.recompute.logs import DeletedError, Logs
from streams.recompute.rare import Letter, Rare
from streams.recompute.replay import Place


class Training:
    """The training log, with what its records took from labels and predictions as that comes out now.

    Parameters
    ----------
    labels, features : what came out differently: labels to be learned by name, features by the place of a prediction.
    kept_one_in : the share of assumed-legitimate labels that is learned.
    """

    def __init__(
        self,
        logs: Logs,
        stage: LearningStage,
        labels: Mapping[LabelName, EffectiveLabel | None],
        features: Mapping[Place, Features | None],
        kept_one_in: int,
    ) -> None:
        begin, _ = logs.bounds(TRAINING, 0)
        if begin:
            raise DeletedError(f"{TRAINING.name}: records 0 to {begin - 1} are gone; no model can be made without them")
        self._records = logs.read(TRAINING, 0)
        self._ahead: Record | None = next(self._records, None)
        self.stage = stage
        self._logs = logs
        self._labels = labels
        self._features = features
        self._kept_one_in = kept_one_in
        self.refused: list[Refusal] = []

    def taught(self, learner: Learner, model: ModelVersion) -> Learner:
        """Return the learner as it was where a snapshot was cut: it learned on, or was rebuilt there."""
        for example in self.up_to(model.training_offset):
            learner.learn(example)
        if model.rebuilt_at is None or model.rebuilt_at == learner.rebuilt_at:
            return learner
        again = Training(self._logs, self.stage, self._labels, self._features, self._kept_one_in)
        anew = rebuilt(again.up_to(model.rebuilt_at))
        anew.parent, anew.rebuilt_at = learner.parent, model.rebuilt_at
        return anew

    def up_to(self, offset: int) -> Iterator[TrainingRecord]:
        """Give what is learned before an offset, from where it was left."""
        while self._ahead is not None and self._ahead.offset < offset:
            event = self.stage.read(self._ahead)
            self._ahead = next(self._records, None)
            if isinstance(event, Refusal):
                self.refused.append(event)
                continue
            assert isinstance(event.message, TrainingRecord)
            record = self._as_it_comes_out(event.message)
            if record is not None:
                yield record

    def _as_it_comes_out(self, record: TrainingRecord) -> TrainingRecord | None:
        changes: dict[str, object] = {}
        name = (record.card, record.transaction_id, record.source, record.revision)
        if name in self._labels:
            label = self._labels[name]
            weight = weight_of(label, self._kept_one_in) if label else None
            if label is None or weight is None:
                return None
            changes = {
                "verdict": label.verdict,
                "verdict_of": label.verdict_of,
                "reported_at_ms": label.reported_at_ms,
                "weight": weight,
            }
        place = record.positions.get(PREDICTIONS.name)
        if place and place in self._features:
            features = self._features[place]
            if features is None:
                return None
            # As the store gives them back, from which they are learned.
            changes["features"] = {feature: float(value) for feature, value in features.items()}
        return record.model_copy(update=changes) if changes else record


def same_models(one: Mapping[str, Scorer], other: Mapping[str, Scorer]) -> bool:
    """Return whether the same versions came out as the same models: what each came out as is named by its content."""
    return {name: each.version for name, each in one.items()} == {name: each.version for name, each in other.items()}


def remake(
    logs: Logs,
    training: Training,
    rare: Rare,
    found: Found,
    last: frozenset[str] | None = None,
    *,
    is_believed: Callable[[Record], bool] = lambda _record: True,
) -> dict[str, Scorer]:
    """Compare every snapshot with what the training log leads to; return those that come out differently.

    A snapshot that the log cannot lead to (its records were learned elsewhere) is told, and stands. With `last` no
    snapshot is made behind these versions. What nobody who may has signed was never in force, and is passed over.
    """
    wanted = None if last is None else set(last)
    learner, learned_to = Learner(), 0
    remade: dict[str, Scorer] = {}
    here = libraries()
    for record in _snapshots(logs, found, is_believed):
        if wanted is not None and not wanted:
            break
        if wanted is not None:
            wanted.discard((record.key or b"").decode())
        try:
            model = model_of(record.value)
        except RefusedError as error:
            found.notes.append(f"model at {record.offset} cannot be read: {error}")
            found.compare(MODELS.name, Subject(), record, None)
            continue
        found.libraries.update(model.libraries.items())
        if model.challenger is not None:
            found.notes.append(f"model {model.version} is a challenger's: it is taken as it is")
            continue
        learner = training.taught(learner, model)
        foreign = model.training_offset < learned_to or not learner.records
        learned_to = max(learned_to, model.training_offset)
        again = learner.snapshot(model.training_offset)
        same = encode(_under_the_name_of(model, again)) == record.value
        made = Output(MODELS, record.key, record.value if same else encode(again), 0, record.headers)
        found.compare(MODELS.name, Subject(time_ms=model.learned_to_ms), record, made)
        if not same and not foreign:
            remade[model.version] = scorer_of(again)
        if not same:
            _explain(model, again, here, found, foreign=foreign)
        # As it was named then, so that one that differs does not rename all behind it.
        learner.parent = model.version
    for refusal in training.refused:
        _compare_refusal(refusal, training, rare, found)
    return remade


def _snapshots(logs: Logs, found: Found, is_believed: Callable[[Record], bool]) -> Iterator[Record]:
    """Give each snapshot that was signed by one who may, once."""
    seen = set[bytes | None]()
    for record in logs.read(MODELS, 0):
        if not is_believed(record):
            found.notes.append(f"model at {record.offset} is signed by nobody who may")
        elif record.key not in seen:
            seen.add(record.key)
            yield record


def _under_the_name_of(model: ModelVersion, again: ModelVersion) -> ModelVersion:
    """Return a snapshot with the code and the libraries of another, and with the name that follows from them.

    The version and the digest are over all of the content. Where only the libraries are others, what is asked is
    whether the coefficients are; the code is named for people, and no part of the version.
    """
    again = made_by(again, model.code_version)
    if again.libraries == model.libraries:
        return again
    named = {"libraries": model.libraries, "version": model.version, "digest": model.digest}
    return again.model_copy(update=named)


def _explain(model: ModelVersion, again: ModelVersion, here: Mapping[str, str], found: Found, *, foreign: bool) -> None:
    others = [
        f"{name} {version}, here {here.get(name, 'none')}"
        for name, version in sorted(model.libraries.items())
        if here.get(name) != version
    ]
    if foreign:
        why = "the training log does not lead to it: it was learned elsewhere, and is taken as it is"
    elif others:
        why = f"it was made with {'; '.join(others)}: the library changes what is learned"
    elif model.feature_schema != again.feature_schema:
        why = "it was made for other inputs: the code has changed"
    else:
        return
    found.notes.append(f"model {model.version} comes out differently: {why}")


def _compare_refusal(refusal: Refusal, training: Training, rare: Rare, found: Found) -> None:
    record = refusal.record
    for output in training.stage.refuse(refusal).outputs:
        held = rare.take(Letter(training.stage.name, record.topic, record.partition, record.offset))
        found.compare(output.topic.name, Subject(), held, output)
