"""`python -m streams evaluate`: its flags, what it runs, and what it says."""

import argparse
import gc
import json
import sys
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.fields import DAY_MS
from schemas.settings import Settings
from streams.documents import shipped_rates
from streams.experiments import Run, file_range, reason_of, recorded
from streams.label_faults import LabelFaults
from streams.models.comparing import metrics_of
from streams.recording_flags import NAMES, add_recording_flags

if TYPE_CHECKING:  # what these need takes long to import
    from schemas.recordings.stream import Case
    from streams.detector.learner import Kind
    from streams.quality.figures import Scored

_COLUMNS = (("auc", "AUC"), ("ap", "AP"), ("cp100", "CP@100"), ("cp100_ceiling", "at most"),
            ("recall_decile", "top 10%"), ("value_recall100", "value@100"), ("log_loss", "log loss"),
            ("calibration", "said/was"))  # fmt: skip
"""The figures of the table: what each is called in the object, and above its column."""


def add_flags(commands: Any) -> None:
    """Add the command to those of a parser."""
    evaluate = commands.add_parser("evaluate", help="what the model's scores are worth on a recording, without Kafka")
    add_recording_flags(evaluate)
    evaluate.add_argument("--json", action="store_true", help="print the figures as one object")
    evaluate.add_argument("--scores", type=Path, metavar="FILE", help="write each payment's score and truth (Parquet)")
    evaluate.add_argument(
        "--segment", action="append", default=[], metavar="FEATURE", help="figures by its values, or tenths; repeatable"
    )
    evaluate.add_argument(
        "--without", action="append", default=[], metavar="BEGINNING", help="hide features so named from the model"
    )


def run(flags: argparse.Namespace, settings: Settings) -> int:
    """Evaluate and print; return the exit status: 0 done, 2 the input or a flag is wrong."""
    configuration = configuration_of(flags, settings) | {
        name: getattr(flags, name) or None for name in ("segment", "without")
    }
    try:
        with recorded(settings, "evaluate", configuration) as run_:
            figures = _evaluated(flags, settings, run_)
            run_.metrics = metrics_of(figures)
    except (ValueError, OSError) as error:
        return refused(error)
    sys.stdout.write((json.dumps(figures) if flags.json else _told(figures)) + "\n")
    return 0


def _evaluated(flags: argparse.Namespace, settings: Settings, run_: Run) -> dict[str, Any]:
    """Return the figures, and write the scores where that is asked.

    Raises
    ------
    ValueError
        The recording cannot be read or holds nothing, or a flag means nothing.
    OSError
        The file cannot be read.
    """
    # Here, because only an evaluation needs pandas, which takes a second and a half to import.
    from streams.file_to_quality import Costs, cost_figures  # noqa: PLC0415
    from streams.quality.figures import figures_of, tested_of, tested_weeks  # noqa: PLC0415
    from streams.quality_to_parquet import write_scores  # noqa: PLC0415

    if wrong := _unknown(flags.segment, flags.without):
        raise ValueError(wrong)
    costs = Costs()
    scored = scored_of(flags, settings, run_, costs=costs, columns=flags.segment, without=flags.without)
    days = days_of(flags, scored)
    figures = {**figures_of(scored, **days, segments=flags.segment), **cost_figures(costs)}
    if flags.scores:
        try:
            write_scores(scored, tested_of(scored, tested_weeks(scored, **days)), flags.scores)
        except OSError as error:
            raise ValueError(f"{flags.scores}: {error.strerror}") from None
    return figures


def configuration_of(flags: argparse.Namespace, settings: Settings, kind: "Kind | None" = None) -> dict[str, Any]:
    """Return what a run over a recording is recorded with: its flags, settings, and those of a kind of learner."""
    from streams.detector.learner import MIXTURE  # noqa: PLC0415 - a worker that decides does not need River
    from streams.models.grid import settings_of  # noqa: PLC0415 - as above

    return {
        **{name: getattr(flags, name) for name in NAMES},
        "legitimate_kept_one_in": settings.legitimate_kept_one_in,
        "snapshot_records": settings.snapshot_records,
        **settings_of(kind or MIXTURE),
    }


def scored_of(flags: argparse.Namespace, settings: Settings, run_: Run, **asked: Any) -> "Scored":
    """Run the recording that the flags name through the detector, as `score_all` is asked; tell the run what was read.

    Raises
    ------
    ValueError
        The recording cannot be read or holds no payments, or a flag means nothing.
    OSError
        The file cannot be read.
    """
    from tqdm import tqdm  # noqa: PLC0415

    from schemas.recordings import recording  # noqa: PLC0415
    from schemas.recordings.file_to_rows import read_frames, read_mapping  # noqa: PLC0415
    from streams.file_to_quality import score_all  # noqa: PLC0415

    gc.disable()
    faults = LabelFaults(flags.label_missing, flags.label_wrong, flags.label_seed)
    mapping, path = read_mapping(flags.mapping), Path(flags.file)
    run_.file = file_range(path)
    cases = recording.cases(read_frames(path, mapping), mapping, flags.label_delay_days * DAY_MS)
    with tqdm(unit=" transactions", unit_scale=True, disable=None) as bar:
        scored = score_all(
            _noted(cases, run_),
            shipped_rates(),
            kept_one_in=settings.legitimate_kept_one_in,
            snapshot_records=settings.snapshot_records,
            faults=faults,
            progress=bar.update,
            **asked,
        )
    if not len(scored.days):
        raise ValueError(f"{path}: holds no payments")
    return scored


def _noted(cases: "Iterable[Case]", run_: Run) -> "Iterator[Case]":
    """Give the cases, and tell the run how many there were, and from when to when; also of a part of them."""
    rows, first_ms, last_ms = 0, None, None
    try:
        for case in cases:
            last_ms = case.transaction.event_time_ms
            rows, first_ms = rows + 1, last_ms if first_ms is None else first_ms
            yield case
    finally:
        if run_.file:
            update = {"rows": rows, "first_event_ms": first_ms, "last_event_ms": last_ms}
            run_.file = run_.file.model_copy(update=update)


def days_of(flags: argparse.Namespace, scored: "Scored") -> dict[str, int]:
    """Return what is tested, as `figures_of` takes it: days since 1970, and how late labels come."""
    from streams.file_to_quality import WARM_UP_DAYS  # noqa: PLC0415 - as above

    first = day_of(flags.test_from) if flags.test_from else int(scored.days[0]) + WARM_UP_DAYS
    last = day_of(flags.test_to) if flags.test_to else int(scored.days[-1])
    return {"first_day": first, "last_day": last, "delay_days": flags.label_delay_days}


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


def refused(error: Exception) -> int:
    """Say in one line what is wrong with the input or a flag; return the exit status for that."""
    sys.stderr.write(f"{reason_of(error)}\n")
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
