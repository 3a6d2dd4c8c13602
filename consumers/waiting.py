"""Labels that wait for the features of their payment: what their records say, and which of them are taken next.

A label whose features are not stored yet goes to the end of its partition again, with a time before which it need not
be looked at. So a partition is a queue of labels that are due and labels that are not, and only from its front can any
be taken, because what was taken is accounted for by one offset.
"""

import heapq
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice

from consumers.rows import Record
from schemas.codec import DecodeFailure, decode
from schemas.label import EffectiveLabel

ATTEMPT = "attempt"
NOT_BEFORE_MS = "not_before_ms"
FIRST_SEEN_MS = "first_seen_ms"

BACKOFF_MS_MIN = 1_000
BACKOFF_MS_MAX = 60_000


@dataclass(frozen=True, slots=True)
class Waiting:
    """One record of `fraud.labels-waiting.v1`. Times are of the wall clock; `attempt` counts look-ups in vain."""

    record: Record
    label: EffectiveLabel | DecodeFailure
    arrived_ms: int
    attempt: int
    first_seen_ms: int
    not_before_ms: int

    @property
    def order(self) -> tuple[int, int, int]:
        """Return its place among labels: by report time, so that what is learned from them is about in order."""
        reported_ms = 0 if isinstance(self.label, DecodeFailure) else self.label.reported_at_ms
        return reported_ms, self.record.partition, self.record.offset

    def is_due(self, now_ms: int) -> bool:
        """Return whether it is time to look again. A time further away than any back-off is a clock's mistake."""
        return not 0 < self.not_before_ms - now_ms <= BACKOFF_MS_MAX

    def next_headers(self, now_ms: int) -> tuple[tuple[str, bytes | None], ...]:
        """Return the headers under which it goes to the end of its partition, looked up in vain just now.

        >>> record = Record("fraud.labels-waiting.v1", 0, 7, 0, None, None, (("attempt", b"3"),))
        >>> waiting_of(record, now_ms=1_000).next_headers(9_000)
        (('attempt', b'4'), ('not_before_ms', b'17000'), ('first_seen_ms', b'1000'))
        """
        backoff_ms = min(BACKOFF_MS_MIN << min(self.attempt, 16), BACKOFF_MS_MAX)
        facts = {
            ATTEMPT: self.attempt + 1,
            NOT_BEFORE_MS: now_ms + backoff_ms,
            FIRST_SEEN_MS: self.first_seen_ms,
        }
        kept = tuple(header for header in self.record.headers if header[0] not in facts)
        return kept + tuple((name, str(fact).encode()) for name, fact in facts.items())


def waiting_of(record: Record, *, now_ms: int) -> Waiting:
    """Return what a record says. A label without headers is seen for the first time; so is one whose are unreadable."""
    headers = dict(record.headers)
    return Waiting(
        record=record,
        label=decode(EffectiveLabel, record.value),
        arrived_ms=now_ms,
        attempt=_number(headers.get(ATTEMPT), 0),
        first_seen_ms=_number(headers.get(FIRST_SEEN_MS), now_ms),
        not_before_ms=_number(headers.get(NOT_BEFORE_MS), 0),
    )


def _number(text: bytes | None, otherwise: int) -> int:
    return int(text) if text is not None and text.isdigit() and len(text) < 20 else otherwise


def positions(batch: Iterable[Waiting]) -> dict[int, int]:
    """Return, for each partition, the offset after the last label of a batch."""
    after: dict[int, int] = {}
    for waiting in batch:
        partition, offset = waiting.record.partition, waiting.record.offset
        after[partition] = max(after.get(partition, 0), offset + 1)
    return after


@dataclass(frozen=True, slots=True)
class Limits:
    """How many labels are joined in one transaction and held in memory, and how long they wait.

    `age_ms` is how long a label waits for company, and how long nothing has to come for a partition to be given up
    for now; `patience_ms` how long it waits at most, whatever comes.
    """

    batch: int = 5_000
    held: int = 24_000
    age_ms: int = 1_000
    patience_ms: int = 2_000


@dataclass(slots=True)
class Queue:
    """The front of each partition that is ours, as far as it was read.

    `moving` are labels that were sent to the end of their partition and were not read there yet.
    """

    limits: Limits = field(default_factory=Limits)
    held: dict[int, list[Waiting]] = field(default_factory=dict)
    moving: set[tuple[int, bytes | None]] = field(default_factory=set)

    def __len__(self) -> int:
        return sum(map(len, self.held.values()))

    def put(self, waiting: Waiting) -> None:
        """Hold one more. Records of a partition come in the order of their offsets."""
        self.held.setdefault(waiting.record.partition, []).append(waiting)
        self.moving.discard((waiting.record.partition, waiting.record.value))

    def full(self, partitions: int) -> frozenset[int]:
        """Return the partitions that hold their share of the limit, where so many are read."""
        share = max(1, self.limits.held // max(1, partitions))
        return frozenset(partition for partition, held in self.held.items() if len(held) >= share)

    def take(self, now_ms: int, *, behind: Collection[int] = ()) -> list[Waiting]:
        """Return the labels to join now, in their order. They stay held until they are `done`.

        From a partition some are taken if its first is due, or if half of them are: then those that are not due move
        to the end with the others, so that a few that wait for long hold nobody back, and a move never costs more than
        what it lets by.

        Few labels wait for company. On a backlog all partitions are read at one pace: no label is taken over one that
        may still come of a partition that is `behind`, as long as anything comes at all.
        """
        ready = [held for held in self.held.values() if held[0].is_due(now_ms) or _half_are_due(held, now_ms)]
        if not ready:
            return []
        batch = list(islice(heapq.merge(*ready, key=lambda waiting: waiting.order), self.limits.batch))
        after = positions(batch)
        in_order = all(
            partition in self.held and after.get(partition, 0) <= self.held[partition][-1].record.offset
            for partition in behind
        )
        since_oldest_ms = now_ms - min(held[0].arrived_ms for held in ready)
        since_newest_ms = now_ms - max(held[-1].arrived_ms for held in self.held.values())
        age_ms, patience_ms = self.limits.age_ms, self.limits.patience_ms
        enough = len(batch) == self.limits.batch or not 0 <= since_oldest_ms < age_ms
        waited = not 0 <= since_newest_ms < age_ms or not 0 <= since_oldest_ms < patience_ms
        if not (waited or (enough and in_order)):
            return []
        return sorted(batch, key=lambda waiting: waiting.order)

    def everything(self) -> list[Waiting]:
        """Return all that is held, due or not, in order."""
        return sorted((waiting for held in self.held.values() for waiting in held), key=lambda waiting: waiting.order)

    def done(self, after: Mapping[int, int]) -> None:
        """Forget the labels before these offsets: what became of them is committed."""
        for partition, offset in after.items():
            left = [waiting for waiting in self.held.pop(partition, []) if waiting.record.offset >= offset]
            if left:
                self.held[partition] = left

    def clear(self) -> None:
        """Forget everything: others will read it again."""
        self.held.clear()
        self.moving.clear()


def _half_are_due(held: Collection[Waiting], now_ms: int) -> bool:
    return 2 * sum(waiting.is_due(now_ms) for waiting in held) >= len(held)
