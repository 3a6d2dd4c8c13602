"""The store to Parquet: any result to one file, and a training frame with its card to a folder named by its id."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consumers.catalogue import columns_of, feature_entries
from consumers.data_card import SUMMARISED, Card, card_of, described, lineage_of, markdown
from consumers.dataset import FEATURE_NAMES, HOURS, POSITIONS, STORED, TYPES, Asked, frame_sql, spans, weights
from consumers.personal_data import first_hit
from consumers.warehouse import Warehouse, WarehouseError

if TYPE_CHECKING:  # half a second of imports that only who exports needs
    import pyarrow as pa

SOURCES = ("clickhouse_to_parquet.py", "data_card.py", "dataset.py", "personal_data.py")
"""The modules that a frame is made by."""


class PersonalDataError(Exception):
    """What was to be handed over holds what could be a card number, an e-mail address or a phone number."""


class NothingToExportError(Exception):
    """No payment of the range was stored by then."""


def write_parquet(table: "pa.Table", path: Path) -> int:
    """Write a result to a file, which appears when it is whole, and return the number of rows.

    Raises
    ------
    WarehouseError
        The file could not be written.
    """
    import pyarrow.parquet as pq  # noqa: PLC0415 - see above

    partial = path.with_name(path.name + ".partial")
    try:
        pq.write_table(table, partial, compression="zstd")
        partial.replace(path)
    except OSError as error:
        raise WarehouseError(f"{path} cannot be written: {error.strerror or error}") from error
    return int(table.num_rows)


def export(warehouse: Warehouse, asked: Asked, out: Path) -> tuple[Card, Path]:
    """Write a frame with its card, and return the card and their folder. The same frame lands in the same folder.

    Raises
    ------
    PersonalDataError, NothingToExportError
        See there; nothing was written.
    WarehouseError
        The store refused, or the folder could not be written.
    """
    names = warehouse.query_columns(FEATURE_NAMES, asked.parameters())["name"]
    known = list(feature_entries())
    features = sorted(names, key=lambda name: (known.index(name) if name in known else len(known), name))
    with _partial_folder(out) as partial:
        frame, columns = _written(warehouse, asked, features, partial / "frame.parquet")
        content = _sha256(partial / "frame.parquet")
        card = card_of(frame, columns, asked, lineage_of(asked, _positions(warehouse, asked), code(), content))
        (partial / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
        (partial / "card.md").write_text(markdown(card), encoding="utf-8")
        folder = out / card["id"]
        folder.mkdir(exist_ok=True)
        for file in partial.iterdir():
            file.replace(folder / file.name)
    return card, folder


def code() -> str:
    """Return the first 12 hexadecimal digits of a SHA-256 over the modules that make a frame."""
    digest = hashlib.sha256()
    for name in SOURCES:
        digest.update(name.encode() + b"\0" + (files("consumers") / name).read_bytes())
    return digest.hexdigest()[:12]


@contextmanager
def _partial_folder(out: Path) -> Iterator[Path]:
    """Lend a folder beside the final one; what is left in it is removed, and so is `out` where it was not there."""
    made = next(each for each in (out, *out.parents) if each.exists())
    partial = out / f".partial-{os.getpid()}"
    try:
        partial.mkdir(parents=True)
        yield partial
    except OSError as error:
        raise WarehouseError(f"{out} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        for empty in (out, *out.parents):
            if empty == made or not empty.is_dir() or any(empty.iterdir()):
                break
            empty.rmdir()


def _written(warehouse: Warehouse, asked: Asked, features: list[str], path: Path) -> tuple["pa.Table", list[Card]]:
    """Write the frame stretch by stretch; return the columns that the card is made from, and what all columns are."""
    import pyarrow as pa  # noqa: PLC0415 - see above
    import pyarrow.parquet as pq  # noqa: PLC0415

    schema = _schema(pa, features)
    hours = warehouse.query_columns(HOURS, asked.parameters())
    stretches = list(spans(list(zip(hours["hour_ms"], hours["payments"], strict=True)), asked))
    if not stretches:
        raise NothingToExportError("no payment of that range was stored by then")
    sql, kept, nulls = frame_sql(features), [], dict.fromkeys(schema.names, 0)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for from_ms, to_ms in stretches:
            part = asked._replace(from_ms=from_ms, to_ms=to_ms)
            read = warehouse.query_arrow(sql, part.parameters())
            table = _typed(pa, read, schema, asked.kept_one_in)
            _refuse_personal_data(table)
            writer.write_table(table)
            kept.append(table.select(SUMMARISED))
            for name in schema.names:
                nulls[name] += table[name].null_count
    stored, entries = columns_of("predictions"), feature_entries()
    columns = [described(name, str(schema.field(name).type), nulls[name], stored, entries) for name in schema.names]
    return pa.concat_tables(kept), columns


def _schema(pa: Any, features: list[str]) -> "pa.Schema":
    types = {name: getattr(pa, kind)() for name, kind in TYPES.items() if kind != "timestamp"}
    types |= {name: pa.timestamp("ms", tz="UTC") for name, kind in TYPES.items() if kind == "timestamp"}
    ordered = [(name, types[name]) for name in TYPES]
    return pa.schema([*ordered, ("weight", pa.float64()), *((name, pa.float64()) for name in features)])


def _typed(pa: Any, read: "pa.Table", schema: "pa.Schema", kept_one_in: int) -> "pa.Table":
    needed = ("card", "transaction_id", "label", "label_source")
    weight = weights({name: read[name].to_pylist() for name in needed}, kept_one_in)
    return read.append_column("weight", pa.array(weight, pa.float64())).select(schema.names).cast(schema)


def _refuse_personal_data(table: "pa.Table") -> None:
    hit = first_hit(table)
    if hit is None:
        return
    place = [table[name][hit.row].as_py() for name in ("record_partition", "record_offset")]
    raise PersonalDataError(
        f"column {hit.column} holds what could be {hit.kind}, in row {STORED[0].topic}:{place[0]}:{place[1]}:"
        " nothing was written"
    )


def _positions(warehouse: Warehouse, asked: Asked) -> dict[str, dict[str, int]]:
    found = {}
    for stored in STORED:
        parameters = {"table": stored.table, "written": stored.written, "as_of_ms": asked.as_of_ms}
        read = warehouse.query_columns(POSITIONS, parameters)
        found[stored.topic] = {
            str(partition): offset for partition, offset in zip(read["record_partition"], read["next"], strict=True)
        }
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
