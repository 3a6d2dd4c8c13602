"""Topics to ClickHouse: read, decode, gather, insert, and only then commit; never the other way round.

So a record is stored at least once, whatever ends this process, and the views show it once. While the store is down the
batch is kept and reading rests, with this process still a member of its group; nothing that decides waits for it.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Protocol

from consumers.batch import Batch
from consumers.rows import SINKS, Record, Sink
from consumers.warehouse import Warehouse, WarehouseUnavailableError
from schemas.codec import DecodeFailure

log = logging.getLogger(__name__)

READ_TIMEOUT_S = 0.1
BACKOFF_MS_MIN = 100
BACKOFF_MS_MAX = 5_000
STOP_GRACE_MS = 5_000
"""How long a stop waits for a store that is down. What was not stored then is read again by the next run."""


class Reader(Protocol):
    """What is needed of a `KafkaReader`."""

    def read(self, timeout_s: float) -> list[Record]: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def at_end(self) -> bool: ...
    def commit(self, positions: Mapping[tuple[str, int], int]) -> None: ...


@dataclass(slots=True)
class Counters:
    """What one run did. Rows that were stored again after a failure or a rebalance count again."""

    predictions_stored: int = 0
    decisions_stored: int = 0
    dead_letters_stored: int = 0
    labels_stored: int = 0
    outcomes_stored: int = 0
    training_stored: int = 0
    models_stored: int = 0
    audit_stored: int = 0
    alerts_stored: int = 0
    shadow_scores_stored: int = 0
    undecodable: int = 0
    inserts: int = 0
    insert_retries: int = 0

    def stored(self, table: str, rows: int) -> None:
        """Count the rows of one insert."""
        self.inserts += 1
        name = f"{table}_stored"
        setattr(self, name, getattr(self, name) + rows)

    def as_dict(self) -> dict[str, int]:
        """Return the counters by name."""
        return asdict(self)


@dataclass(slots=True)
class TopicsToClickhouse:
    """One run of the sink. `now_ms` is a clock that does not go back; `stop` ends the run in order.

    With `until_idle_ms`, the run also ends when every partition was read to its end and nothing came for that long.
    """

    reader: Reader
    warehouse: Warehouse
    stop: threading.Event
    now_ms: Callable[[], int]
    batch: Batch = field(default_factory=Batch)
    topic_prefix: str = ""
    until_idle_ms: int | None = None
    sinks: Iterable[Sink] = SINKS
    counters: Counters = field(default_factory=Counters)
    _by_topic: dict[str, Sink] = field(init=False)
    _last_record_ms: int = field(init=False)

    def __post_init__(self) -> None:
        self._last_record_ms = self.now_ms()
        self._by_topic = {self.topic_prefix + sink.topic.name: sink for sink in self.sinks}

    def run(self) -> Counters:
        """Move records until told to stop.

        Raises
        ------
        WarehouseError
            The store refused rows in a way that waiting does not mend. Nothing of the batch is committed.
        """
        self._last_record_ms = self.now_ms()
        while not self.stop.is_set():
            self._read(READ_TIMEOUT_S)
            if self.batch.due(self.now_ms()):
                self._store()
            if self.until_idle_ms is not None and self._read_out_ms() >= self.until_idle_ms:
                break
        self._store()
        return self.counters

    def idle_ms(self) -> int:
        """Return for how long all that could be read is read and stored; 0 while it is not. For any thread."""
        return 0 if self.batch.positions else self._read_out_ms()

    def _read_out_ms(self) -> int:
        return self.now_ms() - self._last_record_ms if self.reader.at_end() else 0

    def _read(self, timeout_s: float) -> None:
        records = self.reader.read(timeout_s)
        now_ms = self.now_ms()
        if records:
            self._last_record_ms = now_ms
        for record in records:
            sink = self._by_topic[record.topic]
            row = sink.to_row(record)
            if isinstance(row, DecodeFailure):
                self.counters.undecodable += 1
                place = (record.topic, record.partition, record.offset)
                log.error("cannot read %s, partition %d, offset %d: %s: %s", *place, row.reason, row.detail)
            self.batch.take(record, sink, None if isinstance(row, DecodeFailure) else row, now_ms=now_ms)

    def _store(self) -> None:
        """Insert the batch and commit it. A rebalance while we wait for the store empties it."""
        backoff_ms = BACKOFF_MS_MIN
        stop_waiting_ms: int | None = None
        while (table := self.batch.next_table()) is not None:
            try:
                self.warehouse.insert_columns(table, self.batch.columns(table))
            except WarehouseUnavailableError as error:
                self.counters.insert_retries += 1
                log.warning("%d records wait for the store: %s", self.batch.records, error)
                if self.stop.is_set():
                    stop_waiting_ms = stop_waiting_ms or self.now_ms() + STOP_GRACE_MS
                    if self.now_ms() >= stop_waiting_ms:
                        log.warning("stopping: %d records are left to the next run", self.batch.records)
                        self.batch.clear()
                        return
                self._rest(backoff_ms)
                backoff_ms = min(2 * backoff_ms, BACKOFF_MS_MAX)
            else:
                self.counters.stored(table, self.batch.stored(table))
                backoff_ms = BACKOFF_MS_MIN
        if self.batch.positions:
            self.reader.commit(self.batch.positions)
            self.batch.clear()
        self.reader.resume()

    def _rest(self, rest_ms: int) -> None:
        """Wait, as a member of the group that reads nothing, until the time is over or a stop is asked for."""
        self.reader.pause()
        stopping = self.stop.is_set()
        until_ms = self.now_ms() + rest_ms
        while (left_ms := until_ms - self.now_ms()) > 0 and self.stop.is_set() == stopping:
            self._read(min(left_ms / 1_000, READ_TIMEOUT_S))
