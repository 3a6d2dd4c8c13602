"""A ClickHouse server, over its native protocol with clickhouse-driver: columns, compressed with LZ4."""

import logging
import threading
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import pyarrow as pa
from clickhouse_driver import Client
from clickhouse_driver.columns.exceptions import ColumnException
from clickhouse_driver.errors import Error, ServerException, TypeMismatchError, UnknownTypeError

from consumers.warehouse import (
    Columns,
    Parameters,
    WarehouseError,
    WarehouseUnavailableError,
    checked_insert,
    one_line,
    refusal,
)

Result = TypeVar("Result")

DEFAULTS = {
    "compression": "lz4",
    "connect_timeout": "5",
    "send_receive_timeout": "60",
    "sync_request_timeout": "5",
    "client_name": "fraud-consumers",
}
"""Connection parameters where the URL's query does not say otherwise. Times are in seconds."""

WANTED_SETTINGS = {"max_partitions_per_insert_block": "0"}
"""Settings of an insert, where the server knows them: by default one into over 100 months is refused."""

MISFITS = (
    TypeMismatchError,
    UnknownTypeError,
    ColumnException,
    AttributeError,
    OverflowError,
    TypeError,
    ValueError,
)
"""What the driver raises while it packs a value into a column that cannot hold it."""

# It logs a traceback at every attempt to connect; we raise the same in one line.
logging.getLogger("clickhouse_driver").setLevel(logging.CRITICAL)


class NativeWarehouse:
    """The store on a server. It connects at the first call, and again after the connection was lost.

    >>> NativeWarehouse("clickhouse://sink:secret@warehouse:9000/fraud")
    NativeWarehouse('clickhouse://sink:***@warehouse:9000/fraud')
    >>> NativeWarehouse("http://warehouse:8123")
    Traceback (most recent call last):
    consumers.warehouse.WarehouseError: FRAUD_CLICKHOUSE_URL must begin with clickhouse:// or clickhouses://
    """

    def __init__(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            port = f":{parts.port}" if parts.port else ""
        except ValueError:
            raise WarehouseError("FRAUD_CLICKHOUSE_URL is not clickhouse://user:password@host:9000/database") from None
        if parts.scheme not in {"clickhouse", "clickhouses"} or not parts.hostname:
            raise WarehouseError("FRAUD_CLICKHOUSE_URL must begin with clickhouse:// or clickhouses://")
        user = f"{parts.username}:***@" if parts.username else ""
        self._shown = f"{parts.scheme}://{user}{parts.hostname}{port}{parts.path}"
        query = urlencode(DEFAULTS | dict(parse_qsl(parts.query)))
        self._client = Client.from_url(urlunsplit(parts._replace(query=query)))
        self._client.client_settings["server_side_params"] = True
        self._insert_settings: dict[str, str] | None = None
        self._turn = threading.Lock()

    def __repr__(self) -> str:
        return f"NativeWarehouse({self._shown!r})"

    def ping(self) -> None:
        self.query_columns("SELECT 1")

    def execute(self, statement: str) -> None:
        self._told(lambda: self._client.execute(statement))

    def insert_columns(self, table: str, columns: Columns) -> None:
        if checked_insert(table, columns) == 0:
            return
        settings = self._known_settings()
        names = ", ".join(f"`{name}`" for name in columns)
        statement = f"INSERT INTO `{table}` ({names}) VALUES"
        data = [list(values) for values in columns.values()]
        self._told(lambda: self._client.execute(statement, data, columnar=True, settings=settings))

    def query_columns(self, sql: str, parameters: Parameters | None = None) -> dict[str, list[Any]]:
        data, described = self._told(
            lambda: self._client.execute(
                sql, dict(parameters) if parameters else None, with_column_types=True, columnar=True
            )
        )
        columns = data or [() for _ in described]
        return {name: list(values) for (name, _), values in zip(described, columns, strict=True)}

    def query_arrow(self, sql: str, parameters: Parameters | None = None) -> pa.Table:
        return self._told(lambda: self._client.query_arrow(sql, dict(parameters) if parameters else None))

    def close(self) -> None:
        with self._turn:
            self._client.disconnect()

    def _known_settings(self) -> dict[str, str]:
        # An old server refuses a setting that it does not know.
        if self._insert_settings is None:
            known = self.query_columns("SELECT name FROM system.settings")["name"]
            self._insert_settings = {name: value for name, value in WANTED_SETTINGS.items() if name in known}
        return self._insert_settings

    def _told(self, call: Callable[[], Result]) -> Result:
        with self._turn:
            try:
                return call()
            except ServerException as error:
                raise refusal(error.message, error.code) from error
            except MISFITS as error:
                raise WarehouseError(f"a value does not fit its column: {one_line(str(error))}") from error
            except (Error, EOFError, OSError) as error:
                # The driver has closed the connection and will open another one at the next call.
                told = f"{self._shown} does not answer: {type(error).__name__}: {one_line(str(error))}"
                raise WarehouseUnavailableError(told) from error
