"""`python -m consumers`: sink, label join, monitors and page in one process or apart, and looks into store and Kafka.

The embedded store belongs to one process at a time, so there `run` is the one to run; `query`, `export` and `features`
read it when that has ended.
"""

import argparse
import json
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext

from confluent_kafka import KafkaException

from consumers import commands, handing_over
from consumers.clickhouse_to_labels import ClickhouseToLabels
from consumers.clickhouse_to_parquet import NothingToExportError, PersonalDataError
from consumers.kafka_label_log import KafkaLabelLog
from consumers.kafka_labels import KafkaLabels
from consumers.kafka_reader import KafkaReader
from consumers.kafka_scan import ScanError
from consumers.labels_to_training import LabelsToTraining
from consumers.letters_to_topics import ReplayError
from consumers.migrations_to_clickhouse import MigrationError, migrate, pending_migrations, shipped_migrations
from consumers.parts import (
    PartFailedError,
    Parts,
    collect_seldom,
    join_of,
    monitors_of,
    page_of,
    silence_of,
    sink_of,
    webhook_of,
)
from consumers.predictions_to_hours import PredictionsToHours
from consumers.rows import SINKS
from consumers.topics_to_clickhouse import TopicsToClickhouse
from consumers.warehouse import Warehouse, WarehouseError, WarehouseUnavailableError, open_warehouse
from schemas.connection import said
from schemas.settings import Settings, settings_or_exit
from schemas.topics import ALERTS, DEAD_LETTERS, LABELS, LABELS_WAITING, TRAINING
from schemas.topics_to_kafka import TopicMismatchError, create_topics

_Part = TopicsToClickhouse | LabelsToTraining | ClickhouseToLabels | PredictionsToHours
_Client = KafkaReader | KafkaLabelLog | KafkaLabels

MIGRATE_RETRY_S = 2.0
PAGE_HOST = "127.0.0.1"
PAGE_PORT = 8_480
RUN_IDLE_MS_MIN = 2_000
"""Least quiet time by which `run` takes itself for idle: what one part writes the other has read by then."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit code: 0 done, 1 refused, 2 wrong usage."""
    flags = _parser().parse_args(arguments)
    if flags.command == "catalogue":
        return handing_over.print_catalogue(flags)
    settings = settings_or_exit()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    stop = _stop_on_signals() if flags.command in _SERVICES else threading.Event()
    try:
        if flags.command in _OF_KAFKA:
            return commands.run(settings, flags)
        with closing(open_warehouse(settings)) as warehouse:
            if flags.command in _SERVICES:
                collect_seldom()
                return _SERVICES[flags.command](settings, warehouse, flags, stop)
            if flags.command == "migrate":
                return _migrate(warehouse, dry_run=flags.dry_run)
            return handing_over.ON_STORE[flags.command](settings, warehouse, flags)
    except _TOLD as error:
        sys.stderr.write(f"{said(error)}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m consumers", description=__doc__)
    subparsers = parser.add_subparsers(dest="command", required=True)
    for name, told in (
        ("run", "migrate, then sink, label join, labels of silence, monitors and page in this process until SIGTERM"),
        ("sink", "store what was decided, labelled, learned and refused until SIGTERM"),
        ("join", "join labels to stored features until SIGTERM; for a store on a server"),
        ("silence", "label what matured without a word until SIGTERM, as one process; for a store on a server"),
        ("hours", "keep payments and values of features by hour until SIGTERM; for a store on a server"),
        ("monitors", "look for what needs a person and post alerts until SIGTERM; for a store on a server"),
    ):
        service = subparsers.add_parser(name, help=told)
        service.add_argument("--json", action="store_true", help="print the counters as one line of JSON at the end")
        if name in {"silence", "hours", "monitors"}:
            continue
        service.add_argument(
            "--until-idle",
            type=float,
            metavar="SECONDS",
            help="end when all partitions are ours, all is read, and nothing came or changed for so long",
        )
        if name == "run":
            service.add_argument("--without-page", action="store_true", help="serve no page")
            service.add_argument("--page-port", type=int, default=PAGE_PORT, metavar="PORT", help=f"{PAGE_PORT}")
    migrations = subparsers.add_parser("migrate", help="create or change the tables")
    migrations.add_argument("--dry-run", action="store_true", help="print the SQL that would run")
    handing_over.add_commands(subparsers)
    commands.add_commands(subparsers)
    return parser


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _idle_ms(flags: argparse.Namespace) -> int | None:
    return None if flags.until_idle is None else int(flags.until_idle * 1_000)


def _report(flags: argparse.Namespace, counters: dict[str, int]) -> None:
    if flags.json:
        sys.stdout.write(json.dumps(counters) + "\n")
        sys.stdout.flush()


def _alone(flags: argparse.Namespace, part: _Part, client: _Client | None = None) -> int:
    """Run one part, let go of its client, and report what it counted, however it ended."""
    try:
        with closing(client) if client else nullcontext():
            part.run()
    finally:
        _report(flags, part.counters.as_dict())
    return 0


def _sink(settings: Settings, warehouse: Warehouse, flags: argparse.Namespace, stop: threading.Event) -> int:
    create_topics(settings, [sink.topic for sink in SINKS])
    _migrate_when_up(warehouse, stop)
    sink, reader = sink_of(settings, warehouse, stop, until_idle_ms=_idle_ms(flags))
    return _alone(flags, sink, reader)


def _join(settings: Settings, warehouse: Warehouse, flags: argparse.Namespace, stop: threading.Event) -> int:
    create_topics(settings, [LABELS_WAITING, TRAINING, DEAD_LETTERS])
    _migrate_when_up(warehouse, stop)
    join, labels = join_of(settings, warehouse, stop, until_idle_ms=_idle_ms(flags))
    return _alone(flags, join, labels)


def _silence(settings: Settings, warehouse: Warehouse, flags: argparse.Namespace, stop: threading.Event) -> int:
    if not settings.silence_matures_days:
        sys.stderr.write("FRAUD_SILENCE_MATURES_DAYS is 0: silence never matures\n")
        return 2
    create_topics(settings, [LABELS])
    _migrate_when_up(warehouse, stop)
    silence, labels = silence_of(settings, warehouse, stop)
    return _alone(flags, silence, labels)


def _hours(_settings: Settings, warehouse: Warehouse, flags: argparse.Namespace, stop: threading.Event) -> int:
    _migrate_when_up(warehouse, stop)
    return _alone(flags, PredictionsToHours(warehouse, stop, time.monotonic))


def _monitors(settings: Settings, warehouse: Warehouse, flags: argparse.Namespace, stop: threading.Event) -> int:
    if not settings.monitor_interval_s:
        sys.stderr.write("FRAUD_MONITOR_INTERVAL_S is 0: nothing is ever looked at\n")
        return 2
    create_topics(settings, [ALERTS])
    _migrate_when_up(warehouse, stop)
    parts = Parts(stop)
    with _watching(settings, warehouse, stop, parts) as counted:
        try:
            parts.wait()
        finally:
            _report(flags, counted())
    return 0


@contextmanager
def _watching(
    settings: Settings, warehouse: Warehouse, stop: threading.Event, parts: Parts
) -> Iterator[Callable[[], dict[str, int]]]:
    """Start the monitors, and what posts alerts where there is a receiver; give what they counted."""
    monitors = monitors_of(settings, warehouse, stop)
    if settings.monitor_interval_s:
        parts.start("monitors", monitors.run)
    if not settings.alert_webhook_url:
        yield monitors.counters.as_dict
        return
    webhook, alerts = webhook_of(settings, stop)
    with closing(alerts):
        parts.start("webhook", webhook.run)
        yield lambda: monitors.counters.as_dict() | webhook.counters.as_dict()


def _run(settings: Settings, warehouse: Warehouse, flags: argparse.Namespace, stop: threading.Event) -> int:
    create_topics(settings, [*(sink.topic for sink in SINKS), LABELS_WAITING])
    _migrate_when_up(warehouse, stop)
    idle_ms = _idle_ms(flags)
    sink, reader = sink_of(settings, warehouse, stop)
    with closing(reader):
        join, labels = join_of(
            settings,
            warehouse,
            stop,
            until_idle_ms=None if idle_ms is None else max(idle_ms, RUN_IDLE_MS_MIN),
            others_idle_ms=sink.idle_ms,
        )
        silence, published = silence_of(settings, warehouse, stop)
        hours = PredictionsToHours(warehouse, stop, time.monotonic)
        parts = Parts(stop)
        with closing(labels), closing(published), _watching(settings, warehouse, stop, parts) as watched:
            page = None if flags.without_page else page_of(warehouse, PAGE_HOST, flags.page_port, stop)
            if page:
                parts.start("page", page)
            parts.start("sink", sink.run)
            parts.start("label join", join.run)
            if settings.silence_matures_days:
                parts.start("labels of silence", silence.run)
            parts.start("values by hour", hours.run)
            try:
                parts.wait()
            finally:
                done = (sink.counters, join.counters, silence.counters, hours.counters)
                counted = {name: number for each in done for name, number in each.as_dict().items()}
                _report(flags, counted | watched())
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


_OF_KAFKA = ("dead-letters", "decision")
_TOLD = (
    WarehouseError,
    MigrationError,
    TopicMismatchError,
    KafkaException,
    PartFailedError,
    ReplayError,
    ScanError,
    PersonalDataError,
    NothingToExportError,
)
"""What is told in one line."""

_SERVICES = {
    "run": _run,
    "sink": _sink,
    "join": _join,
    "silence": _silence,
    "hours": _hours,
    "monitors": _monitors,
}

if __name__ == "__main__":
    sys.exit(main())
