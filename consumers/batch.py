"""Rows on their way to the store: how many to gather, and what of Kafka they account for."""

from dataclasses import dataclass, field
from typing import Any

from consumers.column import Row
from consumers.rows import Record, Sink


@dataclass(frozen=True, slots=True)
class Limits:
    """When a batch is stored: as soon as one of these is reached. Large batches make few parts in ClickHouse."""

    rows: int = 10_000
    bytes: int = 67_108_864
    age_ms: int = 1_000


@dataclass(slots=True)
class Batch:
    """Rows by table, and for each partition the offset after the last record that was taken.

    Times are of any clock in milliseconds that does not go back.

    >>> from consumers.rows import SINKS
    >>> batch = Batch(Limits(rows=2))
    >>> record = Record("fraud.predictions.v1", 3, 41, 0, None, b"{}")
    >>> batch.take(record, SINKS[0], ("row",), now_ms=5)
    >>> batch.due(now_ms=6), batch.due(now_ms=1005), batch.positions
    (False, True, {('fraud.predictions.v1', 3): 42})
    """

    limits: Limits = field(default_factory=Limits)
    rows: dict[str, list[Row]] = field(default_factory=dict)
    sinks: dict[str, Sink] = field(default_factory=dict)
    positions: dict[tuple[str, int], int] = field(default_factory=dict)
    records: int = 0
    bytes: int = 0
    since_ms: int = 0

    def take(self, record: Record, sink: Sink, row: Row | None, *, now_ms: int) -> None:
        """Take a record, with its row or with None where it has no row but is accounted for all the same."""
        if not self.positions:
            self.since_ms = now_ms
        self.positions[record.topic, record.partition] = record.offset + 1
        self.records += 1
        self.bytes += len(record.value or b"")
        if row is not None:
            self.sinks[sink.table] = sink
            self.rows.setdefault(sink.table, []).append(row)

    def due(self, now_ms: int) -> bool:
        """Return whether it is time to store what was taken. Nothing taken is never due."""
        return bool(self.positions) and (
            self.records >= self.limits.rows
            or self.bytes >= self.limits.bytes
            or now_ms - self.since_ms >= self.limits.age_ms
        )

    def next_table(self) -> str | None:
        """Return a table that has rows left to store, or None."""
        return next(iter(self.rows), None)

    def columns(self, table: str) -> dict[str, list[Any]]:
        """Return the rows of a table by column.

        >>> from consumers.rows import SINKS
        >>> batch = Batch()
        >>> for offset in range(2):
        ...     record = Record("payments.labels.v1", 0, offset, 0, None, None)
        ...     batch.take(record, SINKS[3], tuple(f"{name} {offset}" for name in SINKS[3].columns), now_ms=0)
        >>> batch.columns("labels")["card"]
        ['card 0', 'card 1']
        """
        names = self.sinks[table].columns
        return dict(zip(names, map(list, zip(*self.rows[table], strict=True)), strict=True))

    def stored(self, table: str) -> int:
        """Forget the rows of a table, which are in the store now, and return how many they were."""
        return len(self.rows.pop(table))

    def clear(self) -> None:
        """Forget everything: it was stored and its positions committed, or others will read it again."""
        self.rows.clear()
        self.sinks.clear()
        self.positions.clear()
        self.records = self.bytes = self.since_ms = 0
