"""The order of things: insert before commit, keep while the store is down, forget what is no longer ours."""

import itertools
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from consumers.batch import Batch, Limits
from consumers.rows import Record
from consumers.topics_to_clickhouse import STOP_GRACE_MS, TopicsToClickhouse
from consumers.warehouse import WarehouseError, WarehouseUnavailableError
from schemas.codec import encode
from schemas.label import Label

TOPIC = "test.payments.labels.v1"


def label_record(offset: int, value: bytes | None = None) -> Record:
    label = Label(
        transaction_id=f"tx-{offset}",
        card="card_a",
        merchant="mer_b",
        verdict="fraud",
        source="customer",
        occurred_at_ms=1_522_540_800_000,
        reported_at_ms=1_522_540_800_001,
    )
    return Record(TOPIC, 0, offset, 0, b"card_a", encode(label) if value is None else value)


@dataclass
class World:
    """A reader, a store and a clock that moves only when somebody waits."""

    records: list[Record]
    refusals: list[WarehouseError] = field(default_factory=list)
    events: list[Any] = field(default_factory=list)
    stored: list[str] = field(default_factory=list)
    time_ms: int = 0
    position: int = 0
    paused: bool = False
    stop: threading.Event = field(default_factory=threading.Event)
    on_read: Callable[[], None] = lambda: None

    def read(self, timeout_s: float) -> list[Record]:
        self.on_read()
        if self.paused or self.position >= len(self.records):
            self.time_ms += int(timeout_s * 1_000)
            return []
        self.position += 1
        return [self.records[self.position - 1]]

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def at_end(self) -> bool:
        return self.position >= len(self.records)

    def commit(self, positions: Mapping[tuple[str, int], int]) -> None:
        self.events.append(dict(positions))

    def insert_columns(self, table: str, columns: Mapping[str, Any]) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
        self.events.append(f"insert {table}")
        self.stored += columns["transaction_id"]

    def sink(self, *, rows: int = 10, until_idle_ms: int | None = 500) -> TopicsToClickhouse:
        return TopicsToClickhouse(
            reader=self,
            warehouse=self,  # type: ignore[arg-type]
            stop=self.stop,
            now_ms=lambda: self.time_ms,
            batch=Batch(Limits(rows=rows)),
            topic_prefix="test.",
            until_idle_ms=until_idle_ms,
        )


def test_rows_are_stored_before_their_positions_are_committed() -> None:
    world = World([label_record(n) for n in range(5)])
    counters = world.sink(rows=2).run()
    assert world.events[:4] == ["insert labels", {(TOPIC, 0): 2}, "insert labels", {(TOPIC, 0): 4}]
    assert world.stored == [f"tx-{n}" for n in range(5)]
    assert (counters.labels_stored, counters.inserts, counters.insert_retries) == (5, 3, 0)


def test_while_the_store_is_down_the_batch_is_kept_and_reading_rests() -> None:
    world = World([label_record(n) for n in range(4)], refusals=[WarehouseUnavailableError("down")] * 9)
    reads: list[tuple[bool, int]] = []
    world.on_read = lambda: reads.append((world.paused, world.time_ms))
    counters = world.sink(rows=2).run()
    assert world.stored == ["tx-0", "tx-1", "tx-2", "tx-3"]
    assert counters.insert_retries == 9
    assert not world.paused
    resting = [time_ms for paused, time_ms in reads if paused]
    assert resting, "a member that does not read is thrown out of its group"
    assert max(after - before for before, after in itertools.pairwise(resting)) <= 100
    assert resting[-1] > 100 * (2**6 - 1), "the waits grow"


def test_a_refusal_that_waiting_does_not_mend_ends_the_run_uncommitted() -> None:
    world = World([label_record(0)], refusals=[WarehouseError("no such table")])
    with pytest.raises(WarehouseError, match="no such table"):
        world.sink().run()
    assert world.events == []


def test_what_is_revoked_while_the_store_is_down_is_forgotten() -> None:
    world = World([label_record(n) for n in range(3)], refusals=[WarehouseUnavailableError("down")])
    sink = world.sink(rows=2)

    def revoke() -> None:
        if world.paused:
            sink.batch.clear()
            world.resume()
            world.on_read = lambda: None

    world.on_read = revoke
    sink.run()
    assert world.stored == ["tx-2"]
    assert world.events == ["insert labels", {(TOPIC, 0): 3}]


def test_an_unreadable_record_is_counted_passed_and_not_quoted(caplog: pytest.LogCaptureFixture) -> None:
    world = World([label_record(0), label_record(1, b'{"card": "secret"}'), label_record(2, b"secret")])
    with caplog.at_level(logging.ERROR):
        counters = world.sink().run()
    assert (counters.labels_stored, counters.undecodable) == (1, 2)
    assert world.events[-1] == {(TOPIC, 0): 3}
    assert "offset 2: not_json" in caplog.text
    assert "secret" not in caplog.text


def test_a_stop_stores_and_commits_what_was_read() -> None:
    world = World([label_record(n) for n in range(3)])
    world.on_read = lambda: world.stop.set() if world.position == 2 else None
    world.sink(until_idle_ms=None).run()
    assert world.stored == ["tx-0", "tx-1", "tx-2"]
    assert world.events[-1] == {(TOPIC, 0): 3}


def test_a_stop_does_not_wait_for_ever_for_a_store_that_is_down() -> None:
    world = World([label_record(0)], refusals=[WarehouseUnavailableError("down")] * 1_000)
    world.on_read = lambda: world.stop.set() if world.time_ms > 20_000 else None
    world.sink(until_idle_ms=None).run()
    assert world.events == []
    assert world.time_ms < 20_000 + STOP_GRACE_MS + 6_000


def test_idle_means_at_the_end_and_nothing_for_that_long() -> None:
    world = World([label_record(0)])
    world.sink(until_idle_ms=700).run()
    assert 700 <= world.time_ms <= 900
