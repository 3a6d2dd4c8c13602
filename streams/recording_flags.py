"""The flags of commands that read a recording: which file, how it is read, what is tested, what labels say. Pure."""

import argparse
from datetime import date

NAMES = (
    "file",
    "mapping",
    "test_from",
    "test_to",
    "label_delay_days",
    "label_missing",
    "label_wrong",
    "label_seed",
)
"""Of a recorded run's configuration, these are its flags."""


def add_recording_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags to a command's."""
    parser.add_argument("file", metavar="FILE", help="CSV or Parquet, in order of time, with labels")
    parser.add_argument("--mapping", required=True, help="a shipped name (handbook) or a TOML file: column to field")
    parser.add_argument("--test-from", type=date.fromisoformat, metavar="DATE", help="(default: after five weeks)")
    parser.add_argument("--test-to", type=date.fromisoformat, metavar="DATE", help="(default: the last day)")
    labels = parser.add_argument_group("labels, as the model learns them; the truth stays")
    labels.add_argument("--label-delay-days", type=int, default=7, metavar="DAYS", help="(default 7)")
    labels.add_argument("--label-missing", type=float, default=0.0, metavar="SHARE", help="never come (default 0)")
    labels.add_argument("--label-wrong", type=float, default=0.0, metavar="SHARE", help="say the opposite (default 0)")
    labels.add_argument("--label-seed", type=int, default=1, metavar="N", help="draws both (default 1)")
