"""Commands to the learning stage: each is carried out once, whatever crashes, and learning goes on beside them."""

from random import Random

import pytest

from schemas.learning import TrainingRecord
from schemas.registry import Alert, Audit, Control
from schemas.topics import ALERTS, AUDIT, CONTROLS, MODELS, TRAINING
from streams.detector.learner import Kind, Learner
from streams.detector.stage import Output, Record
from tests.pure.test_learning_task import NOW_MS, STAGE, _CrashError, _expected, _lead, _task, _Topics, _training
from tests.signed import record_of


def test_replayed_snapshot_does_not_lead_back() -> None:
    """Law: an old snapshot that is written again is old, and what was learned since is not learned again."""
    topics, training = _Topics(), _training(35)
    _lead(topics, training[:25], 5, lambda _: None)
    old = topics.of(MODELS)[0]
    topics.put(Output(MODELS, old.key, old.value, 0, old.headers))
    assert _task(topics).open() == {TRAINING.name: training[19].offset + 1}


def test_a_challengers_snapshot_leads_nobody_and_can_be_promoted() -> None:
    """Law: one that has learned more than the learner does not take its place, and a command puts it in force."""
    topics, training = _Topics(), _training(35)
    _lead(topics, training[:25], 5, lambda _: None)
    challenger = Learner(kind=Kind("cells", grows=False, share_of_leaves=0.0))
    for record in training:
        challenger.learn(TrainingRecord.model_validate_json(record.value or b""))
    left = challenger.snapshot(training[-1].offset + 1)
    written = record_of(MODELS, 0, left.version, left)
    topics.put(Output(MODELS, written.key, written.value, 0, written.headers))
    task = _task(topics)
    assert task.open() == {TRAINING.name: training[19].offset + 1}
    offset = str(topics.of(MODELS)[-1].offset)
    task.step([STAGE.read(_command(0, "promote", version=left.version, model_offset=offset))])
    task.commit()
    assert (topics.aliases[-1].version, topics.aliases[-1].mode) == (left.version, "pinned")


def _command(offset: int, kind: str, **arguments: str) -> Record:
    fields = {"control_id": f"c-{offset}", "author": "operator", "kind": kind, "issued_at_ms": NOW_MS + offset}
    control = Control.model_validate({**fields, "arguments": arguments})
    return record_of(CONTROLS, offset, control.control_id, control)


@pytest.mark.parametrize("seed", range(20))
def test_commands_are_carried_out_once_whatever_crashes(seed: int) -> None:
    """Law: each command has one answer and one effect, and its place among them does not depend on crashes."""
    chance, topics, training = Random(seed), _Topics(), _training(45)
    _lead(topics, training[:25], 5, lambda _: None)
    first = topics.of(MODELS)[0]
    version = (first.key or b"").decode()
    commands = [
        _command(0, "promote", version=version, model_offset=str(first.offset)),
        _command(1, "promote", version="m-none", model_offset="7"),
        _command(0, "promote", version=version, model_offset=str(first.offset))._replace(offset=3),
        _command(5, "follow"),
    ]

    def may_go_on(call: str) -> None:
        if chance.random() < 0.15:
            raise _CrashError(call)

    for _ in range(1_000):
        try:
            task = _task(topics, may_go_on)
            done = task.open().get(CONTROLS.name, 0)
            for record in commands:
                if record.offset >= done:
                    task.step([STAGE.read(record)])
                    task.commit()
        except _CrashError:
            continue
        break
    answers = [Audit.model_validate_json(record.value or b"") for record in topics.of(AUDIT)]
    assert [(each.control_offset, each.outcome, each.reason) for each in answers] == [
        (0, "done", None),
        (1, "refused", "no_such_model"),
        (3, "refused", "replayed"),
        (5, "done", None),
    ]
    assert [(each.version, each.mode) for each in topics.aliases[-4:]] == [(version, "pinned")] * 3 + [
        (topics.snapshots[-1].version, "follow")
    ]
    assert [Alert.model_validate_json(record.value or b"").kind for record in topics.of(ALERTS)] == ["replayed"]


def test_a_pinned_champion_stays_while_learning_goes_on() -> None:
    """Law: while a champion is pinned snapshots are cut, and none of them comes in force."""
    topics, training = _Topics(), _training(45)
    _lead(topics, training[:25], 5, lambda _: None)
    first = topics.of(MODELS)[0]
    task = _task(topics)
    task.open()
    version = (first.key or b"").decode()
    task.step([STAGE.read(_command(0, "promote", version=version, model_offset=str(first.offset)))])
    task.commit()
    _lead(topics, training, 5, lambda _: None)
    assert topics.snapshots == _expected(training)
    assert {alias.version for alias in topics.aliases[2:]} == {version}
    assert topics.aliases[-1].newest == topics.snapshots[-1].version
