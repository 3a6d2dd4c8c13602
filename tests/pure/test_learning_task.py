"""The learning stage's task on a log in a list: whenever it dies, the same snapshots, each once."""

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

import pytest

from schemas.codec import encode
from schemas.fields import DAY_MS
from schemas.learning import ModelVersion, TrainingRecord
from schemas.topics import DEAD_LETTERS, MODELS, TRAINING
from streams.detector.decide import InForce
from streams.detector.learning_stage import LearningStage
from streams.detector.scorer import model_of, scorer_of
from streams.detector.stage import Context, Output, Record
from streams.documents import shipped_policy, shipped_rates
from streams.exactly_once import FencedError, RestoreError
from streams.learning import LearningTask
from tests.learned import snapshots_of

NOW_MS = 1_600_000_000_000
SNAPSHOT_RECORDS = 10
STAGE = LearningStage(Context(InForce(shipped_policy(), shipped_rates()), "test", lambda _: 0, DAY_MS))


class _CrashError(Exception):
    """The process is gone."""


class _Topics:
    """What outlives a crash. In the models' partition each commit leaves a marker, `None`, behind its records."""

    def __init__(self) -> None:
        self.models: list[tuple[bytes, bytes | None] | None] = []
        self.dead_letters: list[Output] = []

    @property
    def snapshots(self) -> list[ModelVersion]:
        return [model_of(entry[1]) for entry in self.models if entry]


class _Log:
    """A task's log, each of whose calls may be the last: before or after its effect."""

    def __init__(self, topics: _Topics, may_go_on: Callable[[str], None]) -> None:
        self.topics = topics
        self._may_go_on = may_go_on
        self._open: list[Output] | None = None

    def fence(self) -> None:
        self._may_go_on("fence")
        self._open = None

    def state_end(self) -> int:
        self._may_go_on("state_end")
        return len(self.topics.models)

    def read_state(self, start: int) -> tuple[Sequence[tuple[bytes, bytes | None]], int]:
        self._may_go_on("read_state")
        entries = self.topics.models[start : start + 3]
        return [entry for entry in entries if entry], start + len(entries)

    def begin(self) -> None:
        self._may_go_on("begin")
        assert self._open is None
        self._open = []

    def write(self, output: Output) -> None:
        self._may_go_on("write")
        assert self._open is not None
        self._open.append(output)

    def commit(self) -> None:
        self._may_go_on("before commit")
        assert self._open is not None
        for output in self._open:
            if output.topic is MODELS:
                self.topics.models.append((output.key or b"", output.value))
            else:
                assert output.topic is DEAD_LETTERS
                self.topics.dead_letters.append(output)
        self.topics.models.append(None)
        self._open = None
        self._may_go_on("after commit")

    def close(self) -> None:
        """Let nothing go."""


def _training(number: int, *, refused: Sequence[int] = ()) -> list[Record]:
    """Return a training log; offsets have gaps, as transactions leave them."""
    chance, records = Random(3), list[Record]()
    for at in range(number):
        is_fraud = chance.random() < 0.3
        record = TrainingRecord(
            transaction_id=f"tx-{at}",
            card="card_a",
            merchant="mer_b",
            revision=0,
            verdict="fraud" if is_fraud else "legitimate",
            source="chargeback",
            weight=1.0,
            features={"card_count_1h": chance.randrange(30 if is_fraud else 3), "payment_hour": chance.randrange(24)},
            occurred_at_ms=NOW_MS,
            reported_at_ms=NOW_MS + at,
            positions={},
        )
        value = b'{"half": ' if at in refused else encode(record)
        records.append(Record(TRAINING.name, 0, at + at // 7, NOW_MS, b"tx", value))
    return records


def _lead(topics: _Topics, training: Sequence[Record], step: int, may_go_on: Callable[[str], None]) -> None:
    """Lead one task from its opening to the end of the log, or to its death."""
    task = LearningTask(STAGE, 0, _Log(topics, may_go_on), SNAPSHOT_RECORDS)
    position = task.open().get(TRAINING.name, 0)
    waiting = [record for record in training if record.offset >= position]
    for start in range(0, len(waiting), step):
        task.step([STAGE.read(record) for record in waiting[start : start + step]])
        assert task.commit() == {TRAINING.name: waiting[: start + step][-1].offset + 1}


def _expected(training: Sequence[Record]) -> list[ModelVersion]:
    return snapshots_of([(record.offset, record.value or b"") for record in training], SNAPSHOT_RECORDS)


@pytest.mark.parametrize("step", [1, 4, 25])
@pytest.mark.parametrize("refused", [(), (0,), (13,), (9, 10, 19), (36,)])
def test_crash_after_any_call_leaves_the_same_snapshots(step: int, refused: tuple[int, ...]) -> None:
    """Law: whichever call is the last of a process, the next one's snapshots go on as if nothing had happened."""
    training, calls = _training(37, refused=refused), Counter[str]()
    expected = _expected(training)
    assert len(expected) >= 3
    last = 1
    while True:
        topics, left = _Topics(), last

        def may_go_on(call: str) -> None:
            nonlocal left
            left -= 1
            calls[call] += 1
            if left == 0:
                raise _CrashError(call)

        try:
            _lead(topics, training, step, may_go_on)
        except _CrashError:
            _lead(topics, training, step, lambda _: None)
        assert topics.snapshots == expected
        assert Counter(dict(output.headers)["__connect.errors.offset"] for output in topics.dead_letters) == Counter(
            str(training[at].offset).encode() for at in refused
        )
        if left > 0:
            break
        last += 1
    assert calls.keys() == {"fence", "state_end", "begin", "write", "before commit", "after commit"} | (
        {"read_state"} if calls["read_state"] else set()
    )


@pytest.mark.parametrize("seed", range(40))
def test_many_crashes_leave_the_same_snapshots(seed: int) -> None:
    """Law: a process that dies again and again comes to the same snapshots, and to the end."""
    chance = Random(seed)
    training, topics = _training(90, refused=(31, 64)), _Topics()

    def may_go_on(call: str) -> None:
        if chance.random() < 0.06:
            raise _CrashError(call)

    for _ in range(1_000):
        try:
            _lead(topics, training, chance.choice((1, 3, 8)), may_go_on)
        except _CrashError:
            continue
        break
    assert topics.snapshots == _expected(training)
    assert len(topics.dead_letters) == 2


def test_snapshots_name_their_parents_and_decide() -> None:
    """Law: each snapshot names the one before it and its place in the log, and is one that may decide."""
    topics, training = _Topics(), _training(45)
    _lead(topics, training, 7, lambda _: None)
    snapshots = topics.snapshots
    assert [snapshot.records for snapshot in snapshots] == [10, 20, 30, 40]
    assert [snapshot.training_offset for snapshot in snapshots] == [training[at].offset + 1 for at in (9, 19, 29, 39)]
    assert [snapshot.parent for snapshot in snapshots] == [None, *(each.version for each in snapshots[:-1])]
    assert [scorer_of(snapshot).version for snapshot in snapshots] == [snapshot.version for snapshot in snapshots]


@pytest.mark.parametrize("rubbish", [1, 7, 8, 30, 100])
def test_unusable_records_behind_a_snapshot_are_passed_over(rubbish: int) -> None:
    """Law: however many records at the end cannot be used, the last snapshot that can be is taken up."""
    topics, training = _Topics(), _training(35)
    _lead(topics, training[:25], 5, lambda _: None)
    forged = encode(topics.snapshots[-1].model_copy(update={"records": 10**6}))
    topics.models += [(b"m", forged if number % 2 else b"{") for number in range(rubbish)]
    task = LearningTask(STAGE, 0, _Log(topics, lambda _: None), SNAPSHOT_RECORDS)
    assert task.open() == {TRAINING.name: training[19].offset + 1}


def test_record_that_was_learned_stops_the_task() -> None:
    """Law: a position only moves forward."""
    task = LearningTask(STAGE, 0, _Log(_Topics(), lambda _: None), SNAPSHOT_RECORDS)
    training = _training(3)
    assert task.open() == {}
    task.step([STAGE.read(record) for record in training])
    assert (task.commit(), task.watermark_ms, task.size.entities) == ({TRAINING.name: 3}, NOW_MS + 2, 0)
    assert (task.position(TRAINING.name), task.position(MODELS.name)) == (3, None)
    with pytest.raises(FencedError):
        task.step([STAGE.read(training[1])])


def test_unreadable_end_stops_the_restore() -> None:
    """Law: a models' topic that cannot be read to its end is never taken for a shorter one."""

    class Stalled(_Log):
        def state_end(self) -> int:
            return 1

    with pytest.raises(RestoreError):
        LearningTask(STAGE, 0, Stalled(_Topics(), lambda _: None), SNAPSHOT_RECORDS).open()
