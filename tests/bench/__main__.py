"""`python -m tests.bench NAME [--json]`: an acceptance figure; the last line holds figures, bounds and `holds`."""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.bench import bad_input, hot_merchant, live, pipeline, replay


def main() -> int:
    """Run one benchmark; exit 0 when its bounds hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    names = parser.add_subparsers(dest="name", required=True)
    for name, module in (
        ("pipeline", pipeline), ("live", live), ("replay", replay), ("hot-merchant", hot_merchant),
        ("bad-input", bad_input),
    ):  # fmt: skip
        bench = names.add_parser(name, help=(module.__doc__ or "").partition("\n")[0])
        bench.add_argument("--json", action="store_true", help="print only the JSON object")
        if name in {"pipeline", "replay"}:
            bench.add_argument("--workers", type=int, default=1)
        if name == "pipeline":
            bench.add_argument("--transactions", type=int, default=200_000)
        if name == "hot-merchant":
            bench.add_argument("--events", type=int, default=1_000_000)
        if name == "live":
            bench.add_argument("--seconds", type=float, default=120)
            bench.add_argument("--rate", type=float, default=200)
        if name == "replay":
            bench.add_argument("--input", type=Path, help="default: first-3-days.csv in $HANDBOOK_DATA")
            bench.add_argument("--mapping", default="handbook")
            bench.add_argument("--label-delay", default="1d")
    flags = parser.parse_args()
    figures = _run(flags)
    if not flags.json:
        sys.stdout.write("".join(f"{name}: {value}\n" for name, value in figures.items()))
    sys.stdout.write(json.dumps(figures) + "\n")
    return 0 if figures["holds"] else 1


def _run(flags: argparse.Namespace) -> dict[str, Any]:
    if flags.name == "pipeline":
        return pipeline.run(transactions=flags.transactions, workers=flags.workers)
    if flags.name == "live":
        return live.run(seconds=flags.seconds, rate=flags.rate)
    if flags.name == "hot-merchant":
        return hot_merchant.run(events=flags.events)
    if flags.name == "bad-input":
        with tempfile.TemporaryDirectory(prefix="fraud-bad-input-") as data_dir:
            return bad_input.run(Path(data_dir))
    recording = flags.input or Path(os.environ.get("HANDBOOK_DATA", "")) / "first-3-days.csv"
    if not recording.is_file():
        sys.exit(f"{recording} is no file: pass --input FILE, or set HANDBOOK_DATA to the data set's folder")
    return replay.run(recording, workers=flags.workers, label_delay=flags.label_delay, mapping=flags.mapping)


if __name__ == "__main__":
    sys.exit(main())
