"""`python -m producers replay | simulate`: publish transactions, their outcomes and their labels to Kafka.

The last line says what was published, with `--json` as an object. Exit status: 0 published (also when stopped by a
signal), 1 Kafka lost a message or could not be used, 2 the input or a flag cannot be used.
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, replace
from itertools import islice, takewhile
from pathlib import Path
from types import FrameType

from confluent_kafka import KafkaException

from producers.aftermath import Reporting
from producers.duration import duration_ms
from producers.events_to_file import TruthWriter
from producers.events_to_kafka import Report, Writer, publish
from producers.kafka_writer import KafkaWriter
from producers.pace import Pace
from producers.world import World, cases
from schemas.recordings.mapping import RecordingError
from schemas.recordings.stream import Case, Stream
from schemas.settings import Settings, settings_or_exit
from schemas.topics import LABELS, OUTCOMES, TRANSACTIONS
from schemas.topics_to_kafka import TopicMismatchError, create_topics

Begin = Callable[[], tuple[Iterator[Case], int | None]]
"""Starts a source: its cases, and the event time that is due at once (None: the first event's)."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit status."""
    flags = _parser().parse_args(arguments)
    settings = settings_or_exit()
    report = Report()
    try:
        begin, pace = _replay(flags, settings) if flags.command == "replay" else _simulate(flags)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    status, complaint = _run(flags, settings, begin, pace, report)
    if complaint:
        sys.stderr.write(f"{complaint}\n")
    sys.stdout.write(f"{json.dumps(asdict(report)) if flags.json else _sentence(report)}\n")
    return status


def _run(
    flags: argparse.Namespace, settings: Settings, begin: Begin, pace: Pace, report: Report
) -> tuple[int, str | None]:
    try:
        with ExitStack() as open_files:
            create_topics(settings, (TRANSACTIONS, LABELS, OUTCOMES))
            kafka = KafkaWriter(settings)
            writer: Writer = kafka
            stopping = _stop_on_signals()
            source, origin_ms = begin()
            if flags.truth:
                # Line by line, so that who reads along sees each, and a killed run has told all it published.
                file = open_files.enter_context(flags.truth.open("w", 1, encoding="utf-8"))
                writer = keeper = TruthWriter(kafka, file)
                source = keeper.watch(source)
            stream = Stream(islice(source, flags.limit), labels_to_the_end=flags.labels_to_the_end)
            publish(stream, writer, pace, report=report, origin_ms=origin_ms, stopping=stopping)
    except RecordingError as error:
        return 2, str(error)
    except TopicMismatchError as error:
        return 1, str(error)
    except OSError as error:
        if not flags.truth:
            raise
        return 2, f"{flags.truth}: {error.strerror}"
    except KafkaException as error:
        return 1, f"Kafka at {settings.kafka_bootstrap}: {error.args[0].str()}"
    return (1, f"{report.failed} messages were not delivered: {kafka.first_failure}") if report.failed else (0, None)


def _replay(flags: argparse.Namespace, settings: Settings) -> tuple[Begin, Pace]:
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
            legitimate_share=flags.legitimate_share,
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


def _sentence(report: Report) -> str:
    return (
        f"{report.transactions} transactions, {report.labels} labels and {report.outcomes} outcomes in"
        f" {report.seconds:.1f} s ({report.rate:.0f} transactions/s), at most {report.behind_s_max:.1f} s late;"
        f" {report.labels_pending} labels and {report.outcomes_pending} outcomes not due yet,"
        f" {report.failed} messages failed"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m producers", description="Publish transactions, their outcomes and labels."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    replay = commands.add_parser("replay", help="a recorded CSV or Parquet file, or the result of a ClickHouse query")
    _replay_flags(replay)
    simulate = commands.add_parser("simulate", help="shoppers and fraudsters, from now on or from --start-ms")
    _simulate_flags(simulate)
    for command in (replay, simulate):
        command.add_argument("--limit", type=_count, help="most transactions to publish")
        command.add_argument(
            "--labels-to-the-end", action="store_true", help="also publish labels and outcomes not due at the end"
        )
        command.add_argument("--json", action="store_true", help="report as an object")
    return parser


def _replay_flags(replay: argparse.ArgumentParser) -> None:
    recorded = replay.add_mutually_exclusive_group(required=True)
    recorded.add_argument("file", type=Path, nargs="?", help="CSV, or Parquet where it ends in .parquet")
    recorded.add_argument(
        "--query",
        metavar="SELECT",
        help="in order of time; asked of FRAUD_CLICKHOUSE_URL, or of the embedded store in FRAUD_DATA_DIR",
    )
    replay.add_argument(
        "--mapping", required=True, help="a shipped name (handbook, predictions) or a TOML file: column to field"
    )
    replay.add_argument("--label-delay", type=_duration, default="7d", help="a label comes so long after (default 7d)")
    replay.set_defaults(truth=None)
    pace = replay.add_mutually_exclusive_group()
    pace.add_argument("--speed", type=float, help="times as fast as it happened")
    pace.add_argument("--rate", type=float, help="transactions per second, whatever their times")
    pace.add_argument("--flat-out", action="store_true", help="as fast as it goes (the default)")


def _simulate_flags(simulate: argparse.ArgumentParser) -> None:
    simulate.add_argument("--rate", type=float, default=50, help="transactions per second of event time (default 50)")
    simulate.add_argument("--seconds", type=float, default=float("inf"), help="of event time (default: endless)")
    simulate.add_argument("--seed", type=int, default=1, help="the same seed gives the same people (default 1)")
    simulate.add_argument("--cards", type=int, default=10_000, help="(default 10000)")
    simulate.add_argument("--merchants", type=int, default=2_000, help="(default 2000)")
    simulate.add_argument("--fraud-rate", type=float, default=0.01, help="share of fraud (default 0.01)")
    simulate.add_argument("--daily-rhythm", action="store_true", help="fewer at night; --rate is the mean of a day")
    simulate.add_argument("--flat-out", action="store_true", help="do not keep to real time")
    simulate.add_argument("--start-ms", type=_time_ms, help="event time of the start (default: now)")
    simulate.add_argument(
        "--truth", type=Path, metavar="FILE", help="write what each published transaction is, as JSON lines"
    )
    later = simulate.add_argument_group("what becomes of a payment, and what is said of it")
    later.add_argument(
        "--outcomes", action=argparse.BooleanOptionalAction, default=True, help="publish outcomes (default: yes)"
    )
    later.add_argument("--capture-delay", type=_duration, default="30s", help="payment to capture (default 30s)")
    later.add_argument("--label-delay", type=_duration, default="60s", help="mean, payment to label (default 60s)")
    later.add_argument(
        "--label-delay-spread", type=float, default=0.0, help="standard deviation over the mean (default 0: exact)"
    )
    later.add_argument("--label-coverage", type=float, default=1.0, help="share of frauds ever reported (default 1)")
    later.add_argument("--label-noise", type=float, default=0.0, help="share of labels that are wrong (default 0)")
    later.add_argument(
        "--label-reversals", type=float, default=0.0, help="share of wrong chargebacks overturned later (default 0)"
    )
    later.add_argument(
        "--legitimate-share", type=float, default=0.3, help="of honest payments that stand, labelled (default 0.3)"
    )


def _duration(text: str) -> int:
    try:
        return duration_ms(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a count")
    return int(text)


def _time_ms(text: str) -> int:
    """Milliseconds since 1970; what is no time of this century is refused before anything is published."""
    if not (text.isdecimal() and 946_684_800_000 <= int(text) < 4_000_000_000_000):
        raise argparse.ArgumentTypeError(f"{text!r} is not a time in ms since 1970, such as 1522540800000")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
