"""`python -m consumers`: the sink, its migrations, and a look into the store when no sink has it open."""

import argparse
import json
import logging
import signal
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

from confluent_kafka import KafkaException

from consumers.batch import Batch
from consumers.clickhouse_to_parquet import export
from consumers.kafka_reader import KafkaReader
from consumers.migrations_to_clickhouse import MigrationError, migrate, pending_migrations, shipped_migrations
from consumers.rows import SINKS
from consumers.topics_to_clickhouse import TopicsToClickhouse
from consumers.warehouse import Warehouse, WarehouseError, WarehouseUnavailableError, open_warehouse, query_frame
from schemas.settings import Settings, settings_or_exit
from schemas.topics_to_kafka import TopicMismatchError, create_topics

MIGRATE_RETRY_S = 2.0


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit code: 0 done, 1 refused, 2 wrong usage."""
    flags = _parser().parse_args(arguments)
    settings = settings_or_exit()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        with closing(open_warehouse(settings)) as warehouse:
            if flags.command == "sink":
                return _sink(settings, warehouse, flags)
            if flags.command == "migrate":
                return _migrate(warehouse, dry_run=flags.dry_run)
            if flags.command == "query":
                return _query(warehouse, flags.sql, as_json=flags.json)
            rows = export(warehouse, flags.table, flags.file)
            sys.stdout.write(f"{rows} rows of {flags.table} in {flags.file}\n")
            return 0
    except (WarehouseError, MigrationError, TopicMismatchError, KafkaException) as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m consumers", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    sink = commands.add_parser("sink", help="store predictions, decisions, dead letters and labels until SIGTERM")
    sink.add_argument("--json", action="store_true", help="print the counters as one line of JSON at the end")
    sink.add_argument(
        "--until-idle",
        type=float,
        metavar="SECONDS",
        help="end when all partitions are ours, all is read, and nothing came for so long",
    )
    migrations = commands.add_parser("migrate", help="create or change the tables")
    migrations.add_argument("--dry-run", action="store_true", help="print the SQL that would run")
    query = commands.add_parser("query", help="read something; the embedded store must not be in use")
    query.add_argument("sql", metavar="SQL")
    query.add_argument("--json", action="store_true", help="print one JSON object a line")
    parquet = commands.add_parser("export", help="write a view to a Parquet file")
    parquet.add_argument("table", choices=[*(sink.view for sink in SINKS), "v_label_revisions"])
    parquet.add_argument("file", type=Path, metavar="FILE")
    return parser


def _sink(settings: Settings, warehouse: Warehouse, flags: argparse.Namespace) -> int:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    create_topics(settings, [sink.topic for sink in SINKS])
    _migrate_when_up(warehouse, stop)
    batch = Batch()
    reader = KafkaReader(
        settings,
        role="sink",
        topics=[settings.topic_prefix + sink.topic.name for sink in SINKS],
        on_revoked=batch.clear,
    )
    run = TopicsToClickhouse(
        reader=reader,
        warehouse=warehouse,
        stop=stop,
        now_ms=lambda: time.monotonic_ns() // 1_000_000,
        batch=batch,
        topic_prefix=settings.topic_prefix,
        until_idle_ms=None if flags.until_idle is None else int(flags.until_idle * 1_000),
    )
    try:
        run.run()
    finally:
        reader.close()
        if flags.json:
            sys.stdout.write(json.dumps(run.counters.as_dict()) + "\n")
            sys.stdout.flush()
    return 0


def _migrate_when_up(warehouse: Warehouse, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            migrate(warehouse)
        except WarehouseUnavailableError as error:
            logging.getLogger("consumers").warning("waiting for the store: %s", error)
            stop.wait(MIGRATE_RETRY_S)
        else:
            return


def _migrate(warehouse: Warehouse, *, dry_run: bool) -> int:
    if dry_run:
        for migration in pending_migrations(warehouse, shipped_migrations()):
            sys.stdout.write(f"-- {migration.name}\n{migration.sql}\n")
        return 0
    for name in migrate(warehouse):
        sys.stdout.write(f"applied {name}\n")
    return 0


def _query(warehouse: Warehouse, sql: str, *, as_json: bool) -> int:
    if not as_json:
        sys.stdout.write(query_frame(warehouse, sql).to_string(index=False) + "\n")
        return 0
    columns = warehouse.query_columns(sql)
    for values in zip(*columns.values(), strict=True):
        row = dict(zip(columns, values, strict=True))
        sys.stdout.write(json.dumps(row, default=str, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
