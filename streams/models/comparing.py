"""Recorded runs for people: a line each, and several side by side. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from schemas.experiment import Experiment

HEADLINE = {"AP": ("overall.ap", "ap"), "log loss": ("overall.log_loss",)}
"""Figures of a run's line, and the names that runs of different kinds have for them."""
MIB = 2**20
NAME_CHARACTERS = 42
ABSENT = "-"


def metrics_of(figures: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers in some figures by their names, those of a group behind a dot; an interval has two.

    What is no number, or none that is finite, is left out, and so are lists: they are of weeks, bins and segments.

    >>> metrics_of({"overall": {"ap": 0.5, "auc": None, "intervals": {"ap": [0.4, 0.6]}}, "weeks": [{"ap": 0.1}]})
    {'overall.ap': 0.5, 'overall.intervals.ap.low': 0.4, 'overall.intervals.ap.high': 0.6}
    """
    return dict(_numbers(figures, ""))


def _numbers(value: Any, name: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, Mapping):
        for part, held in value.items():
            yield from _numbers(held, f"{name}.{part}" if name else part)
    elif isinstance(value, list | tuple) and len(value) == 2:
        for end, held in zip(("low", "high"), value, strict=True):
            if not isinstance(held, Mapping):
                yield from _numbers(held, f"{name}.{end}")
    elif isinstance(value, int | float) and isfinite(value):
        yield name, float(value)


def listed(runs: Sequence[Experiment]) -> str:
    """Return a table, a line for each run."""
    heads = "".join(f"{title:>10}" for title in HEADLINE)
    lines = [f"{'id':15}{'started (UTC)':21}{'kind':10}{'status':9}{heads}{'seconds':>10}{'MiB':>7}  of what"]
    for run in runs:
        figures = "".join(f"{_figure(_headline(run.metrics, names)):>10}" for names in HEADLINE.values())
        cost = f"{run.cost.wall_s:10.1f}{run.cost.peak_memory_bytes / MIB:7.0f}"
        lines.append(
            f"{run.experiment_id:15}{_moment(run.started_at_ms):21}{run.kind:10}{run.status:9}{figures}{cost}"
            f"  {run.reason or _what(run)}"
        )
    return "\n".join(lines)


def comparison(runs: Sequence[Experiment]) -> dict[str, Any]:
    """Return what differs between runs: the first is what the others are compared with.

    `equal` says of data, code and libraries whether all runs have the same, None where one has no data;
    `configuration` holds what is not the same in all; `differences` are those of metrics and cost from the first run.
    """
    base = runs[0]
    names = list(dict.fromkeys(name for run in runs for name in run.metrics))
    parts = sorted({name for run in runs for name in run.configuration})
    settings = {name: [run.configuration.get(name) for run in runs] for name in parts}
    return {
        "runs": [
            {name: getattr(run, name) for name in ("experiment_id", "kind", "started_at_ms", "status", "reason")}
            for run in runs
        ],
        "equal": {
            "data": len({run.data for run in runs}) == 1 if all(run.data for run in runs) else None,
            "code": len({run.code_version for run in runs}) == 1,
            "libraries": all(run.libraries == base.libraries for run in runs),
        },
        "configuration": {name: values for name, values in settings.items() if not _same(values)},
        "metrics": {name: _compared([run.metrics.get(name) for run in runs]) for name in names},
        "cost": {
            name: _compared([float(getattr(run.cost, name)) for run in runs])
            for name in ("wall_s", "peak_memory_bytes")
        },
    }


def compared_told(found: Mapping[str, Any]) -> str:
    """Return a comparison as a table: a column for each run; behind a figure, how it differs from the first run's.

    Intervals of figures are left out: who needs them has the object.
    """
    runs = found["runs"]
    lines = [_row("", [run["experiment_id"] for run in runs])]
    lines += [_row(name, [run[name] for run in runs]) for name in ("kind", "status")]
    lines.append(_row("started (UTC)", [_moment(run["started_at_ms"]) for run in runs]))
    lines += [f"{name:{NAME_CHARACTERS}}{_SAME[same]}" for name, same in found["equal"].items()]
    lines += [_row(name, [ABSENT if each is None else str(each) for each in values])
              for name, values in found["configuration"].items()]  # fmt: skip
    figured = {name: figures for name, figures in found["metrics"].items() if ".intervals." not in name}
    for name, figures in (figured | found["cost"]).items():
        pairs = zip(figures["values"], figures["differences"], strict=True)
        lines.append(_row(name, [_with_difference(value, difference) for value, difference in pairs]))
    return "\n".join(lines)


_SAME = {True: "equal", False: "differs", None: "not known of all"}


def _compared(values: list[float | None]) -> dict[str, list[float | None]]:
    base = values[0]
    return {
        "values": values,
        "differences": [None if base is None or each is None else round(each - base, 9) for each in values],
    }


def _with_difference(value: float | None, difference: float | None) -> str:
    return _figure(value) + (f" ({difference:+.6g})" if difference else "")


def _same(values: Sequence[Any]) -> bool:
    return all(each == values[0] for each in values)


def _row(name: str, values: Sequence[str]) -> str:
    return f"{name:{NAME_CHARACTERS}}" + "".join(f"{value:<28}" for value in values).rstrip()


def _headline(metrics: Mapping[str, float], names: Sequence[str]) -> float | None:
    return next((metrics[name] for name in names if name in metrics), None)


def _figure(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.6g}"


def _what(run: Experiment) -> str:
    """Return what a run was about: its file, or whom it put in force or judged."""
    about = (run.file.name if run.file else None, run.configuration.get("challenger"), run.answer.get("version"))
    return " ".join(str(each) for each in about if each)


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
