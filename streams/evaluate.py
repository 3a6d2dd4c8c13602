"""`python -m streams evaluate`: its flags, what it runs, and what it says."""

import argparse
import gc
import json
import sys
from datetime import date
from pathlib import Path
from typing import Any

from schemas.fields import DAY_MS
from schemas.recordings.mapping import RecordingError
from schemas.settings import Settings
from streams.documents import shipped_rates
from streams.label_faults import LabelFaults

_COLUMNS = (("auc", "AUC"), ("ap", "AP"), ("cp100", "CP@100"), ("cp100_ceiling", "at most"),
            ("recall_decile", "top 10%"), ("value_recall100", "value@100"), ("log_loss", "log loss"),
            ("calibration", "said/was"))  # fmt: skip
"""The figures of the table: what each is called in the object, and above its column."""


def add_flags(commands: Any) -> None:
    """Add the command to those of a parser."""
    evaluate = commands.add_parser("evaluate", help="what the model's scores are worth on a recording, without Kafka")
    evaluate.add_argument("file", type=Path, metavar="FILE", help="CSV or Parquet, in order of time, with labels")
    evaluate.add_argument("--mapping", required=True, help="a shipped name (handbook) or a TOML file: column to field")
    evaluate.add_argument("--test-from", type=date.fromisoformat, metavar="DATE", help="(default: after five weeks)")
    evaluate.add_argument("--test-to", type=date.fromisoformat, metavar="DATE", help="(default: the last day)")
    evaluate.add_argument("--json", action="store_true", help="print the figures as one object")
    evaluate.add_argument("--scores", type=Path, metavar="FILE", help="write each payment's score and truth (Parquet)")
    evaluate.add_argument(
        "--segment", action="append", default=[], metavar="FEATURE", help="figures by its values, or tenths; repeatable"
    )
    evaluate.add_argument(
        "--without", action="append", default=[], metavar="BEGINNING", help="hide features so named from the model"
    )
    labels = evaluate.add_argument_group("labels, as the model learns them; the truth stays")
    labels.add_argument("--label-delay-days", type=int, default=7, metavar="DAYS", help="(default 7)")
    labels.add_argument("--label-missing", type=float, default=0.0, metavar="SHARE", help="never come (default 0)")
    labels.add_argument("--label-wrong", type=float, default=0.0, metavar="SHARE", help="say the opposite (default 0)")
    labels.add_argument("--label-seed", type=int, default=1, metavar="N", help="draws both (default 1)")


def run(flags: argparse.Namespace, settings: Settings) -> int:
    """Evaluate and print; return the exit status: 0 done, 2 the input or a flag is wrong."""
    # Here, because only an evaluation needs pandas, which takes a second and a half to import.
    from tqdm import tqdm  # noqa: PLC0415

    from schemas.recordings import recording  # noqa: PLC0415
    from schemas.recordings.file_to_rows import read_frames, read_mapping  # noqa: PLC0415
    from streams.file_to_quality import WARM_UP_DAYS, Costs, cost_figures, score_all  # noqa: PLC0415
    from streams.quality.figures import figures_of, tested_of, tested_weeks  # noqa: PLC0415
    from streams.quality_to_parquet import write_scores  # noqa: PLC0415

    if wrong := _unknown(flags.segment, flags.without):
        return _refused(wrong)
    gc.disable()
    costs = Costs()
    try:
        faults = LabelFaults(flags.label_missing, flags.label_wrong, flags.label_seed)
        mapping = read_mapping(flags.mapping)
        cases = recording.cases(read_frames(flags.file, mapping), mapping, flags.label_delay_days * DAY_MS)
        with tqdm(unit=" transactions", unit_scale=True, disable=None) as bar:
            scored = score_all(
                cases,
                shipped_rates(),
                kept_one_in=settings.legitimate_kept_one_in,
                snapshot_records=settings.snapshot_records,
                costs=costs,
                columns=flags.segment,
                without=flags.without,
                faults=faults,
                progress=bar.update,
            )
    except (RecordingError, ValueError) as error:
        return _refused(str(error))
    if not len(scored.days):
        return _refused(f"{flags.file}: holds no payments")
    first = day_of(flags.test_from) if flags.test_from else int(scored.days[0]) + WARM_UP_DAYS
    last = day_of(flags.test_to) if flags.test_to else int(scored.days[-1])
    days = {"first_day": first, "last_day": last, "delay_days": flags.label_delay_days}
    figures = {**figures_of(scored, **days, segments=flags.segment), **cost_figures(costs)}
    if flags.scores:
        try:
            write_scores(scored, tested_of(scored, tested_weeks(scored, **days)), flags.scores)
        except OSError as error:
            return _refused(f"{flags.scores}: {error.strerror}")
    sys.stdout.write((json.dumps(figures) if flags.json else _told(figures)) + "\n")
    return 0


def _unknown(segments: list[str], beginnings: list[str]) -> str | None:
    """Return what names no feature, or nothing."""
    from streams.detector.features import FEATURES  # noqa: PLC0415 - a worker's command line does not need them

    names = [feature.name for feature in FEATURES]
    for name in segments:
        if name not in names:
            return f"--segment {name}: there is no such feature"
    for beginning in beginnings:
        if not any(name.startswith(beginning) for name in names):
            return f"--without {beginning}: no feature's name begins so"
    return None


def _refused(why: str) -> int:
    sys.stderr.write(f"{why}\n")
    return 2


def day_of(day: date) -> int:
    """Return the days since 1970.

    >>> day_of(date(2018, 6, 15))
    17697
    """
    return (day - date(1970, 1, 1)).days


def _told(figures: dict[str, Any]) -> str:
    names = "".join(f"{title:>10}" for _, title in _COLUMNS)
    lines = [f"{'week':24} transactions  frauds{names}"]
    rows = [(f"{week['from']} to {week['to']}", week) for week in figures["weeks"]]
    rows += [("overall", figures["overall"]), ("with known cards", figures["overall_with_known_cards"])]
    for name, segments in figures["segments"].items():
        rows += [(name, None), *((f"  {each['segment']}", each) for each in segments)]
    for name, row in rows:
        lines.append(name if row is None else _row(name, row))
    sure = figures["overall"]["intervals"]
    lines.append("95 % intervals, overall: " + ", ".join(f"{name} {_span(*sure[key])}" for key, name in _COLUMNS))
    costs = figures["microseconds"]
    lines.append("microseconds: " + ", ".join(f"{name} {value}" for name, value in costs.items()))
    return "\n".join(lines)


def _row(name: str, row: dict[str, Any]) -> str:
    told = "".join(f"{'-' if row[key] is None else format(row[key], '.3f'):>10}" for key, _ in _COLUMNS)
    return f"{name:24} {row['transactions']:12,} {row['frauds']:7,}{told}"


def _span(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"{low:.3f} to {high:.3f}"
