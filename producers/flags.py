"""The command line of this room: its commands, their flags, and how each is read."""

import argparse
from datetime import UTC, datetime
from pathlib import Path

from producers.duration import duration_ms


def command_line() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m producers", description="Publish transactions, their outcomes and labels."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    replay = commands.add_parser("replay", help="a recorded CSV or Parquet file, or the result of a ClickHouse query")
    _recording_flags(replay)
    _replay_flags(replay)
    history = commands.add_parser("import", help="the same as history: learned from, and answered to nobody")
    _recording_flags(history)
    _import_flags(history)
    simulate = commands.add_parser("simulate", help="shoppers and fraudsters, from now on or from --start-ms")
    _simulate_flags(simulate)
    for command in (replay, history, simulate):
        command.add_argument("--limit", type=_count, help="most transactions to publish")
        command.add_argument(
            "--labels-to-the-end",
            action="store_true",
            help="also publish labels and outcomes not due with the last payment",
        )
        command.add_argument("--json", action="store_true", help="report as an object")
    return parser


def _recording_flags(command: argparse.ArgumentParser) -> None:
    recorded = command.add_mutually_exclusive_group(required=True)
    recorded.add_argument("file", type=Path, nargs="?", help="CSV, or Parquet where it ends in .parquet")
    recorded.add_argument(
        "--query",
        metavar="SELECT",
        help="in order of time; asked of FRAUD_CLICKHOUSE_URL, or of the embedded store in FRAUD_DATA_DIR",
    )
    command.add_argument(
        "--mapping", required=True, help="a shipped name (handbook, predictions) or a TOML file: column to field"
    )
    command.add_argument("--label-delay", type=_duration, default="7d", help="a label comes so long after (default 7d)")
    command.add_argument(
        "--until", type=_date_ms, metavar="DATE", help="only what happened or was said before it (UTC)"
    )
    command.set_defaults(truth=None, from_ms=None)


def _import_flags(history: argparse.ArgumentParser) -> None:
    history.set_defaults(speed=None, rate=None)
    history.add_argument(
        "--no-wait", action="store_true", help="end when all is published, and not when all is learned"
    )
    history.add_argument(
        "--late", action="store_true", help="also where payments were answered already: what is older counts as late"
    )


def _replay_flags(replay: argparse.ArgumentParser) -> None:
    replay.add_argument(
        "--from",
        dest="from_ms",
        type=_date_ms,
        metavar="DATE",
        help="only what happened or was said from then on (UTC), as after an import until then",
    )
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
    simulate.set_defaults(from_ms=None, until=None)
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
        "--label-early-reports",
        type=float,
        default=0.0,
        help="share of chargebacks that an issuer's report came before (default 0)",
    )
    later.add_argument(
        "--legitimate-one-in",
        type=int,
        default=3,
        metavar="N",
        help="of honest payments that stand, labelled: those that are learned where one in N is (default 3)",
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


def _date_ms(text: str) -> int:
    """Read a date or a time as ISO 8601 has it; without an offset it is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date, such as 2018-07-25 or 2018-07-25T12:00") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
