"""ClickHouse inside this process: chDB, in a folder that belongs to one process at a time."""

import fcntl
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.exceptions import ClickHouseError

from consumers.warehouse import (
    Columns,
    Parameters,
    WarehouseError,
    WarehouseInUseError,
    checked_insert,
    refusal,
)

Result = TypeVar("Result")

INSERT_SETTINGS = {"max_partitions_per_insert_block": "0"}
"""Payments of many years may come in one batch; by default an insert into over 100 months is refused."""

# It logs a traceback, with what was to be inserted, for each value that does not fit; we raise the same in one line.
logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)


class EmbeddedWarehouse:
    """The store in a folder. Share the object within a process; a second process is refused while this one has it.

    Threads take turns: the engine runs one statement at a time, on all cores.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = _lock(folder)
        self._turn = threading.Lock()
        try:
            self._client = self._told(
                lambda: clickhouse_connect.get_client(interface="chdb", path=str(folder), tz_mode="aware")
            )
        except WarehouseError:
            os.close(self._lock)
            raise
        self._open = True

    def __repr__(self) -> str:
        return f"EmbeddedWarehouse({str(self._folder)!r})"

    def ping(self) -> None:
        self.query_columns("SELECT 1")

    def execute(self, statement: str) -> None:
        self._told(lambda: self._client.command(statement))

    def insert_columns(self, table: str, columns: Columns) -> None:
        if checked_insert(table, columns) == 0:
            return
        try:
            self._told(
                lambda: self._client.insert(
                    table,
                    list(columns.values()),
                    column_names=list(columns),
                    column_oriented=True,
                    settings=INSERT_SETTINGS,
                )
            )
        except (AttributeError, OverflowError, TypeError, ValueError) as error:
            raise WarehouseError(f"a value does not fit its column: {self._misfit(table, columns)}") from error

    def query_columns(self, sql: str, parameters: Parameters | None = None) -> dict[str, list[Any]]:
        result = self._told(lambda: self._client.query(sql, parameters=dict(parameters or {})))
        if not result.column_names:  # of no rows the engine says nothing, not even their columns' names
            return {name: [] for name in self.query_arrow(sql, parameters).column_names}
        return {name: list(values) for name, values in zip(result.column_names, result.result_columns, strict=True)}

    def query_arrow(self, sql: str, parameters: Parameters | None = None) -> pa.Table:
        return self._told(lambda: self._client.query_arrow(sql, parameters=dict(parameters or {}), use_strings=True))

    def close(self) -> None:
        with self._turn:
            if self._open:
                self._open = False
                self._client.close()
                os.close(self._lock)

    def _told(self, call: Callable[[], Result]) -> Result:
        with self._turn:
            try:
                return call()
            except ClickHouseError as error:
                raise refusal(str(error), getattr(error, "code", None)) from error

    def _misfit(self, table: str, columns: Columns) -> str:
        """Name the column that cannot be packed: the client's own error shows the value instead."""
        context = self._told(lambda: self._client.create_insert_context(table, column_names=list(columns)))
        for name, column_type in zip(context.column_names, context.column_types, strict=True):
            try:
                column_type.write_column(columns[name], bytearray(), context)
            except Exception as error:  # noqa: BLE001 - any failure to pack is the answer
                return f"{table}.{name}: {type(error).__name__}"
        return table


def _lock(folder: Path) -> int:
    """Return the descriptor of a lock file beside the folder, held until it is closed or this process ends.

    chDB has a lock of its own, but says so in two lines on stderr before it can be caught.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder.with_name(folder.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise WarehouseError(f"the store {folder} cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise WarehouseInUseError(
            f"the store {folder} is open in another process; read it when that one has stopped, or use a server"
            " (FRAUD_CLICKHOUSE_URL)"
        ) from error
    return lock
