"""`python -m streams models experiments`: lists recorded runs, and compares some."""

import argparse
import json
import sys

from schemas.experiment import Experiment
from schemas.settings import Settings
from streams.experiments import FILE, read
from streams.models.comparing import compared_told, comparison, listed

DONE, WRONG = 0, 2


def run(flags: argparse.Namespace, settings: Settings) -> int:
    """List or compare; return the exit status: 0 done, 2 there is no such run, or the file cannot be read."""
    try:
        runs, wrong = read(settings.data_dir)
    except OSError as error:
        sys.stderr.write(f"{settings.data_dir / FILE}: {error.strerror}\n")
        return WRONG
    for line in wrong:
        sys.stderr.write(f"{line}\n")
    return _compare(flags, runs) if flags.looking == "compare" else _list(flags, runs)


def _list(flags: argparse.Namespace, runs: list[Experiment]) -> int:
    chosen = [run for run in runs if flags.kind in {None, run.kind}]
    chosen = chosen[max(0, len(chosen) - flags.last) :]
    if flags.json:
        told = json.dumps({"experiments": [run.model_dump(mode="json") for run in chosen]})
    else:
        told = listed(chosen)
    sys.stdout.write(told + "\n")
    return DONE


def _compare(flags: argparse.Namespace, runs: list[Experiment]) -> int:
    by_id = {run.experiment_id: run for run in runs}
    ids = [flags.first, *flags.others]
    if missing := [each for each in ids if each not in by_id]:
        sys.stderr.write(f"experiments: there is no run {missing[0]}\n")
        return WRONG
    found = comparison([by_id[each] for each in ids])
    sys.stdout.write((json.dumps(found) if flags.json else compared_told(found)) + "\n")
    return DONE
