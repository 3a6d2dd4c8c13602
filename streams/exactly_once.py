"""The exactly-once arrow: one task, its state and its transactions. What makes the promise is here, and only here.

A task owns one partition number of one stage. Everything that a batch of records leads to (outputs, changed state, and
the positions up to which the inputs were read) is written in one Kafka transaction, so all of it is there or none.
Its state log is the only memory: a task that opens takes the log over from any earlier owner (fencing it), reads what
was committed, and goes on from the positions in it. Group offsets are never read.

The log is a port, so that the same code runs on Kafka and in the simulation of the tests.
(KIP-98 transactions, KIP-129 exactly once in Kafka Streams; the state log is their changelog, with the position in it.)
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from schemas.fields import Positions
from schemas.topics import Topic
from streams.detector.stage import EntityStage, Event, Output, Refusal, Step
from streams.detector.state import PROFILES_READY, Size, State

POSITION_KEY = b"!position"
RESTORE_STALLS_MAX = 600
"""Reads in a row without progress (each waits 50 ms) before a restore gives up."""


class FencedError(Exception):
    """Another owner has taken the task over: this one must stop at once and write no more."""


class TransactionFailedError(Exception):
    """The transaction did not commit, or nobody knows: the task must be opened anew, from its log."""


class RestoreError(Exception):
    """The state log could not be read to its end: the task must not start."""


class Restored(NamedTuple):
    """How far a task that opens has read its state log: records taken, and the offsets reached and to be reached."""

    records: int = 0
    reached: int = 0
    end: int = 0


class TaskLog(Protocol):
    """What a task needs of Kafka: one transactional writer, and its own state partition to read."""

    def fence(self) -> None:
        """Become the only writer under this task's transactional id, and settle what an earlier owner left open."""

    def state_end(self) -> int:
        """Return the end of the state partition, uncommitted records and markers included."""

    def read_state(self, start: int) -> tuple[Sequence[tuple[bytes, bytes | None]], int]:
        """Return some committed records from an offset on, and the offset reached; the same offset where none came."""

    def begin(self) -> None:
        """Begin a transaction."""

    def write(self, output: Output) -> None:
        """Write a record in the transaction, without waiting for it."""

    def commit(self) -> None:
        """Commit, and wait until it is done. Raises FencedError or TransactionFailedError."""

    def close(self) -> None:
        """Let go of the connections; an open transaction is left to the next owner or the time-out."""


def state_between(log: TaskLog, start: int, end: int) -> Iterator[tuple[Sequence[tuple[bytes, bytes | None]], int]]:
    """Give the committed records of a task's state partition between two offsets, some at a time, and how far they go.

    The end of what readers may see is not the end of what was committed: a marker may still be on its way. Whatever the
    partition held when the fence fell is final, so it must be read to exactly there. `end` is the one behind the fence.

    Raises
    ------
    RestoreError
        Nothing more came before the end was reached.
    """
    reached, stalls = start, 0
    while reached < end:
        records, upto = log.read_state(reached)
        yield records, upto
        stalls = stalls + 1 if upto == reached else 0
        if stalls > RESTORE_STALLS_MAX:
            raise RestoreError(f"the state log was read up to {reached} of {end}")
        reached = upto


class Task:
    """One stage on one partition number. `open` once, then `step` and `commit` in turn; after an error, discard it."""

    def __init__(self, stage: EntityStage, partition: int, log: TaskLog, profiles_ready: int = PROFILES_READY) -> None:
        self.stage = stage
        self.partition = partition
        self.restored = Restored()
        self.counters: Counter[str] = Counter()
        self.watermark_ms = 0
        self._log = log
        self._state = State(stage.kind, profiles_ready)
        self._state_log: Topic = stage.state_log
        self._next: dict[str, int] = {}
        self._inputs = tuple(topic.name for topic in stage.inputs)

    def open(self) -> dict[str, int]:
        """Take the task over, restore its state, and return the position of every input that has one.

        Raises
        ------
        RestoreError
            The committed records up to the log's end could not be read: another attempt may succeed.
        """
        self._log.fence()
        end = self._log.state_end()
        for records, reached in state_between(self._log, 0, end):
            for key, value in records:
                self._restore(key, value)
            self.restored = Restored(self.restored.records + len(records), reached, end)
        return dict(self._next)

    def _restore(self, key: bytes, value: bytes | None) -> None:
        if key != POSITION_KEY:
            self._state.restore(key, value)
            return
        position = json.loads(value or b"{}")
        self._next = position["next"]
        self.counters = Counter(position["counters"])
        self.watermark_ms = position["watermark_ms"]
        self._state.largest_bytes = position["state"]["largest_bytes"]

    def step(self, events: Sequence[Event | Refusal]) -> None:
        """Process records in this order and write all they lead to, in one transaction that is not committed yet.

        Each record is the next one of its topic: a position only moves forward.
        """
        self._log.begin()
        for event in events:
            record = event.record
            if record.offset < self._next.get(record.topic, 0):
                raise FencedError(f"{record.topic}-{record.partition}: offset {record.offset} was processed before")
            step = self._step(event)
            for output in step.outputs:
                self._log.write(output)
            self.counters.update(step.counts)
            self._next[record.topic] = record.offset + 1
            self.watermark_ms = max(self.watermark_ms, event.event_time_ms)
        for key, value in self._state.take_changed_pieces().items():
            self._log.write(Output(self._state_log, key, value, self.partition))
        self._log.write(Output(self._state_log, POSITION_KEY, self._position(), self.partition))

    def _step(self, event: Event | Refusal) -> Step:
        if isinstance(event, Refusal):
            return self.stage.refuse(event)
        record = event.record
        positions: Positions = {topic: (self.partition, self._next.get(topic, 0)) for topic in self._inputs}
        positions[record.topic] = (record.partition, record.offset)
        try:
            return self.stage.step(self._state, event, positions)
        except Exception as error:  # noqa: BLE001 - whatever a bug raises, the stream goes on and the payment is answered
            return self.stage.fail(event, error)

    def _position(self) -> bytes:
        counters = dict(sorted(self.counters.items()))
        position = {"next": self._next, "counters": counters, "watermark_ms": self.watermark_ms}
        return json.dumps({**position, "state": self._state.size._asdict()}).encode()

    def commit(self) -> dict[str, int]:
        """Commit what `step` wrote and return the positions that now hold. Only then may anything be acknowledged."""
        self._log.commit()
        return dict(self._next)

    def position(self, topic: str) -> int | None:
        """Return the next offset to read of an input, or None where it was never read."""
        return self._next.get(topic)

    @property
    def size(self) -> Size:
        """How much the task remembers."""
        return self._state.size

    def close(self) -> None:
        """Let go of Kafka."""
        self._log.close()
