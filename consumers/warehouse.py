"""The analytical store as the rest of the room sees it, and the door to its two homes.

Both homes take the same calls: chDB, the ClickHouse engine inside this process, and a ClickHouse server over its native
protocol. Columns are lists in the order of rows; times are milliseconds since 1970 going in (seconds for `DateTime`)
and aware datetimes coming out.
"""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from schemas.settings import Settings

if TYPE_CHECKING:  # half a second of imports that a look-up in Kafka need not wait for
    import pandas as pd
    import pyarrow as pa

Columns = Mapping[str, Sequence[Any]]
Parameters = Mapping[str, Any]

TRANSIENT_CODES: Mapping[int, str] = {
    75: "CANNOT_WRITE_TO_FILE_DESCRIPTOR",
    159: "TIMEOUT_EXCEEDED",
    202: "TOO_MANY_SIMULTANEOUS_QUERIES",
    203: "NO_FREE_CONNECTION",
    209: "SOCKET_TIMEOUT",
    210: "NETWORK_ERROR",
    236: "ABORTED",
    241: "MEMORY_LIMIT_EXCEEDED",
    242: "TABLE_IS_READ_ONLY",
    243: "NOT_ENOUGH_SPACE",
    252: "TOO_MANY_PARTS",
    285: "TOO_FEW_LIVE_REPLICAS",
    319: "UNKNOWN_STATUS_OF_INSERT",
    999: "KEEPER_EXCEPTION",
}
"""Errors of ClickHouse that pass by themselves or when an operator acts: the same insert may succeed later."""

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class WarehouseError(Exception):
    """The store refused a statement or could not be used. One line, without credentials."""


class WarehouseUnavailableError(WarehouseError):
    """The store cannot be reached or has no room just now: the same call may succeed later."""


class WarehouseInUseError(WarehouseError):
    """Another process has the embedded store open."""


class Warehouse(Protocol):
    """What both homes can do. Every method raises `WarehouseError`, and may be called from any thread, in turn."""

    def ping(self) -> None:
        """Return if the store answers."""

    def execute(self, statement: str) -> None:
        """Run one statement that returns nothing, such as DDL."""

    def insert_columns(self, table: str, columns: Columns) -> None:
        """Insert rows, given by column. On return they are stored; on an error they may or may not be."""

    def query_columns(self, sql: str, parameters: Parameters | None = None) -> dict[str, list[Any]]:
        """Return a result by column. The SQL names its parameters `{name:Type}`."""

    def query_arrow(self, sql: str, parameters: Parameters | None = None) -> "pa.Table":
        """Return a result as an Arrow table."""

    def close(self) -> None:
        """Give the store back. Closing twice is harmless."""


def open_warehouse(settings: Settings) -> Warehouse:
    """Return the home that the settings choose: a server where there is a URL, else the folder of this machine.

    Raises
    ------
    WarehouseInUseError
        Another process has the embedded store open.
    WarehouseError
        The URL or the folder cannot be used. A server that is down is met at the first call, not here.
    """
    if settings.clickhouse_url:
        from consumers.clickhouse_native import NativeWarehouse  # noqa: PLC0415 - each home loads only its own library

        return NativeWarehouse(settings.clickhouse_url)
    from consumers.clickhouse_embedded import EmbeddedWarehouse  # noqa: PLC0415 - the engine is 500 MB of library

    return EmbeddedWarehouse(settings.data_dir / "clickhouse")


def query_frame(warehouse: Warehouse, sql: str, parameters: Parameters | None = None) -> "pd.DataFrame":
    """Return a result as a data frame."""
    import pandas as pd  # noqa: PLC0415 - see above

    return pd.DataFrame(warehouse.query_columns(sql, parameters))


def refusal(message: str, code: int | None) -> WarehouseError:
    r"""Return the error for what ClickHouse said.

    >>> refusal("Code: 241. DB::Exception: Memory limit exceeded. Stack trace:\n0. main", 241)
    WarehouseUnavailableError('Code: 241. DB::Exception: Memory limit exceeded.')
    >>> refusal("Table default.t doesn't exist.", 60)
    WarehouseError("Table default.t doesn't exist.")
    """
    kind = WarehouseUnavailableError if code in TRANSIENT_CODES else WarehouseError
    return kind(one_line(message))


def one_line(message: str) -> str:
    """Return the first line of what went wrong, without a stack trace, at most 500 characters."""
    told = message.partition("Stack trace:")[0].strip()
    return told.partition("\n")[0].strip()[:500]


def checked_insert(table: str, columns: Columns) -> int:
    """Return the number of rows, having checked that names are plain identifiers and columns equally long.

    >>> checked_insert("t", {"a": [1, 2], "b": [3]})
    Traceback (most recent call last):
    consumers.warehouse.WarehouseError: columns of unequal length for t: a 2, b 1
    >>> checked_insert("t; DROP TABLE t", {"a": []})
    Traceback (most recent call last):
    consumers.warehouse.WarehouseError: not a name: 't; DROP TABLE t'
    """
    for name in (table, *columns):
        if not _IDENTIFIER.fullmatch(name):
            raise WarehouseError(f"not a name: {name!r}")
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) != 1:
        told = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise WarehouseError(f"columns of unequal length for {table}: {told or 'none given'}")
    return next(iter(lengths.values()))
