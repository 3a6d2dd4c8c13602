"""The learning stage's task: a fold over the training log, whose only state is its snapshots.

A snapshot is cut where the number of records learned is a multiple of `snapshot_records`: a place that the log sets, so
every learner of this log cuts the same snapshots. It holds its own position; a task that opens takes up the last one
and reads on behind it. Between two snapshots nothing is written, and what was learned there is learned again after a
crash. A record that cannot be read is put aside together with a snapshot behind it, so that it is put aside once.
"""

from collections import Counter
from collections.abc import Sequence

from schemas.codec import encode
from schemas.learning import TrainingRecord
from schemas.topics import MODELS, TRAINING
from streams.detector.learner import Learner
from streams.detector.learning_stage import LearningStage
from streams.detector.scorer import RefusedError, model_of, scorer_of
from streams.detector.stage import Event, Output, Refusal
from streams.detector.state import Size
from streams.exactly_once import FencedError, Restored, TaskLog, state_between

BACK = 8
"""Records and markers at the end of the models' topic that a restore looks at first."""


class LearningTask:
    """The one task of the learning stage. `open` once, then `step` and `commit` in turn; after an error, discard it."""

    def __init__(self, stage: LearningStage, partition: int, log: TaskLog, snapshot_records: int) -> None:
        self.stage = stage
        self.partition = partition
        self.counters: Counter[str] = Counter()
        self.watermark_ms = 0
        self.restored = Restored()
        self._log = log
        self._snapshot_records = snapshot_records
        self._learner = Learner()
        self._next: int | None = None
        self._in_transaction = False

    def open(self) -> dict[str, int]:
        """Take the task over, go back to the last snapshot, and return where to read on.

        Raises
        ------
        RestoreError
            The snapshots could not be read to the end: another attempt may succeed.
        """
        self._log.fence()
        end, back = self._log.state_end(), BACK
        while not self._go_back(start := max(0, end - back), end) and start:
            back *= BACK
        return {} if self._next is None else {TRAINING.name: self._next}

    def _go_back(self, start: int, end: int) -> bool:
        """Go back to the newest valid snapshot between two offsets; return whether there is one."""
        records = [record for some, _ in state_between(self._log, start, end) for record in some]
        self.restored = Restored(len(records), end, end)
        for _, value in reversed(records):
            try:
                model = model_of(value)
                scorer_of(model)
                learner = Learner.of(model)
            except (RefusedError, KeyError, TypeError, ValueError):
                continue
            learner.parent = model.version
            self._learner, self._next = learner, model.training_offset
            return True
        return False

    def step(self, events: Sequence[Event | Refusal]) -> None:
        """Learn records in this order; what is to be written is in one transaction that is not committed yet."""
        for event in events:
            record = event.record
            if record.offset < (self._next or 0):
                raise FencedError(f"{TRAINING.name}: offset {record.offset} was learned before")
            self._next = record.offset + 1
            self.watermark_ms = max(self.watermark_ms, event.event_time_ms)
            if isinstance(event, Refusal):
                refused = self.stage.refuse(event)
                self.counters.update(refused.counts)
                self._write(*refused.outputs)
                self._cut()
                continue
            assert isinstance(event.message, TrainingRecord)
            self._learner.learn(event.message)
            self.counters["learned"] += 1
            if self._learner.records % self._snapshot_records == 0:
                self._cut()

    def _cut(self) -> None:
        model = self._learner.snapshot(self._next or 0)
        self._learner.parent = model.version
        self._write(Output(MODELS, model.version.encode(), encode(model), self.partition))
        self.counters["snapshots"] += 1

    def _write(self, *outputs: Output) -> None:
        if not self._in_transaction:
            self._log.begin()
            self._in_transaction = True
        for output in outputs:
            self._log.write(output)

    def commit(self) -> dict[str, int]:
        """Commit what `step` wrote, if anything, and return how far the log is learned."""
        if self._in_transaction:
            self._log.commit()
            self._in_transaction = False
        return {} if self._next is None else {TRAINING.name: self._next}

    def position(self, topic: str) -> int | None:
        """Return the next offset to read of the training log, or None where it was never read."""
        return self._next if topic == TRAINING.name else None

    @property
    def size(self) -> Size:
        """How much the task remembers of entities: nothing."""
        return Size()

    def close(self) -> None:
        """Let go of Kafka."""
        self._log.close()
