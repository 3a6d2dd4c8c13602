"""What is written where something went wrong: dead letters, and answers that no prediction stands behind. Pure.

They are few and lie among others in their topics, so all of them are held, each under what it is about.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

from schemas.dead_letter import PREFIX
from schemas.topics import DEAD_LETTERS, DECISIONS
from streams.detector.stage import Record
from streams.recompute.logs import Logs

_IS_FALLBACK = b'"mode":"fallback"'


class Answer(NamedTuple):
    """The name of an answer without a prediction."""

    partition: int
    card: str | None
    transaction_id: str | None


class Letter(NamedTuple):
    """The name of a dead letter: who wrote it, about which record."""

    stage: str
    topic: str
    partition: int
    offset: int


Name = Answer | Letter


class Rare:
    """These records by name. Several may have one: a refused record is answered each time that it is sent."""

    def __init__(self) -> None:
        self._held: defaultdict[Name, list[Record]] = defaultdict(list)
        self._taken: defaultdict[Name, int] = defaultdict(int)

    @classmethod
    def of(cls, logs: Logs, stages: tuple[str, ...]) -> "Rare":
        """Read all there are of these stages."""
        rare = cls()
        for partition in range(logs.partitions(DECISIONS)):
            for record in logs.read(DECISIONS, partition):
                if _IS_FALLBACK in (record.value or b""):
                    rare.put(answer_of(partition, record.value), record)
        for partition in range(logs.partitions(DEAD_LETTERS)):
            for record in logs.read(DEAD_LETTERS, partition):
                name = letter_of(record)
                if name and name.stage in stages:
                    rare.put(name, record)
        return rare

    def put(self, name: Name, record: Record) -> None:
        """Hold a record."""
        self._held[name].append(record)

    def peek(self, name: Name) -> Record | None:
        """Return the first of a name that was not taken."""
        held, taken = self._held.get(name, []), self._taken.get(name, 0)
        return held[taken] if taken < len(held) else None

    def take(self, name: Name) -> Record | None:
        """Return it and take it away."""
        record = self.peek(name)
        if record is not None:
            self._taken[name] += 1
        return record

    def left(self) -> Iterator[tuple[Name, Record]]:
        """Give what nobody took."""
        for name, held in self._held.items():
            yield from ((name, record) for record in held[self._taken.get(name, 0) :])

    def again(self) -> "Rare":
        """Return a copy, of which can be taken without taking from this one."""
        copy = Rare()
        copy._held = self._held
        copy._taken = defaultdict(int, self._taken)
        return copy


def answer_of(partition: int, value: bytes | None) -> Answer:
    """Return the name of an answer.

    >>> answer_of(3, b'{"transaction_id": "tx-1", "action": "invalid"}')
    Answer(partition=3, card=None, transaction_id='tx-1')
    """
    fields: dict[str, Any] = json.loads(value or b"{}")
    return Answer(partition, fields.get("card"), fields.get("transaction_id"))


def letter_of(record: Record) -> Letter | None:
    """Return the name of a dead letter by its headers, None where they are not whole."""
    facts = dict(record.headers)
    told = [(facts.get(PREFIX + name) or b"").decode() for name in ("stage", "topic", "partition", "offset")]
    stage, topic, partition, offset = told
    return Letter(stage, topic, int(partition), int(offset)) if partition.isdigit() and offset.isdigit() else None
