"""`python -m producers replay | import | simulate`: publish transactions, their outcomes and their labels to Kafka.

The last line says what was published, with `--json` as an object. Exit status: 0 done (but for an import, also when
stopped by a signal), 1 Kafka lost a message or could not be used, or an import was stopped before its end, 2 the input
or a flag cannot be used.
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from itertools import chain, islice, takewhile
from types import FrameType
from typing import Any

from confluent_kafka import KafkaException

from producers.aftermath import Reporting
from producers.events_to_file import TruthWriter
from producers.events_to_kafka import Report, Writer, publish
from producers.flags import command_line
from producers.kafka_history import HistoryWriter, partitioner, published, recording_of
from producers.kafka_writer import KafkaWriter
from producers.learned import CatchingUp, wait_until_learned
from producers.pace import Pace
from producers.world import World, cases
from schemas.access import topics_of
from schemas.connection import said
from schemas.observer import Observer
from schemas.recordings.mapping import RecordingError
from schemas.recordings.stream import Case, Stream
from schemas.settings import Settings, settings_or_exit
from schemas.topics_to_kafka import TopicMismatchError, create_topics

TOO_LATE = (
    "payments were answered here already, and a history counts for those that come after it: import it before the first"
    " one, into topics of its own (FRAUD_TOPIC_PREFIX), or say --late: then what is older counts as late"
)
AGAIN = "run the same command again: it goes on where this one stopped"

Begin = Callable[[], tuple[Iterator[Case], int | None]]
"""Starts a source: its cases, and the event time that is due at once (None: the first event's)."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit status."""
    flags = command_line().parse_args(arguments)
    settings = settings_or_exit()
    report = Report()
    stopping = _stop_on_signals()
    try:
        begin, pace = _simulate(flags) if flags.command == "simulate" else _recorded(flags, settings)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    status, complaint = _run(flags, settings, begin, pace, report, stopping)
    told, sentence = asdict(report), _sentence(report)
    if flags.command == "import" and not status:
        status, complaint, learning = _learned(flags, settings, stopping)
        told |= learning
        sentence += f"; {report.skipped} of all that had been published before"
    if complaint:
        _say(complaint)
    sys.stdout.write(f"{json.dumps(told) if flags.json else sentence}\n")
    return status


def _run(
    flags: argparse.Namespace,
    settings: Settings,
    begin: Begin,
    pace: Pace,
    report: Report,
    stopping: Callable[[], bool],
) -> tuple[int, str | None]:
    is_import = flags.command == "import"
    try:
        with ExitStack() as open_files:
            create_topics(settings, topics_of(["importer" if is_import else "source"]))
            if is_import and not flags.late and _has_decided(settings):
                return 2, TOO_LATE
            kafka = KafkaWriter(settings, patient=is_import)
            writer: Writer = kafka
            source, origin_ms = begin()
            if is_import:
                writer, source = _as_history(flags, settings, kafka, source)
            if flags.truth:
                # Line by line, so that who reads along sees each, and a killed run has told all it published.
                file = open_files.enter_context(flags.truth.open("w", 1, encoding="utf-8"))
                writer = keeper = TruthWriter(kafka, file)
                source = keeper.watch(source)
            stream = Stream(
                _limited(source, flags.limit, flags.from_ms or 0),
                labels_to_the_end=flags.labels_to_the_end,
                from_ms=flags.from_ms,
                until_ms=flags.until,
            )
            publish(
                stream, writer, pace, report=report, origin_ms=origin_ms, stopping=stopping, expected=_expected(flags)
            )
            report.skipped = writer.skipped if isinstance(writer, HistoryWriter) else 0
    except RecordingError as error:
        return 2, str(error)
    except TopicMismatchError as error:
        return 1, str(error)
    except OSError as error:
        if not flags.truth:
            raise
        return 2, f"{flags.truth}: {error.strerror}"
    except KafkaException as error:
        return 1, f"Kafka at {settings.kafka_bootstrap}: {said(error)}"
    return (1, f"{report.failed} messages were not delivered: {kafka.first_failure}") if report.failed else (0, None)


def _has_decided(settings: Settings) -> bool:
    with closing(Observer(settings)) as observer:
        return observer.has_decided()


def _as_history(
    flags: argparse.Namespace, settings: Settings, kafka: KafkaWriter, source: Iterator[Case]
) -> tuple[HistoryWriter, Iterator[Case]]:
    """Return the writer of a history, which goes on behind what is there of it, and the source from its beginning."""
    first = list(islice(source, 1))
    recording = recording_of(flags.label_delay, first)
    there = published(settings, recording)
    return HistoryWriter(kafka, recording, there, partitioner(settings.partitions)), chain(first, source)


def _limited(source: Iterator[Case], limit: int | None, from_ms: int) -> Iterator[Case]:
    """Give cases until so many are of that time or later: those before have labels that come later."""
    counted = 0
    for case in source:
        counted += case.transaction.event_time_ms >= from_ms
        if limit is not None and counted > limit:
            return
        yield case


def _expected(flags: argparse.Namespace) -> int | None:
    """Return how many transactions will be published at most, where that is known."""
    if flags.command == "simulate" or flags.query or flags.until or flags.from_ms:
        return flags.limit or None
    from schemas.recordings.file_to_rows import rows_of  # noqa: PLC0415 - as below

    rows = rows_of(flags.file)
    return min(rows, flags.limit) if flags.limit else rows


def _learned(
    flags: argparse.Namespace, settings: Settings, stopping: Callable[[], bool]
) -> tuple[int, str | None, dict[str, Any]]:
    """Wait until a history that was published is learned; return status, complaint and what is reported of it."""
    seen = CatchingUp()
    if not flags.no_wait and not stopping():
        _say("published; now it is decided, stored, joined and learned")
        try:
            with closing(Observer(settings)) as parts:
                seen = wait_until_learned(parts, say=_say, stopping=stopping, now_s=time.monotonic, sleep=time.sleep)
        except KafkaException as error:
            return 1, f"Kafka at {settings.kafka_bootstrap}: {said(error)}; {AGAIN}", {"learned": False}
    told = {"learned": seen.is_over, "labels_waiting": seen.labels_waiting}
    if stopping() and not seen.is_over:
        return 1, f"stopped before its end; {AGAIN}", told
    waiting = f"about {seen.labels_waiting} labels wait for a payment that is not stored"
    return 0, waiting if seen.labels_waiting else None, told


def _recorded(flags: argparse.Namespace, settings: Settings) -> tuple[Begin, Pace]:
    # Here, because only a recording needs pandas, which takes a second and a half to import.
    from schemas.recordings import recording  # noqa: PLC0415
    from schemas.recordings.file_to_rows import read_frames, read_mapping  # noqa: PLC0415

    mapping = read_mapping(flags.mapping)
    if flags.query is None:
        frames = read_frames(flags.file, mapping)
    else:
        from schemas.recordings.clickhouse_to_rows import read_query  # noqa: PLC0415

        frames = read_query(settings, flags.query, mapping)
    pace = Pace(speed=flags.speed, rate=flags.rate)
    return lambda: (recording.cases(frames, mapping, flags.label_delay), None), pace


def _simulate(flags: argparse.Namespace) -> tuple[Begin, Pace]:
    world = World(
        seed=flags.seed,
        start_ms=flags.start_ms or 0,
        rate=flags.rate,
        shoppers=flags.cards,
        merchants=flags.merchants,
        fraud_rate=flags.fraud_rate,
        reporting=Reporting(
            label_delay_ms=flags.label_delay,
            label_delay_spread=flags.label_delay_spread,
            label_coverage=flags.label_coverage,
            label_noise=flags.label_noise,
            label_reversals=flags.label_reversals,
            label_early_reports=flags.label_early_reports,
            legitimate_one_in=flags.legitimate_one_in,
            outcomes=flags.outcomes,
            capture_delay_ms=flags.capture_delay,
        ),
        daily_rhythm=flags.daily_rhythm,
    )

    def begin() -> tuple[Iterator[Case], int]:
        start_ms = time.time_ns() // 1_000_000 if flags.start_ms is None else flags.start_ms
        endless = cases(replace(world, start_ms=start_ms))
        end_ms = start_ms + flags.seconds * 1000
        return takewhile(lambda case: case.transaction.event_time_ms < end_ms, endless), start_ms

    return begin, Pace() if flags.flat_out else Pace(speed=1)


def _stop_on_signals() -> Callable[[], bool]:
    """Return whether SIGINT or SIGTERM has come. A second one ends the process at once."""
    received: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_DFL)

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, stop)
    return lambda: bool(received)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _sentence(report: Report) -> str:
    return (
        f"{report.transactions} transactions, {report.labels} labels and {report.outcomes} outcomes in"
        f" {report.seconds:.1f} s ({report.rate:.0f} transactions/s), at most {report.behind_s_max:.1f} s late;"
        f" {report.labels_pending} labels and {report.outcomes_pending} outcomes not due yet,"
        f" {report.failed} messages failed"
    )


if __name__ == "__main__":
    sys.exit(main())
