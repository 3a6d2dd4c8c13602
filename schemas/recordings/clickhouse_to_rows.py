"""Read the result of a ClickHouse query as frames of bounded size: from a server, or from this machine's own store.

The result is mapped as a file's columns are, so the query must put its rows in order of event time (ORDER BY).
"""

import fcntl
import logging
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import pandas as pd

from schemas.recordings.file_to_rows import FRAME_ROWS
from schemas.recordings.mapping import ColumnMapping, RecordingError, check_columns, columns
from schemas.settings import Settings

CONNECTION = {"compression": "lz4", "connect_timeout": "5", "send_receive_timeout": "300"}
"""Parameters where the URL's query does not say otherwise. A server that sorts a year says nothing for minutes."""

Frames = Generator[pd.DataFrame, None, None]

RESULT = "the result of the query"

# Both libraries log what they raise as well, with a traceback.
logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)
logging.getLogger("clickhouse_driver").setLevel(logging.CRITICAL)


def read_query(settings: Settings, sql: str, mapping: ColumnMapping, frame_rows: int = FRAME_ROWS) -> Frames:
    """Return the mapped columns of a query's result: `frame_rows` rows at a time, the embedded store's by its blocks.

    The query runs on the server of `clickhouse_url`, or else in the embedded store under `data_dir`. That one belongs
    to one process at a time; it is given back when its last row was read, or when what is returned here is closed.

    Raises
    ------
    RecordingError
        The store cannot be used or refused the query, at once or at a later frame.
    MappingError
        The result lacks a mapped column.
    """
    if settings.clickhouse_url:
        frames = _server_frames(settings.clickhouse_url, sql, mapping, frame_rows)
    else:
        frames = _embedded_frames(settings.data_dir / "clickhouse", sql, mapping)
    # The first frame now: what is wrong with the query is told before anything else begins.
    first = next(frames, None)
    return _from_the_first(first, frames)


def _from_the_first(first: pd.DataFrame | None, frames: Frames) -> Frames:
    with closing(frames):
        if first is not None:
            yield first
            yield from frames


def _server_frames(url: str, sql: str, mapping: ColumnMapping, frame_rows: int) -> Frames:
    from clickhouse_driver import Client  # noqa: PLC0415 - each home loads only its own library
    from clickhouse_driver.errors import Error  # noqa: PLC0415

    with _told_in_one_line(Error, EOFError, OSError), Client.from_url(_with_defaults(url)) as client:
        rows = client.execute_iter(sql, with_column_types=True, settings={"max_block_size": frame_rows})
        described = next(rows)
        names = [name for name, _ in described]
        check_columns(mapping, names, RESULT)
        _refuse_times_without_a_zone(described, columns(mapping))
        part: list[tuple[Any, ...]] = []
        for row in rows:
            part.append(row)
            if len(part) == frame_rows:
                yield _frame(names, list(zip(*part, strict=True)), mapping)
                part = []
        if part:
            yield _frame(names, list(zip(*part, strict=True)), mapping)


def _with_defaults(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"clickhouse", "clickhouses"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise RecordingError("FRAUD_CLICKHOUSE_URL is not clickhouse://user:password@host:9000/database")
    return urlunsplit(parts._replace(query=urlencode(CONNECTION | dict(parse_qsl(parts.query)))))


def _refuse_times_without_a_zone(described: Iterable[tuple[str, str]], mapped: Sequence[str]) -> None:
    """Refuse what would be read an hour wrong: such a time comes in the server's own zone, which nothing says."""
    for name, kind in described:
        plain = kind.removeprefix("Nullable(").rstrip(")")
        if name in mapped and (plain == "DateTime" or (plain.startswith("DateTime64(") and "'" not in plain)):
            raise RecordingError(f"{RESULT}: {name} is a {kind} without a time zone; select toTimeZone({name}, 'UTC')")


def _embedded_frames(folder: Path, sql: str, mapping: ColumnMapping) -> Frames:
    import clickhouse_connect  # noqa: PLC0415 - the engine is 500 MB of library
    from clickhouse_connect.driver.exceptions import ClickHouseError  # noqa: PLC0415

    with _the_only_reader(folder), _told_in_one_line(ClickHouseError):
        client = clickhouse_connect.get_client(interface="chdb", path=str(folder), tz_mode="aware")
        try:
            with client.query_column_block_stream(sql) as blocks:
                names = list(blocks.source.column_names)
                if names:  # of no rows the engine says nothing, not even their columns' names
                    check_columns(mapping, names, RESULT)
                for block in blocks:
                    yield _frame(names, block, mapping)
        finally:
            client.close()


@contextmanager
def _the_only_reader(folder: Path) -> Iterator[None]:
    """Hold the lock file beside a store's folder, as every process does that opens the store."""
    if not folder.is_dir():
        raise RecordingError(f"there is no store in {folder}; for a server set FRAUD_CLICKHOUSE_URL")
    lock = os.open(folder.with_name(folder.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise RecordingError(f"the store {folder} is open in another process; read it when that one ended") from None
    finally:
        os.close(lock)


def _frame(names: Sequence[str], values: Sequence[Sequence[Any]], mapping: ColumnMapping) -> pd.DataFrame:
    """Return the mapped columns as they came: as objects, in which whole numbers with gaps stay whole."""
    given = dict(zip(names, values, strict=True))
    return pd.DataFrame({name: pd.Series(list(given[name]), dtype=object) for name in columns(mapping)})


@contextmanager
def _told_in_one_line(*errors: type[Exception]) -> Iterator[None]:
    try:
        yield
    except errors as error:
        told = str(error).partition("Stack trace:")[0].strip()
        raise RecordingError(f"ClickHouse: {' '.join(told.split())[:500]}") from None
