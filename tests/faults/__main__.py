"""`python -m tests.faults [--json]`: a live system under faults; the last line holds figures, bounds and `holds`."""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.faults.disk import in_own_namespace
from tests.faults.plan import KINDS, NAMES, kinds_of
from tests.faults.report import table_of
from tests.faults.run import run


def main() -> int:
    """Run once; exit 0 when nothing was lost, repeated or different."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="".join(f"{kind.asked_as:<10}  {kind.victim}: {kind.does}\n" for kind in KINDS.values()),
    )
    parser.add_argument("--seconds", type=float, default=90, help="how long payments come (default 90)")
    parser.add_argument("--rate", type=float, default=200, metavar="TPS", help="transactions per second (default 200)")
    parser.add_argument("--workers", type=int, default=2, help="worker processes (default 2)")
    parser.add_argument("--seed", type=int, default=1, help="of the plan and of the payments (default 1)")
    parser.add_argument(
        "--faults", type=_kinds, default=tuple(KINDS), metavar="NAME,...", help=f"of {', '.join(NAMES)} (default all)"
    )
    parser.add_argument("--secure", action="store_true", help="with TLS, a user for each process, and its rights only")
    parser.add_argument("--data", type=Path, metavar="DIR", help="keep data and logs here (default: removed)")
    parser.add_argument("--json", action="store_true", help="print only the JSON object")
    flags = parser.parse_args()
    if "disk" in flags.faults:
        in_own_namespace("tests.faults")

    def say(line: str) -> None:
        if not flags.json:
            sys.stderr.write(f"{line}\n")

    with tempfile.TemporaryDirectory(prefix="fraud-faults-") as temporary:
        report = run(
            flags.data or Path(temporary),
            seconds=flags.seconds,
            rate=flags.rate,
            workers=flags.workers,
            seed=flags.seed,
            kinds=flags.faults,
            secure=flags.secure,
            say=say,
        )
    if not flags.json:
        sys.stdout.write(table_of(report))
        sys.stdout.write("".join(f"{name}: {value}\n" for name, value in report["figures"].items()))
        sys.stdout.write("".join(f"problem: {problem}\n" for problem in report["problems"]))
    sys.stdout.write(json.dumps(report) + "\n")
    return 0 if report["holds"] else 1


def _kinds(text: str) -> tuple[str, ...]:
    names = NAMES if text == "all" else text.split(",")
    if unknown := [name for name in names if name not in NAMES]:
        raise argparse.ArgumentTypeError(f"no fault is named {', '.join(unknown)}")
    return kinds_of(names)


if __name__ == "__main__":
    sys.exit(main())
