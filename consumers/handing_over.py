"""Commands for analysts and engineers: `export`, `features`, `catalogue` and `query`."""

import argparse
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from consumers.catalogue import feature_entries, lines, shipped_catalogue
from consumers.clickhouse_to_parquet import export, write_parquet
from consumers.data_card import time_of
from consumers.dataset import Asked
from consumers.look_up import NEWEST
from consumers.warehouse import Warehouse, query_frame
from schemas.fields import DAY_MS
from schemas.settings import Settings

OUT = Path("datasets")


def time_ms(text: str) -> int:
    """Return an ISO 8601 time in ms; one without an offset is UTC. Raises ValueError, which the parser explains.

    >>> time_ms("2018-04-01"), time_ms("2018-04-01T02:00+02:00")
    (1522540800000, 1522540800000)
    """
    at = datetime.fromisoformat(text)
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1_000)


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands to a parser."""
    query = commands.add_parser("query", help="read something; the embedded store must not be in use")
    asked = query.add_mutually_exclusive_group(required=True)
    asked.add_argument("sql", nargs="?", metavar="SQL")
    asked.add_argument("--file", type=argparse.FileType(encoding="utf-8"), metavar="FILE", help="that holds the SQL")
    query.add_argument("--param", type=_parameter, action="append", default=[], metavar="NAME=VALUE", help="repeatable")
    query.add_argument("--json", action="store_true", help="print one JSON object a line")
    query.add_argument("--parquet", type=Path, metavar="FILE", help="write the result to a file")
    dataset = commands.add_parser("export", help="hand over a training frame as it was known at a time, with its card")
    dataset.add_argument("--from", dest="since", type=time_ms, required=True, metavar="TIME", help="first payment")
    dataset.add_argument("--to", dest="until", type=time_ms, required=True, metavar="TIME", help="before this time")
    dataset.add_argument("--as-of", type=time_ms, required=True, metavar="TIME", help="known then, and no later")
    dataset.add_argument("--out", type=Path, default=OUT, metavar="FOLDER", help=f"{OUT}; it gets a folder in it")
    dataset.add_argument("--json", action="store_true", help="print the card as one line of JSON")
    features = commands.add_parser("features", help="the newest features of a card or a merchant")
    key = features.add_mutually_exclusive_group(required=True)
    key.add_argument("--card", metavar="TOKEN")
    key.add_argument("--merchant", metavar="TOKEN")
    features.add_argument("--as-of", type=time_ms, metavar="TIME", help="as they were then; now")
    features.add_argument("--json", action="store_true", help="print one JSON object")
    told = commands.add_parser("catalogue", help="what every topic, field, feature, table and column means")
    told.add_argument("word", nargs="?", default="", metavar="WORD", help="only where name or meaning has it")
    told.add_argument("--json", action="store_true", help="print the whole as one JSON object")


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError("NAME=VALUE")
    return name, value


def print_catalogue(flags: argparse.Namespace) -> int:
    """Print the catalogue, or what holds a word. Exit code 1: nothing does."""
    if flags.json:
        sys.stdout.write(json.dumps(shipped_catalogue(), ensure_ascii=False) + "\n")
        return 0
    found = list(lines(flags.word))
    sys.stdout.writelines(line + "\n" for line in found)
    return 0 if found else 1


def _export(settings: Settings, warehouse: Warehouse, flags: argparse.Namespace) -> int:
    wrong = _wrong_range(flags, time.time_ns() // 1_000_000)
    if wrong:
        sys.stderr.write(f"{wrong}\n")
        return 2
    maturity_ms = settings.silence_matures_days * DAY_MS
    asked = Asked(flags.since, flags.until, flags.as_of, maturity_ms, settings.legitimate_kept_one_in)
    card, folder = export(warehouse, asked, flags.out)
    labels = card["labels"]
    told = f"{card['rows']} payments, {labels['fraud']} fraud and {labels['legitimate']} legitimate, in {folder}"
    sys.stdout.write((json.dumps(card) if flags.json else told) + "\n")
    return 0


def _wrong_range(flags: argparse.Namespace, now_ms: int) -> str | None:
    if flags.since >= flags.until:
        return "--from must lie before --to"
    return "--as-of lies ahead: what will be known then is not known yet" if flags.as_of > now_ms else None


def _features(_: Settings, warehouse: Warehouse, flags: argparse.Namespace) -> int:
    of, key = ("card", flags.card) if flags.card else ("merchant", flags.merchant)
    as_of_ms = time.time_ns() // 1_000_000 if flags.as_of is None else flags.as_of
    found = warehouse.query_columns(NEWEST, {"of": of, "key": key, "as_of_ms": as_of_ms})
    if not found["features"]:
        sys.stderr.write(f"no payment of that {of} was decided by then\n")
        return 1
    read = {name: values[0] for name, values in found.items()}
    features = {name: value for name, value in sorted(read.pop("features").items()) if name.startswith(f"{of}_")}
    if flags.json:
        sys.stdout.write(json.dumps({**read, "features": features}, default=str) + "\n")
        return 0
    sys.stdout.write(f"of payment {read['transaction_id']} at {time_of(read['event_time_ms'])}, itself included\n")
    for name, value in features.items():
        entry: dict[str, Any] = feature_entries().get(name, {"unit": "", "meaning": "of another version of the code"})
        sys.stdout.write(f"{name} {value:g} {entry['unit']}: {entry['meaning']}\n")
    return 0


def _query(_: Settings, warehouse: Warehouse, flags: argparse.Namespace) -> int:
    sql, parameters = flags.file.read() if flags.file else flags.sql, dict(flags.param)
    if flags.parquet:
        rows = write_parquet(warehouse.query_arrow(sql, parameters), flags.parquet)
        sys.stdout.write(f"{rows} rows in {flags.parquet}\n")
    elif flags.json:
        columns = warehouse.query_columns(sql, parameters)
        for values in zip(*columns.values(), strict=True):
            row = dict(zip(columns, values, strict=True))
            sys.stdout.write(json.dumps(row, default=str, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(query_frame(warehouse, sql, parameters).to_string(index=False) + "\n")
    return 0


ON_STORE: dict[str, Callable[[Settings, Warehouse, argparse.Namespace], int]] = {
    "query": _query,
    "export": _export,
    "features": _features,
}
"""Commands that open the store; `catalogue` needs nothing."""
