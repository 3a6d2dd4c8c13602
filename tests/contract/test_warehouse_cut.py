"""A connection to the server that is cut while rows are sent, or before their answer comes: all are there, once.

And so they are where the server itself is killed or stopped meanwhile, and started again.
"""

import itertools
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random

import pytest

from consumers.batch import Batch, Limits
from consumers.clickhouse_native import NativeWarehouse
from consumers.rows import Record, Sink
from consumers.topics_to_clickhouse import TopicsToClickhouse
from consumers.warehouse import Columns, Warehouse, WarehouseUnavailableError
from deploy.clickhouse_server import ClickHouseServer
from schemas.topics import LABELS
from tests.contract.cutting_proxy import Cut, CuttingProxy

pytestmark = pytest.mark.clickhouse_server
ROWS, BATCH = 4_000, 1_000
TABLE = """CREATE TABLE labels (number Int64, text String, offset Int64)
ENGINE = ReplacingMergeTree(offset) PARTITION BY tuple() ORDER BY number"""


class Reader:
    """Gives records one after the other, and keeps what is committed."""

    def __init__(self) -> None:
        noise = Random(3)
        # What cannot be compressed: the proxy counts the bytes on the wire.
        self._left = (Record(LABELS.name, 0, n, 0, None, noise.randbytes(50).hex().encode()) for n in range(ROWS))
        self.committed: list[int] = []
        self._paused = self._at_end = False

    def read(self, timeout_s: float) -> list[Record]:
        records = [] if self._paused else list(itertools.islice(self._left, BATCH))
        self._at_end = not records and not self._paused
        if not records:
            time.sleep(min(timeout_s, 0.05))
        return records

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False

    def at_end(self) -> bool:
        return self._at_end

    def commit(self, positions: Mapping[tuple[str, int], int]) -> None:
        self.committed += positions.values()


def _sink(reader: Reader, warehouse: Warehouse, *, times_as_fast: int = 1) -> TopicsToClickhouse:
    """Return a sink into the table; with a clock that goes faster its waits for the store are shorter."""
    columns = ("number", "text", "offset")
    sink = Sink(LABELS, "labels", "labels", columns, lambda record: (record.offset, str(record.value), record.offset))
    return TopicsToClickhouse(
        reader=reader,
        warehouse=warehouse,
        stop=threading.Event(),
        now_ms=lambda: time.monotonic_ns() * times_as_fast // 1_000_000,
        batch=Batch(Limits(rows=BATCH)),
        sinks=[sink],
        until_idle_ms=100,
    )


def test_an_insert_that_is_cut_is_repeated_and_shown_once(tmp_path: Path) -> None:
    """The sink keeps what it does not know to be stored, commits nothing before, and the rows count once."""
    cuts: list[Cut] = ["after send", "amid send", "amid send", "after send"]
    with ClickHouseServer(tmp_path) as server, CuttingProxy(server.port) as proxy:
        direct = NativeWarehouse(server.url)
        direct.execute(TABLE)
        proxy.plan += cuts
        reader = Reader()
        counters = _sink(reader, NativeWarehouse(f"clickhouse://default:@127.0.0.1:{proxy.port}/default")).run()
        shown = direct.query_columns("SELECT count() AS rows, uniqExact(number) AS numbers FROM labels FINAL")
        held = direct.query_columns("SELECT count() AS rows FROM labels")["rows"][0]
        direct.close()
    assert (proxy.cuts, counters.insert_retries) == (len(cuts), len(cuts))
    assert shown == {"rows": [ROWS], "numbers": [ROWS]}
    assert held >= ROWS
    assert reader.committed == [BATCH, 2 * BATCH, 3 * BATCH, ROWS]


class EndedServer:
    """The store on a server that is ended while some inserts are on their way, and is back a while later."""

    DOWN_S = 0.2

    def __init__(self, server: ClickHouseServer) -> None:
        self.warehouse = NativeWarehouse(server.url)
        self.ends: dict[int, Callable[[], None]] = {1: server.kill, 3: server.stop}
        self._server = server
        self._stored = 0
        self._ending = threading.Thread()

    def insert_columns(self, table: str, columns: Columns) -> None:
        if end := self.ends.pop(self._stored, None):
            self._ending = threading.Thread(target=self._end_and_start, args=(end,))
            self._ending.start()
        self.warehouse.insert_columns(table, columns)
        self._stored += 1

    def close(self) -> None:
        """Wait until the server is there."""
        self._ending.join()
        self.warehouse.close()

    def _end_and_start(self, end: Callable[[], None]) -> None:
        end()
        time.sleep(self.DOWN_S)
        self._server.start()


def test_a_server_that_ends_during_inserts_and_starts_again_loses_nothing(tmp_path: Path) -> None:
    """Law: killed or stopped in order, under load, on rows that are sent just then: all are there, once."""
    with ClickHouseServer(tmp_path) as server:
        ended = EndedServer(server)
        ended.warehouse.execute(TABLE)
        reader = Reader()
        counters = _sink(reader, ended, times_as_fast=10).run()  # type: ignore[arg-type]
        ended.close()
        direct = NativeWarehouse(server.url)
        shown = direct.query_columns("SELECT count() AS rows, uniqExact(number) AS numbers FROM labels FINAL")
        direct.close()
    assert not ended.ends
    assert counters.insert_retries > 0
    assert shown == {"rows": [ROWS], "numbers": [ROWS]}
    assert reader.committed == [BATCH, 2 * BATCH, 3 * BATCH, ROWS]


@pytest.mark.parametrize("cut", ["amid send", "after send"])
def test_a_cut_says_that_the_store_is_unavailable(tmp_path: Path, cut: Cut) -> None:
    """Whether the rows are stored nobody knows: the error says to try again, and the next call connects anew."""
    noise = Random(5)
    rows = {"number": [*range(BATCH)], "text": [noise.randbytes(50).hex() for _ in range(BATCH)]}
    with ClickHouseServer(tmp_path) as server, CuttingProxy(server.port) as proxy:
        warehouse = NativeWarehouse(f"clickhouse://default:@127.0.0.1:{proxy.port}/default")
        warehouse.execute(TABLE)
        proxy.plan.append(cut)
        with pytest.raises(WarehouseUnavailableError, match="does not answer"):
            warehouse.insert_columns("labels", rows)
        stored = warehouse.query_columns("SELECT count() AS rows FROM labels")
        warehouse.close()
    assert proxy.cuts == 1
    assert stored["rows"][0] in ({"amid send": (0,), "after send": (0, BATCH)}[cut])
