"""`python -m streams models experiments mirror`: recorded runs to an MLflow tracking store, each once.

The log of experiments stays what counts: it is read here and never waited for, so that no run that records itself
depends on MLflow. A run there is known by its tag `fraud.run_id`. It is open until all is written, and one that a
crash left open is completed by the next mirror.
"""

import fcntl
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

import mlflow
from mlflow.entities import Metric, Param, RunStatus, RunTag, ViewType
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from schemas.experiment import Experiment, Setting
from streams.models.extra import MlflowError

RUN_ID = "fraud.run_id"
BATCH = 100
"""Most figures, parameters or tags that MLflow takes in one call."""
PAGE = 1_000
STATUS = {"done": "FINISHED", "refused": "FINISHED", "failed": "FAILED"}
"""A run that was refused did come to its end: what the answer was says the tag `fraud.status`."""
Kind = TypeVar("Kind")
NOT_IN_NAMES = re.compile(r"[^\w.\- :]")


class Mirrored(NamedTuple):
    """How many runs were written now, and how many had been before."""

    added: int
    there: int


def mirror(data_dir: Path, runs: Sequence[Experiment], tracking_uri: str | None, experiment: str) -> Mirrored:
    """Write to an experiment of a tracking store whatever runs it has not; without a URI, to where MLflow is set to.

    Of several mirrors of one data directory one goes on at a time.

    Raises
    ------
    MlflowError
        The store cannot be reached, or refuses. What was written by then stays.
    """
    uri = tracking_uri or mlflow.get_tracking_uri()
    try:
        with _alone(data_dir):
            return _mirror(MlflowClient(tracking_uri=uri), runs, experiment)
    except MlflowException as error:
        raise MlflowError(_without_password(error.message, uri)) from None


def _mirror(client: MlflowClient, runs: Sequence[Experiment], name: str) -> Mirrored:
    found = client.get_experiment_by_name(name)
    to = found.experiment_id if found else client.create_experiment(name)
    there = dict(_there(client, to))
    added = 0
    for run in runs:
        mlflow_id, whole = there.get(run.experiment_id, (None, False))
        if not whole:
            _write(client, mlflow_id or _begun(client, to, run), run)
            added += 1
    return Mirrored(added, len(runs) - added)


def _there(client: MlflowClient, experiment_id: str) -> Iterator[tuple[str, tuple[str, bool]]]:
    """Give each mirrored run with its id in the store, and whether it is whole; those that were deleted there, too."""
    token: str | None = None
    while token != "":
        page = client.search_runs([experiment_id], "", ViewType.ALL, PAGE, page_token=token)
        for each in page:
            if RUN_ID in each.data.tags:
                whole = each.info.status != RunStatus.to_string(RunStatus.RUNNING)
                yield each.data.tags[RUN_ID], (each.info.run_id, whole)
        token = page.token or ""


def _begun(client: MlflowClient, to: str, run: Experiment) -> str:
    begun = client.create_run(to, run.started_at_ms, {RUN_ID: run.experiment_id}, f"{run.kind} {run.experiment_id}")
    return str(begun.info.run_id)


def _write(client: MlflowClient, mlflow_id: str, run: Experiment) -> None:
    ended_at_ms = run.started_at_ms + round(run.cost.wall_s * 1_000)
    figures = {**run.metrics, **{f"cost.{name}": float(value) for name, value in run.cost.model_dump().items()}}
    for part in _parts([Metric(_name(name), value, ended_at_ms, 0) for name, value in figures.items()]):
        client.log_batch(mlflow_id, metrics=part)
    for part in _parts([Param(_name(name), _text(value)) for name, value in run.configuration.items()]):
        client.log_batch(mlflow_id, params=part)
    for part in _parts([RunTag(_name(name), value) for name, value in tags_of(run).items()]):
        client.log_batch(mlflow_id, tags=part)
    client.set_terminated(mlflow_id, STATUS[run.status], ended_at_ms)


def tags_of(run: Experiment) -> dict[str, str]:
    """Return what a run is found by: its kind and status, the code, the data and the model that it was about."""
    told = {
        "kind": run.kind,
        "status": run.status,
        "reason": run.reason,
        "code_version": run.code_version,
        "data": run.data,
        "model_version": run.answer.get("judged") or run.answer.get("version"),
        **{f"file.{name}": value for name, value in (run.file.model_dump() if run.file else {}).items()},
        **{f"library.{name}": value for name, value in run.libraries.items()},
        **{f"answer.{name}": value for name, value in run.answer.items()},
    }
    return {f"fraud.{name}": str(value) for name, value in told.items() if value not in {None, ""}}


def _parts(values: Sequence[Kind]) -> Iterator[Sequence[Kind]]:
    for first in range(0, len(values), BATCH):
        yield values[first : first + BATCH]


def _text(value: Setting) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _name(name: str) -> str:
    return NOT_IN_NAMES.sub("_", name)


@contextmanager
def _alone(data_dir: Path) -> Iterator[None]:
    """Wait for other mirrors of a data directory. The lock is on the folder: who appends a run locks the file."""
    folder = os.open(data_dir, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _without_password(text: str, tracking_uri: str) -> str:
    """Return what MLflow says of a failure in one line, without the password in the store's address."""
    password = urlsplit(tracking_uri).password
    return " ".join((text.replace(password, "[removed]") if password else text).split())
