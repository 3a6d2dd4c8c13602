"""ClickHouse inside this process: chDB, in a folder that belongs to one process at a time."""

import fcntl
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.exceptions import ClickHouseError

from consumers.columns_of_arrow import MisfitError, arrow_table
from consumers.warehouse import (
    Columns,
    Parameters,
    WarehouseError,
    WarehouseInUseError,
    checked_insert,
    refusal,
)

Result = TypeVar("Result")

INSERT = """
INSERT INTO `{table}` ({names}) SELECT {names} FROM Python(rows_to_insert)
SETTINGS max_partitions_per_insert_block = 0
"""
"""The engine finds the Arrow table by its name among the variables of its callers, and reads it where it lies.

Payments of many years may come in one batch; by default an insert into over 100 months is refused.
"""
TYPES = "SELECT {names} FROM `{table}` LIMIT 0 SETTINGS output_format_arrow_low_cardinality_as_dictionary = 1"


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
        self._types: dict[tuple[str, str], pa.Schema] = {}

    def __repr__(self) -> str:
        return f"EmbeddedWarehouse({str(self._folder)!r})"

    def ping(self) -> None:
        self.query_columns("SELECT 1")

    def execute(self, statement: str) -> None:
        self._told(lambda: self._client.command(statement))
        self._types.clear()  # it may have changed a table

    def insert_columns(self, table: str, columns: Columns) -> None:
        if checked_insert(table, columns) == 0:
            return
        names = ", ".join(f"`{name}`" for name in columns)
        try:
            rows = arrow_table(columns, self._types_of(table, names))
        except MisfitError as error:
            raise WarehouseError(f"a value does not fit its column: {table}.{error}") from error
        self._told(lambda: self._insert(table, names, rows))

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

    def _insert(self, table: str, names: str, rows_to_insert: pa.Table) -> None:  # noqa: ARG002 - by its name, see INSERT
        self._client.command(INSERT.format(table=table, names=names))

    def _types_of(self, table: str, names: str) -> pa.Schema:
        """Return the Arrow types of some columns of a table, asked for once."""
        if (table, names) not in self._types:
            self._types[table, names] = self.query_arrow(TYPES.format(table=table, names=names)).schema
        return self._types[table, names]


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
