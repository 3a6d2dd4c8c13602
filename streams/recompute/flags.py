"""The flags of `python -m streams recompute` and `archive`."""

from datetime import UTC, datetime
from typing import Any

from streams.recompute.compare import LISTED_MAX

NAMES = ("recompute", "archive")


def add_flags(commands: Any) -> None:
    """Add both commands to those of a parser."""
    recompute = commands.add_parser(
        "recompute", help="make decisions again from the log alone and compare them byte for byte"
    )
    what = recompute.add_argument_group("what (one of them)")
    what.add_argument("--transaction", metavar="ID", help="one decision: what was decided beside what is recomputed")
    what.add_argument("--from", dest="from_ms", type=time_ms, metavar="T", help="event time: ISO 8601, UTC, or ms")
    what.add_argument("--to", dest="to_ms", type=time_ms, metavar="T", help="its end, exclusive")
    what.add_argument("--all", action="store_true", help="everything in the log")
    recompute.add_argument("--state", metavar="DIR", help="begin at an archived state instead of at zero")
    recompute.add_argument("--policy", metavar="FILE", help="what if this policy had decided?")
    recompute.add_argument(
        "--list", type=int, default=LISTED_MAX, metavar="N", help=f"differences to list (default {LISTED_MAX})"
    )
    recompute.add_argument("--json", action="store_true", help="print one object")
    archive = commands.add_parser("archive", help="write the state of all tasks, to recompute from there later")
    archive.add_argument("directory", metavar="DIR", help="a folder that is empty or does not exist")


def time_ms(text: str) -> int:
    """Return a moment in ms since the epoch. Raises ValueError.

    >>> time_ms("2018-04-01"), time_ms("2018-04-01T00:00:00+02:00"), time_ms("1522540800000")
    (1522540800000, 1522533600000, 1522540800000)
    """
    if text.isdigit():
        return int(text)
    moment = datetime.fromisoformat(text)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
