"""The learning stage's task on a log in a list: whenever it dies, the same snapshots, each once."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from random import Random

import pytest

from schemas.codec import encode
from schemas.fields import DAY_MS
from schemas.learning import ModelVersion, TrainingRecord
from schemas.registry import Alias
from schemas.topics import ALERTS, ALIASES, AUDIT, DEAD_LETTERS, MODELS, TRAINING, Topic
from streams.detector import growing, learner
from streams.detector.admission import Admission
from streams.detector.decide import InForce
from streams.detector.learning_stage import LearningStage
from streams.detector.scorer import made_by, model_of, scorer_of
from streams.detector.stage import Context, Output, Record
from streams.documents import shipped_policy, shipped_rates
from streams.exactly_once import FencedError
from streams.learning import LearningTask
from tests.learned import snapshots_of
from tests.signed import SIGNERS, TRUSTED

NOW_MS = 1_600_000_000_000
SNAPSHOT_RECORDS = 10
STAGE = LearningStage(Context(InForce(shipped_policy(), shipped_rates()), "test", lambda _: 0, DAY_MS))


@pytest.fixture(autouse=True)
def _early_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have trees grow from a few records, so that each test goes through growth, and some through forgetting."""
    for name, value in {"GROWTH_RECORDS_MIN": 12, "EXAMPLES_MAX": 20, "FRAUDS_MIN": 3}.items():
        monkeypatch.setattr(learner, name, value)
    monkeypatch.setattr(growing, "TREES", 3)


class _CrashError(Exception):
    """The process is gone."""


class _Topics:
    """What outlives a crash, by topic. Each commit leaves a marker, `None`, behind its records."""

    def __init__(self) -> None:
        self.records: dict[str, list[Record | None]] = {
            topic.name: [] for topic in (MODELS, ALIASES, AUDIT, ALERTS, DEAD_LETTERS)
        }
        self.training: Sequence[Record] = ()

    def put(self, output: Output) -> None:
        log = self.records[output.topic.name]
        log.append(Record(output.topic.name, 0, len(log), NOW_MS, output.key, output.value, output.headers))

    def of(self, topic: Topic) -> list[Record]:
        return [record for record in self.records[topic.name] if record]

    @property
    def snapshots(self) -> list[ModelVersion]:
        return [model_of(record.value) for record in self.of(MODELS)]

    @property
    def aliases(self) -> list[Alias]:
        return [Alias.model_validate_json(record.value or b"") for record in self.of(ALIASES)]

    def partitions(self, _topic: Topic) -> int:
        return 1

    def bounds(self, topic: Topic, _partition: int) -> tuple[int, int]:
        if topic is TRAINING:
            return 0, self.training[-1].offset + 1 if self.training else 0
        return 0, len(self.records[topic.name])

    def stable(self, topic: Topic, partition: int) -> int:
        return self.bounds(topic, partition)[1]

    def read(self, topic: Topic, _partition: int, start: int = 0) -> Iterator[Record]:
        if topic is TRAINING:
            return (record for record in self.training if record.offset >= start)
        return (record for record in self.records[topic.name][start:] if record)


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
        raise AssertionError("what is read back is read with its signature")

    def read_state(self, start: int) -> tuple[Sequence[tuple[bytes, bytes | None]], int]:
        raise AssertionError(f"what is read back is read with its signature, from {start}")

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
            self.topics.put(output)
        for log in self.topics.records.values():
            log.append(None)
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


def _task(topics: _Topics, may_go_on: Callable[[str], None] = lambda _: None) -> LearningTask:
    return LearningTask(
        STAGE,
        0,
        _Log(topics, may_go_on),
        topics,
        snapshot_records=SNAPSHOT_RECORDS,
        signer=SIGNERS["learner"],
        admission=Admission(TRUSTED),
    )


def _lead(topics: _Topics, training: Sequence[Record], step: int, may_go_on: Callable[[str], None]) -> None:
    """Lead one task from its opening to the end of the log, or to its death."""
    topics.training = training
    task = _task(topics, may_go_on)
    position = task.open().get(TRAINING.name, 0)
    waiting = [record for record in training if record.offset >= position]
    for start in range(0, len(waiting), step):
        task.step([STAGE.read(record) for record in waiting[start : start + step]])
        assert task.commit()[TRAINING.name] == waiting[: start + step][-1].offset + 1


def _expected(training: Sequence[Record]) -> list[ModelVersion]:
    snapshots = snapshots_of([(record.offset, record.value or b"") for record in training], SNAPSHOT_RECORDS)
    return [made_by(snapshot, "test") for snapshot in snapshots]


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
        assert [alias.version for alias in topics.aliases] == [snapshot.version for snapshot in expected]
        assert [alias.sequence for alias in topics.aliases] == list(range(1, len(expected) + 1))
        assert Counter(
            dict(record.headers)["__connect.errors.offset"] for record in topics.of(DEAD_LETTERS)
        ) == Counter(str(training[at].offset).encode() for at in refused)
        if left > 0:
            break
        last += 1
    assert calls.keys() == {"fence", "begin", "write", "before commit", "after commit"}


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
    assert len(topics.of(DEAD_LETTERS)) == 2


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
def test_unbelieved_records_behind_a_snapshot_are_passed_over(rubbish: int) -> None:
    """Law: however many records at the end cannot be believed, the snapshot that was cut last is taken up."""
    topics, training = _Topics(), _training(35)
    _lead(topics, training[:25], 5, lambda _: None)
    good = topics.of(MODELS)[-1]
    forged = encode(topics.snapshots[-1].model_copy(update={"records": 10**6}))
    for number in range(rubbish):
        value = (b"{", forged, good.value)[number % 3]
        headers = good.headers if number % 3 else ()
        topics.put(Output(MODELS, b"other" if number % 3 == 2 else good.key, value, 0, headers))
        topics.put(Output(ALIASES, b"champion", b"{", 0, headers))
    task = _task(topics)
    assert task.open() == {TRAINING.name: training[19].offset + 1}


def test_record_that_was_learned_stops_the_task() -> None:
    """Law: a position only moves forward."""
    task = _task(_Topics())
    training = _training(3)
    assert task.open() == {}
    task.step([STAGE.read(record) for record in training])
    assert (task.commit(), task.watermark_ms, task.size.entities) == ({TRAINING.name: 3}, NOW_MS + 2, 0)
    assert (task.position(TRAINING.name), task.position(MODELS.name)) == (3, None)
    with pytest.raises(FencedError):
        task.step([STAGE.read(training[1])])
