"""`python -m streams models tune`: the champion's learner by other settings, over a recording; it changes nothing."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from schemas.settings import Settings
from streams.detector.learner import MIXTURE, Kind
from streams.detector.noted import Noted
from streams.documents import shipped_rates
from streams.evaluate import configuration_of, days_of, refused, scored_of
from streams.experiments import Run, recorded
from streams.file_to_quality import Costs
from streams.models.comparing import metrics_of
from streams.models.grid import grid_of, kinds_of, settings_of
from streams.quality.figures import Scored, figures, rounded, tested_of, tested_weeks
from streams.quality.ranking import Flags, Ranking
from streams.quality.resampling import compared

DONE = 0
BEST_FIRST = {"log_loss": 1.0, "ap": -1.0}
"""What settings are ordered by, and the sign by which the best comes first."""


class _Recording(NamedTuple):
    """What all settings are tried on: payments with what is to be scored and learned, and what of them is tested."""

    noted: Noted
    scored: Scored
    tested: Flags
    read: Run


def run(flags: argparse.Namespace, settings: Settings) -> int:
    """Try each setting and print them, the best first; return the exit status: 0 done, 2 input or a flag is wrong."""
    try:
        kinds = kinds_of(grid_of(flags.grid))
        tried = _tried(flags, settings, kinds)
    except (ValueError, OSError) as error:
        return refused(error)
    tried.sort(key=lambda each: inf if each[flags.by] is None else BEST_FIRST[flags.by] * each[flags.by])
    told = {"by": flags.by, "best": tried[0], "settings": tried}
    sys.stdout.write((json.dumps(told) if flags.json else _table(tried, flags.by)) + "\n")
    return DONE


def _tried(flags: argparse.Namespace, settings: Settings, kinds: Sequence[Kind]) -> list[dict[str, Any]]:
    recording = _read(flags, settings)
    said: list[Scored] = []
    tried = []
    for kind in tqdm(kinds, unit=" settings", disable=None):
        with recorded(settings, "tune", configuration_of(flags, settings, kind)) as run_:
            run_.file = recording.read.file
            said.append(replace(recording.scored, scores=np.array(recording.noted.log_odds(kind))))
            found = {"overall": figures(said[-1], recording.tested), **_beside(said[-1], said[0], recording.tested)}
            run_.metrics = metrics_of(found)
        tried.append(
            {
                "experiment_id": run_.experiment_id,
                "present": kind == MIXTURE,
                "configuration": settings_of(kind),
                **{name: found["overall"][name] for name in BEST_FIRST},
                **{name: value for name, value in found.items() if name != "overall"},
            }
        )
        del said[1:]
    return tried


def _read(flags: argparse.Namespace, settings: Settings) -> _Recording:
    """Return the recording with all that does not depend on what is learned; where that fails, so does one run."""
    asked = {"kept_one_in": settings.legitimate_kept_one_in, "snapshot_records": settings.snapshot_records}
    noted, read = Noted(shipped_rates(), **asked), Run({})
    try:
        scored = scored_of(flags, settings, read, costs=Costs(), backtest=noted)
    except (ValueError, OSError):
        with recorded(settings, "tune", configuration_of(flags, settings)) as failed:
            failed.file = read.file
            raise
    weeks = tested_weeks(scored, **days_of(flags, scored))
    return _Recording(noted, scored, tested_of(scored, weeks), read)


def _beside(ours: Scored, present: Scored, tested: Flags) -> dict[str, Any]:
    """Return by how much average precision is above that of the present settings, and its paired interval, by card."""
    frauds = ours.frauds[tested]
    if not frauds.any():
        return {"ap_difference": None, "ap_difference_interval": [None, None]}
    one, other = (Ranking(each.scores[tested], frauds) for each in (ours, present))
    found = compared(one, other, ours.cards[tested])
    return {
        "ap_difference": rounded(found.difference),
        "ap_difference_interval": [*map(rounded, found.difference_interval)],
    }


def _table(tried: Sequence[dict[str, Any]], by: str) -> str:
    names = list(tried[0]["configuration"])
    varied = [name for name in names if len({each["configuration"][name] for each in tried}) > 1]
    heads = "".join(f"{name:>16}" for name in varied)
    lines = [f"  {'id':15}{heads}{'log loss':>11}{'AP':>9}  AP beside * (95 %)"]
    for each in tried:
        values = "".join(f"{_told(each['configuration'][name]):>16}" for name in varied)
        low, high = each["ap_difference_interval"]
        beside = "" if each["present"] or low is None else f"{each['ap_difference']:+.4f} ({low:+.4f} to {high:+.4f})"
        figure = f"{_told(each['log_loss']):>11}{_told(each['ap']):>9}"
        lines.append(f"{'*' if each['present'] else ' '} {each['experiment_id']:15}{values}{figure}  {beside}".rstrip())
    best = ", ".join(f"{name} {_told(tried[0]['configuration'][name])}" for name in varied) or "the present settings"
    lines.append(f"best by {by}: {best}; * is what the learner has, and keeps")
    return "\n".join(lines)


def _told(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"
