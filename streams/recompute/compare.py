"""What the log holds beside what was made again: counts, and where they differ, field by field. Pure."""

import json
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from streams.detector.stage import Output, Record

Kind = Literal["differs", "missing", "extra"]
"""Both are there and differ; the log lacks what was made; nothing was made of what the log has."""

LISTED_MAX = 20
FIELDS_MAX = 12
AHEAD_MAX = 10_000
"""Records that are read ahead in search of one."""

Fields = dict[str, tuple[Any, Any]]
"""Path of a field -> what was decided, what was made again. None: not there."""


class Subject(NamedTuple):
    """What a record is about: a payment or its label, and when in event time, ms. Of a model only the time."""

    card: str | None = None
    transaction_id: str | None = None
    time_ms: int | None = None


@dataclass(frozen=True)
class Scope:
    """What is compared: all, what happened in [from, to), or one transaction."""

    from_ms: int | None = None
    to_ms: int | None = None
    transaction_id: str | None = None

    def wants(self, subject: Subject) -> bool:
        """Return whether a record about this is compared.

        >>> Scope(from_ms=5).wants(Subject(time_ms=4)), Scope(from_ms=5).wants(Subject(time_ms=5))
        (False, True)
        """
        if self.transaction_id is not None:
            return subject.transaction_id == self.transaction_id
        time_ms = subject.time_ms
        if time_ms is None:
            return True
        return (self.from_ms is None or time_ms >= self.from_ms) and (self.to_ms is None or time_ms < self.to_ms)

    @property
    def is_all(self) -> bool:
        """Whether nothing is left out."""
        return self == Scope()


class Difference(NamedTuple):
    """One record that is not what it must be; `place` is partition@offset in its topic."""

    topic: str
    kind: Kind
    place: str | None
    subject: Subject
    fields: Fields

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON, without what is not known."""
        fields = {path: {"decided": one, "recomputed": other} for path, (one, other) in self.fields.items()}
        named = {"topic": self.topic, "kind": self.kind, "place": self.place, **self.subject._asdict()}
        return {name: value for name, value in {**named, "fields": fields}.items() if value is not None}


@dataclass
class Found:
    """What the comparison came to.

    `decisions` are the (card, transaction) of which the decision or the prediction is not the same; `code` counts
    predictions by the code that made them, `libraries` models by the versions that they name.
    """

    scope: Scope = field(default_factory=Scope)
    listed_max: int = LISTED_MAX
    equal: Counter[str] = field(default_factory=Counter)
    wrong: Counter[tuple[str, Kind]] = field(default_factory=Counter)
    fields: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)
    decisions: set[tuple[str | None, str | None]] = field(default_factory=set)
    code: Counter[str] = field(default_factory=Counter)
    libraries: Counter[tuple[str, str]] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    kept: list[dict[str, Any]] = field(default_factory=list)

    def compare(self, topic: str, subject: Subject, decided: Record | None, made: Output | None) -> bool:
        """Compare one record; return whether it is the same, or not asked for."""
        if not self.scope.wants(subject) or (decided is None and made is None):
            return True
        if self.scope.transaction_id is not None:
            self._keep(topic, decided, made)
        if decided is not None and made is not None and _content(decided) == _content(made):
            self.equal[topic] += 1
            return True
        kind: Kind = "missing" if decided is None else "extra" if made is None else "differs"
        fields = differing_fields(decided, made) if decided and made else {}
        place = None if decided is None else f"{decided.partition}@{decided.offset}"
        self.differs(Difference(topic, kind, place, subject, fields))
        return False

    def differs(self, difference: Difference) -> None:
        """Count a difference, and list the first ones."""
        self.wrong[difference.topic, difference.kind] += 1
        self.fields.update(f"{difference.topic} {path}" for path in difference.fields)
        if difference.topic.startswith(("fraud.decisions", "fraud.predictions")):
            self.decisions.add(difference.subject[:2])
        if len(self.differences) < self.listed_max:
            self.differences.append(difference)

    def _keep(self, topic: str, decided: Record | None, made: Output | None) -> None:
        self.kept.append(
            {"topic": topic}
            | {
                name: None if held is None else _readable(held.value)
                for name, held in (("decided", decided), ("recomputed", made))
            }
        )

    @property
    def holds(self) -> bool:
        """Whether all is the same."""
        return not self.wrong

    def add(self, other: "Found") -> None:
        """Take in what another pass found."""
        for name in ("equal", "wrong", "fields", "code", "libraries"):
            getattr(self, name).update(getattr(other, name))
        self.decisions |= other.decisions
        self.differences = (self.differences + other.differences)[: self.listed_max]
        self.notes += other.notes
        self.kept += other.kept


def _content(held: Record | Output) -> tuple[Any, ...]:
    return held.partition, held.key, held.value, held.headers


def _readable(value: bytes | None) -> Any:
    try:
        return json.loads(value or b"null")
    except ValueError:
        return repr(value)


def differing_fields(decided: Record | Output, made: Record | Output) -> Fields:
    """Return where two records differ: fields of their JSON by path, and key, partition and headers.

    >>> one = Output(None, b"k", b'{"score": 1, "features": {"a": 1, "b": 2}}', 0)
    >>> differing_fields(one, one._replace(value=b'{"score": 2, "features": {"a": 1, "b": 3}}'))
    {'score': (1, 2), 'features.b': (2, 3)}
    """
    found: Fields = {}
    _walk("", _readable(decided.value), _readable(made.value), found)
    if not found and decided.value != made.value:
        found["bytes"] = (repr(decided.value), repr(made.value))
    for name in ("key", "partition", "headers"):
        one, other = getattr(decided, name), getattr(made, name)
        if one != other:
            found[f"({name})"] = (repr(one), repr(other))
    return found


def _walk(path: str, one: Any, other: Any, found: Fields) -> None:
    if one == other or len(found) >= FIELDS_MAX:
        return
    if isinstance(one, dict) and isinstance(other, dict):
        for name in {**one, **other}:
            _walk(f"{path}.{name}" if path else name, one.get(name), other.get(name), found)
    else:
        found[path] = (one, other)


class Awaited:
    """Recorded outputs of one partition, each taken by its name, in about the order in which they were written.

    >>> awaited = Awaited(iter([Record("t", 0, at, 0, None, b"") for at in range(3)]), lambda record: record.offset)
    >>> awaited.take(1).offset, awaited.take(7), [record.offset for record in awaited.left()]
    (1, None, [0, 2])
    """

    def __init__(self, records: Iterable[Record], name_of: Callable[[Record], Hashable | None]) -> None:
        self._records = iter(records)
        self._name_of = name_of
        self._held: defaultdict[Hashable, deque[Record]] = defaultdict(deque)
        self._ahead = 0

    def peek(self, name: Hashable) -> Record | None:
        """Return the first record of a name that is left, None where none comes near."""
        while not self._held.get(name) and self._ahead < AHEAD_MAX:
            record = next(self._records, None)
            if record is None:
                return None
            found = self._name_of(record)
            if found is not None:
                self._held[found].append(record)
                self._ahead += 1
        return self._held[name][0] if self._held.get(name) else None

    def take(self, name: Hashable) -> Record | None:
        """Return it and take it away."""
        record = self.peek(name)
        if record is not None:
            self._held[name].popleft()
            self._ahead -= 1
            if not self._held[name]:
                del self._held[name]
        return record

    def left(self) -> Iterator[Record]:
        """Give what nobody took."""
        for records in self._held.values():
            yield from records
        yield from (record for record in self._records if self._name_of(record) is not None)
