"""`python -m streams models experiments`: lists recorded runs, compares some, and mirrors them to MLflow."""

import argparse
import json
import sys

from schemas.experiment import Experiment
from schemas.settings import Settings
from streams.experiments import FILE, read, reason_of
from streams.models.comparing import compared_told, comparison, listed
from streams.models.extra import MlflowError, with_mlflow

DONE, WRONG = 0, 2


def run(flags: argparse.Namespace, settings: Settings) -> int:
    """List, compare or mirror; return the exit status: 0 done, 2 there is no such run, or it cannot be done."""
    try:
        runs, wrong = read(settings.data_dir)
    except OSError as error:
        sys.stderr.write(f"{settings.data_dir / FILE}: {error.strerror}\n")
        return WRONG
    for line in wrong:
        sys.stderr.write(f"{line}\n")
    return _LOOKS[flags.looking](flags, settings, runs)


def _list(flags: argparse.Namespace, _settings: Settings, runs: list[Experiment]) -> int:
    chosen = [run for run in runs if flags.kind in {None, run.kind}]
    chosen = chosen[max(0, len(chosen) - flags.last) :]
    if flags.json:
        told = json.dumps({"experiments": [run.model_dump(mode="json") for run in chosen]})
    else:
        told = listed(chosen)
    sys.stdout.write(told + "\n")
    return DONE


def _compare(flags: argparse.Namespace, _settings: Settings, runs: list[Experiment]) -> int:
    by_id = {run.experiment_id: run for run in runs}
    ids = [flags.first, *flags.others]
    if missing := [each for each in ids if each not in by_id]:
        sys.stderr.write(f"experiments: there is no run {missing[0]}\n")
        return WRONG
    found = comparison([by_id[each] for each in ids])
    sys.stdout.write((json.dumps(found) if flags.json else compared_told(found)) + "\n")
    return DONE


def _mirror(flags: argparse.Namespace, settings: Settings, runs: list[Experiment]) -> int:
    name = flags.experiment or settings.application_id
    try:
        with with_mlflow("mirror"):
            # Here, because MLflow takes seconds to import, and is an extra.
            from streams.models.mirroring import mirror  # noqa: PLC0415
        added, there = mirror(settings.data_dir, runs, flags.tracking_uri, name)
    except (MlflowError, OSError) as error:
        sys.stderr.write(f"experiments: {reason_of(error)}\n")
        return WRONG
    told = {"experiment": name, "added": added, "there": there}
    words = f"experiment {name}: {added} runs added, {there} were there"
    sys.stdout.write((json.dumps(told) if flags.json else words) + "\n")
    return DONE


_LOOKS = {"list": _list, "compare": _compare, "mirror": _mirror}
