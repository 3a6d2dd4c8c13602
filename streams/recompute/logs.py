"""What a recomputation asks of Kafka, and where each task was when it asked. Pure: Kafka is behind the port."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from schemas.topics import Topic
from streams.detector.stage import EntityStage, Output, Record
from streams.exactly_once import POSITION_KEY

POSITION_BACK = 256
"""Records and markers at the end of a state partition that are searched for its position first."""

Piece = tuple[bytes, bytes | None]
"""Key and value of a record of a state log."""


class Logs(Protocol):
    """The topics, by their names without a prefix. Committed records only."""

    def partitions(self, topic: Topic) -> int:
        """Return how many partitions it has."""

    def bounds(self, topic: Topic, partition: int) -> tuple[int, int]:
        """Return the first offset that is still there, and the end, open transactions included."""

    def stable(self, topic: Topic, partition: int) -> int:
        """Return an offset before which nothing will be committed any more."""

    def read(self, topic: Topic, partition: int, start: int = 0) -> Iterator[Record]:
        """Give the records from an offset on, up to the end at the time of the first."""


class DeletedError(Exception):
    """What has to be read is not there any more: retention has deleted it."""


@dataclass(frozen=True)
class Position:
    """Where a task stands: the record `!position` of its state log."""

    next: Mapping[str, int] = field(default_factory=dict)
    counters: Mapping[str, int] = field(default_factory=dict)
    watermark_ms: int = 0
    size: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, value: bytes | None) -> "Position":
        """Return the position in a record.

        >>> Position.of(b'{"next": {"t": 7}, "counters": {"labels": 2}, "watermark_ms": 5}').next
        {'t': 7}
        """
        fields: dict[str, Any] = json.loads(value or b"{}")
        size = size_of(fields.get("state", {}))
        return cls(fields.get("next", {}), fields.get("counters", {}), fields.get("watermark_ms", 0), size)


def size_of(told: Mapping[str, int]) -> dict[str, int]:
    """Return what follows from the records alone of how much a task remembers.

    What one entity took at most was looked at after each batch, and batches are nowhere in the log.

    >>> size_of({"entities": 1, "pieces": 2, "bytes": 90, "largest_bytes": 90})
    {'entities': 1, 'pieces': 2, 'bytes': 90}
    """
    return {name: told.get(name, 0) for name in ("entities", "pieces", "bytes")}


class Start(NamedTuple):
    """Where a task's recomputation begins: at nothing, or at the pieces of an archived state.

    `outputs` are offsets of output partitions of its number: nothing before them was written after the position.
    """

    position: Position = Position()
    pieces: tuple[Piece, ...] = ()
    outputs: Mapping[str, int] = {}


ZERO = Start()
Starts = Mapping[tuple[str, int], Start]
"""Stage and partition -> where it begins; what is not named begins at zero."""


class ArchivedLog:
    """A task's log (`TaskLog`) that holds an archived state, and drops what is written: outputs are taken elsewhere."""

    def __init__(self, pieces: tuple[Piece, ...]) -> None:
        self._pieces = pieces

    def fence(self) -> None:
        """There is nobody else."""

    def state_end(self) -> int:
        return len(self._pieces)

    def read_state(self, start: int) -> tuple[tuple[Piece, ...], int]:
        return self._pieces[start:], len(self._pieces)

    def begin(self) -> None:
        """Nothing is kept."""

    def write(self, output: Output) -> None:
        """Nothing is kept."""

    def commit(self) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing is open."""


def position_of(logs: Logs, stage: EntityStage, partition: int) -> Position:
    """Return where a task stands: the last position in its state log, which ends every transaction."""
    begin, end = logs.bounds(stage.state_log, partition)
    back = POSITION_BACK
    while True:
        start = max(begin, end - back)
        found = None
        for record in logs.read(stage.state_log, partition, start):
            found = record if record.key == POSITION_KEY else found
        if found or start == begin:
            return Position.of(found.value if found else None)
        back *= 8


def check_beginnings(logs: Logs, stage: EntityStage, partition: int, start: Position) -> None:
    """Check that all a task has read since its start is still there.

    Raises
    ------
    DeletedError
        It is not; the message says what to do.
    """
    for topic in stage.inputs:
        begin, _ = logs.bounds(topic, partition)
        wanted = start.next.get(topic.name, 0)
        if begin > wanted:
            raise DeletedError(
                f"{topic.name}-{partition}: records {wanted} to {begin - 1} were deleted by retention; begin at an"
                " archived state that is not older: --state DIR (python -m streams archive DIR makes one)"
            )
