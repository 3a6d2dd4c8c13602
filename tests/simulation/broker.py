"""Logs and transactions in memory, as far as a reader or a transactional writer can tell them from Kafka's.

Three moments of a transaction are kept apart: it is decided at its coordinator, its markers are appended to each of its
partitions later, and readers see what was appended later still, when it is replicated. So a partition may hold back
committed records even after the next owner's fence has returned.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from schemas.topics import Topic
from streams.exactly_once import FencedError

Headers = tuple[tuple[str, bytes | None], ...]
Place = tuple[str, int]
"""Topic and partition."""
_SEEN_BY_CLEANER: Headers = (("seen by the cleaner", None),)


@dataclass(eq=False, slots=True)
class Transaction:
    """One transaction as its coordinator knows it; `unmarked` are the partitions that wait for a marker."""

    status: Literal["open", "committed", "aborted"] = "open"
    unmarked: list["Partition"] = field(default_factory=list)


class Stored(NamedTuple):
    """One place in a log: a record, or a control marker. Both use up an offset."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int
    transaction: Transaction | None
    is_marker: bool


class Partition:
    """One log. Offsets are never used again; compaction leaves holes."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.log: list[Stored | None] = []
        self.replicated = 0
        self.restoring = 0
        self._open: dict[Transaction, int] = {}

    @property
    def stable(self) -> int:
        """The last stable offset: what a reader of committed records may see ends here."""
        return min(self._open.values(), default=self.replicated)

    def append(
        self,
        key: bytes | None,
        value: bytes | None,
        *,
        headers: Headers = (),
        timestamp_ms: int = 0,
        transaction: Transaction | None = None,
        is_marker: bool = False,
    ) -> None:
        """Append a record or a marker; readers see it once it is replicated."""
        self.log.append(Stored(len(self.log), key, value, headers, timestamp_ms, transaction, is_marker))

    def replicate(self, end: int | None = None) -> None:
        """Let readers see what was appended, up to an offset."""
        end = len(self.log) if end is None else end
        for stored in self.log[self.replicated : end]:
            if stored and stored.transaction:
                if stored.is_marker:
                    self._open.pop(stored.transaction, None)
                else:
                    self._open.setdefault(stored.transaction, stored.offset)
        self.replicated = max(self.replicated, end)

    def read(self, start: int, records_max: int, *, committed: bool = True) -> tuple[list[Stored], int]:
        """Return records from an offset on, without markers and aborted ones, and the offset reached."""
        end = self.stable if committed else self.replicated
        found: list[Stored] = []
        reached = start
        while reached < end and len(found) < records_max:
            stored = self.log[reached]
            reached += 1
            if stored and not stored.is_marker:
                transaction = stored.transaction
                if not committed or transaction is None or transaction.status == "committed":
                    found.append(stored)
        return found, reached

    def committed(self) -> list[Stored]:
        """Return everything a reader of committed records can see."""
        return self.read(0, len(self.log) + 1)[0]

    def compact(self) -> tuple[int, int]:
        """Drop aborted records and all but the newest of every key, below what is stable; return how many, by kind.

        A tombstone goes once it was there when the cleaner came before, and while nobody restores: Kafka keeps it for
        `delete.retention.ms`, which is far longer than any restore.
        """
        newest: dict[bytes | None, int] = {}
        records = tombstones = 0
        for stored in self.log[: self.stable]:
            if stored and not stored.is_marker and _counts(stored):
                newest[stored.key] = stored.offset
        for stored in self.log[: self.stable]:
            if stored is None or stored.is_marker:
                continue
            if not _counts(stored) or newest[stored.key] > stored.offset:
                self.log[stored.offset] = None
                records += 1
            elif stored.value is None and not self.restoring:
                if stored.headers == _SEEN_BY_CLEANER:
                    self.log[stored.offset] = None
                    tombstones += 1
                else:
                    self.log[stored.offset] = stored._replace(headers=_SEEN_BY_CLEANER)
        return records, tombstones


def _counts(stored: Stored) -> bool:
    return stored.transaction is None or stored.transaction.status == "committed"


@dataclass(slots=True)
class Writer:
    """What a coordinator knows of one transactional id."""

    epoch: int = -1
    transaction: Transaction | None = None


class Broker:
    """All partitions, coordinators and consumer groups."""

    def __init__(self) -> None:
        self.partitions: dict[Place, Partition] = {}
        self.writers: defaultdict[str, Writer] = defaultdict(Writer)
        self.group_offsets: dict[tuple[str, str, int], int] = {}
        self.undelivered_markers: list[tuple[Partition, Transaction]] = []

    def partition(self, topic: Topic | str, number: int) -> Partition:
        """Return a partition, made when it is first named."""
        place = (topic if isinstance(topic, str) else topic.name, number)
        found = self.partitions.get(place)
        if found is None:
            found = self.partitions[place] = Partition(place)
        return found

    def init_transactions(self, transactional_id: str) -> int:
        """Return a new epoch. What an earlier owner left is aborted, or completed where it had been decided."""
        writer = self.writers[transactional_id]
        if writer.transaction and writer.transaction.status == "open":
            self._decide(writer.transaction, "aborted")
        self._complete(writer)
        writer.epoch += 1
        return writer.epoch

    def write(self, transactional_id: str, epoch: int, partition: Partition, stored: Stored) -> None:
        """Append a record to the writer's transaction, which begins with its first. Raises FencedError."""
        writer = self._writer(transactional_id, epoch)
        if writer.transaction is None or writer.transaction.status != "open":
            self._complete(writer)
            writer.transaction = Transaction()
        if partition not in writer.transaction.unmarked:
            writer.transaction.unmarked.append(partition)
        _, key, value, headers, timestamp_ms, _, _ = stored
        partition.append(key, value, headers=headers, timestamp_ms=timestamp_ms, transaction=writer.transaction)

    def end(self, transactional_id: str, epoch: int, status: Literal["committed", "aborted"]) -> None:
        """Decide the writer's transaction. Raises FencedError. The request names none: it ends the one that is open."""
        writer = self._writer(transactional_id, epoch)
        if writer.transaction and writer.transaction.status == "open":
            self._decide(writer.transaction, status)

    def time_out(self, transactional_id: str) -> bool:
        """Abort an open transaction that took too long and fence its writer; return whether there was one."""
        writer = self.writers[transactional_id]
        if writer.transaction is None or writer.transaction.status != "open":
            return False
        self._decide(writer.transaction, "aborted")
        writer.epoch += 1
        return True

    def aborted_transaction(self, partition: Partition) -> Transaction:
        """Return a transaction of some sender that is aborted already; its marker is on its way."""
        transaction = Transaction(unmarked=[partition])
        self._decide(transaction, "aborted")
        return transaction

    def deliver_marker(self, index: int) -> None:
        """Append one of the markers that are on their way."""
        partition, transaction = self.undelivered_markers.pop(index)
        partition.append(None, None, transaction=transaction, is_marker=True)
        transaction.unmarked.remove(partition)

    def _writer(self, transactional_id: str, epoch: int) -> Writer:
        writer = self.writers[transactional_id]
        if epoch != writer.epoch:
            raise FencedError(f"{transactional_id}: epoch {epoch}, now {writer.epoch}")
        return writer

    def _decide(self, transaction: Transaction, status: Literal["committed", "aborted"]) -> None:
        transaction.status = status
        self.undelivered_markers += [(partition, transaction) for partition in transaction.unmarked]

    def _complete(self, writer: Writer) -> None:
        while writer.transaction and writer.transaction.unmarked:
            partition = writer.transaction.unmarked[0]
            self.deliver_marker(self.undelivered_markers.index((partition, writer.transaction)))
