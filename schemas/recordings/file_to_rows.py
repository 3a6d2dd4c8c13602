"""Read a recorded file (CSV or Parquet) as frames of bounded size, and the mapping that says what its columns are."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.recordings.mapping import (
    ColumnMapping,
    MappingError,
    RecordingError,
    check_columns,
    columns,
    parse_mapping,
)

FRAME_ROWS = 8_192
"""Rows held at once."""


def read_mapping(name: str) -> ColumnMapping:
    """Return the mapping with a shipped name, such as `handbook`, or in a TOML file.

    Raises
    ------
    MappingError
        There is no such mapping, or it cannot be used.
    """
    shipped = files("schemas.recordings") / "mappings"
    names = sorted(Path(file.name).stem for file in shipped.iterdir() if file.name.endswith(".toml"))
    try:
        text = (shipped / f"{name}.toml" if name in names else Path(name)).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise MappingError(f"mapping {name}: {reason}; shipped are {', '.join(names)}, or name a TOML file") from None
    try:
        return parse_mapping(text)
    except MappingError as error:
        raise MappingError(f"mapping {name}: {error}") from None


def read_frames(path: Path, mapping: ColumnMapping, frame_rows: int = FRAME_ROWS) -> Iterator[pd.DataFrame]:
    """Return the mapped columns of a file, `frame_rows` rows at a time. What ends in `.parquet` is read as Parquet.

    Raises
    ------
    RecordingError
        The file cannot be read, at once or at a later frame.
    MappingError
        The file lacks a mapped column.
    """
    parquet = path.suffix == ".parquet"
    with _named(path):
        present = pq.read_schema(path).names if parquet else _csv_header(path)
    check_columns(mapping, present)
    return (_parquet_frames if parquet else _csv_frames)(path, columns(mapping), frame_rows)


def rows_of(path: Path) -> int:
    """Return how many rows a file has: of a CSV its lines but one, which is at most a few too many.

    Raises
    ------
    RecordingError
        The file cannot be read.
    """
    with _named(path):
        if path.suffix == ".parquet":
            return int(pq.read_metadata(path).num_rows)
        with path.open("rb") as file:
            lines = sum(part.count(b"\n") for part in iter(lambda: file.read(1 << 20), b""))
        return max(0, lines - 1)


def _csv_frames(path: Path, names: list[str], frame_rows: int) -> Iterator[pd.DataFrame]:
    with _named(path), path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, strict=True)
        header = next(reader)
        rows: list[list[str]] = []
        for number, row in enumerate(filter(None, reader), start=1):
            if len(row) != len(header):
                yield pd.DataFrame(rows, columns=header, dtype=str)[names]
                raise RecordingError(f"row {number}: has {len(row)} values, the header has {len(header)}")
            rows.append(row)
            if len(rows) == frame_rows:
                yield pd.DataFrame(rows, columns=header, dtype=str)[names]
                rows = []
        yield pd.DataFrame(rows, columns=header, dtype=str)[names]


def _csv_header(path: Path) -> list[str]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        header = next(csv.reader(file, strict=True), [])
    if not header:
        raise RecordingError(f"{path}: has no header")
    twice = [name for name in header if header.count(name) > 1]
    if twice:
        raise RecordingError(f"{path}: has two columns {twice[0]}")
    return header


def _parquet_frames(path: Path, names: list[str], frame_rows: int) -> Iterator[pd.DataFrame]:
    with _named(path), pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=frame_rows, columns=names):
            yield batch.to_pandas(types_mapper=_exact_type)


def _exact_type(kind: pa.DataType) -> pd.ArrowDtype | None:
    """Keep Arrow's own types, in which an integer column with gaps stays integer; times are pandas'."""
    return None if pa.types.is_timestamp(kind) else pd.ArrowDtype(kind)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn what readers raise into one line that names the file."""
    try:
        yield
    except OSError as error:
        raise RecordingError(f"{path}: {error.strerror or error}") from None
    except (csv.Error, UnicodeDecodeError, pa.ArrowException) as error:
        raise RecordingError(f"{path}: {' '.join(str(error).split())}") from None
