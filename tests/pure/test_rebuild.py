"""A rebuild: what was taken back teaches nothing, the command is carried out once, and recomputing follows it."""

from collections.abc import Sequence
from random import Random

import pytest

from schemas.codec import decode, encode
from schemas.learning import ModelVersion, TrainingRecord
from schemas.registry import Audit
from schemas.topics import AUDIT, CONTROLS, MODELS, TRAINING
from streams.detector.learner import Learner
from streams.detector.rebuild import rebuilt
from streams.detector.scorer import made_by
from streams.detector.stage import Record
from streams.recompute.compare import Found
from streams.recompute.models import Training, remake
from streams.recompute.rare import Rare
from tests.planted import MemoryLogs
from tests.pure.test_learning_commands import _command
from tests.pure.test_learning_task import STAGE, _CrashError, _early_trees, _lead, _task, _Topics, _training

__all__ = ["_early_trees"]


def _reversed(training: Sequence[Record], at: int) -> list[Record]:
    """Return a log in which the last record takes back what one of the first said."""
    wrong = decode(TrainingRecord, training[at].value)
    assert isinstance(wrong, TrainingRecord)
    verdict = "legitimate" if wrong.verdict == "fraud" else "fraud"
    right = wrong.model_copy(update={"verdict": verdict, "revision": 1, "reported_at_ms": wrong.reported_at_ms + 1_000})
    last = training[-1]
    return [*training, Record(TRAINING.name, 0, last.offset + 1, last.timestamp_ms, last.key, encode(right))]


def _messages(training: Sequence[Record]) -> list[TrainingRecord]:
    messages = [decode(TrainingRecord, record.value) for record in training]
    return [message for message in messages if isinstance(message, TrainingRecord)]


def test_rebuilt_model_never_saw_what_was_taken_back() -> None:
    """Law: behind a label that was reversed, the rebuilt model is one that never saw it, to the last bit."""
    training = _reversed(_training(60), at=7)
    never = Learner()
    for message in _messages([*training[:7], *training[8:]]):
        never.learn(message)
    again, plain = rebuilt(_messages(training)), Learner()
    for message in _messages(training):
        plain.learn(message)
    assert again.snapshot(0) == never.snapshot(0)
    assert again.snapshot(0).state["leaves"] is not None
    assert plain.snapshot(0).state != never.snapshot(0).state


@pytest.mark.parametrize("seed", range(10))
def test_rebuild_is_carried_out_once_whatever_crashes(seed: int) -> None:
    """Law: one answer, one rebuilt snapshot of the log so far, and learning goes on from it."""
    chance, topics, training = Random(seed), _Topics(), _reversed(_training(39), at=7)
    _lead(topics, training, 5, lambda _: None)
    cut, end = len(topics.snapshots), topics.snapshots[-1].training_offset

    def may_go_on(call: str) -> None:
        if chance.random() < 0.1:
            raise _CrashError(call)

    for _ in range(1_000):
        try:
            task = _task(topics, may_go_on)
            if task.open().get(CONTROLS.name, 0) == 0:
                task.step([STAGE.read(_command(0, "rebuild"))])
                task.commit()
        except _CrashError:
            continue
        break
    answers = [Audit.model_validate_json(record.value or b"") for record in topics.of(AUDIT)]
    assert [(each.kind, each.outcome) for each in answers] == [("rebuild", "done")]
    made = topics.snapshots[cut:]
    expected = rebuilt(_messages([record for record in training if record.offset < end]))
    expected.parent, expected.rebuilt_at = topics.snapshots[cut - 1].version, end
    assert made == [made_by(expected.snapshot(end), "test")]
    assert topics.aliases[-1].version == made[0].version
    assert _task(topics).open()[TRAINING.name] == end


def test_rebuild_at_the_same_place_changes_nothing() -> None:
    """Law: a second rebuild behind the same records is answered, and cuts nothing."""
    topics, training = _Topics(), _training(30)
    _lead(topics, training, 5, lambda _: None)
    task = _task(topics)
    task.open()
    task.step([STAGE.read(_command(0, "rebuild")), STAGE.read(_command(1, "rebuild"))])
    task.commit()
    assert [each.rebuilt_at is None for each in topics.snapshots] == [True] * 3 + [False]
    assert len(topics.of(AUDIT)) == 2


def test_recomputing_follows_a_rebuild() -> None:
    """Law: a snapshot that was rebuilt, and those behind it, are made again from the log."""
    topics, training = _Topics(), _reversed(_training(39), at=7)
    _lead(topics, training[:25], 5, lambda _: None)
    task = _task(topics)
    task.open()
    task.step([STAGE.read(_command(0, "rebuild"))])
    task.commit()
    _lead(topics, training, 5, lambda _: None)
    snapshots = topics.snapshots
    assert [model.rebuilt_at for model in snapshots] == [None, None, *[snapshots[1].training_offset] * 3]
    found, models = Found(), topics.of(MODELS)
    logs = MemoryLogs({(TRAINING.name, 0): training, (MODELS.name, 0): models}, 1)
    assert remake(logs, Training(logs, STAGE, {}, {}, 3), Rare(), found) == {}
    assert (found.equal[MODELS.name], found.differences) == (5, [])


def test_rebuilt_model_says_so_through_bytes() -> None:
    """Law: a learner made from a rebuilt snapshot goes on saying where it was rebuilt."""
    learner = rebuilt(_messages(_training(20)))
    learner.rebuilt_at = 22
    model = decode(ModelVersion, encode(learner.snapshot(22)))
    assert isinstance(model, ModelVersion)
    assert (model.place, Learner.of(model).rebuilt_at) == ((22, 22), 22)
