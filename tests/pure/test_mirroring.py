"""Recorded runs in an MLflow tracking store: each once, whole, found by its tags; and nothing that waits for it."""

import ast
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.experiment import Cost, Experiment, FileRange, LogRange
from schemas.settings import Settings
from streams.__main__ import main
from streams.experiments import append, recorded
from tests.house.tree import modules, parsed, real_tree

AT_MS = 1_600_000_000_000
HASH = "ab" * 32
MLFLOW = {"streams/models/mirroring.py", "streams/models/mlflow_model.py"}


def _run(number: int, **fields: Any) -> Experiment:
    told = {
        "experiment_id": f"e-{number}",
        "kind": "evaluate",
        "started_at_ms": AT_MS + number,
        "status": "done",
        "configuration": {"cell_step": 0.07, "segment": ("payment_channel",), "promote": True, "days": 60},
        "file": FileRange(name="a.csv", sha256=HASH, file_bytes=10, rows=3, first_event_ms=AT_MS, last_event_ms=AT_MS),
        "code_version": "c-1",
        "libraries": {"river": "1"},
        "metrics": {"overall.ap": 0.1 + 0.2, "overall.cp@100": 0.25},
        "cost": Cost(wall_s=1.5, peak_memory_bytes=2**20),
    }
    return Experiment.model_validate(told | fields)


GATE = _run(2, kind="gate", status="refused", reason="too_few", file=None,
            log=(LogRange(topic="fraud.training.v1", partition=0, first_offset=0, last_offset=41),),
            answer={"version": "m-1", "judged": "m-2"},
            metrics={f"metric_{number}": float(number) for number in range(250)})  # fmt: skip
FAILED = _run(3, kind="rebuild", status="failed", reason="no broker", file=None, metrics={})


@pytest.fixture(scope="module")
def store(mlflow: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:  # noqa: ARG001 - needs the extra
    """A tracking store in this process's memory; artifacts would lie in the working directory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("tracking"))
        yield "sqlite://"


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory with three runs, which the command line finds."""
    monkeypatch.setenv("FRAUD_DATA_DIR", str(tmp_path))
    for run in (_run(1), GATE, FAILED):
        append(tmp_path, run)
    return tmp_path


def _mirror(store: str, experiment: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, int]:
    flags = ["--tracking-uri", store, "--experiment", experiment, "--json"]
    assert main(["models", "experiments", "mirror", *flags]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["experiment"] == experiment
    return told["added"], told["there"]


def _found(store: str, experiment: str) -> dict[str, Any]:
    from mlflow.tracking import MlflowClient  # noqa: PLC0415 - the extra

    client = MlflowClient(tracking_uri=store)
    runs = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    assert len({run.data.tags["fraud.run_id"] for run in runs}) == len(runs)
    return {run.data.tags["fraud.run_id"]: run for run in runs}


def test_each_run_is_there_once_and_whole(store: str, data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Law: figures, settings, data, code, model, status and times of each run are there, however often it is done."""
    assert _mirror(store, "once", capsys) == (3, 0)
    assert _mirror(store, "once", capsys) == (0, 3)
    append(data_dir, _run(4))
    assert _mirror(store, "once", capsys) == (1, 3)
    found = _found(store, "once")
    assert sorted(found) == ["e-1", "e-2", "e-3", "e-4"]
    assert found["e-1"].data.metrics == {"overall.ap": 0.1 + 0.2, "overall.cp_100": 0.25, "cost.wall_s": 1.5,
                                         "cost.peak_memory_bytes": 2.0**20}  # fmt: skip
    assert found["e-1"].data.params == {"cell_step": "0.07", "segment": '["payment_channel"]', "promote": "true",
                                        "days": "60"}  # fmt: skip
    tags = found["e-1"].data.tags
    assert (tags["fraud.data"], tags["fraud.file.rows"], tags["fraud.code_version"]) == (HASH, "3", "c-1")
    assert (tags["fraud.library.river"], tags["fraud.kind"]) == ("1", "evaluate")
    assert (found["e-1"].info.start_time, found["e-1"].info.end_time) == (AT_MS + 1, AT_MS + 1_501)
    gate = found["e-2"]
    assert {name: value for name, value in gate.data.metrics.items() if "cost" not in name} == GATE.metrics
    assert gate.data.tags["fraud.data"] == "fraud.training.v1-0:0-41"
    assert (gate.data.tags["fraud.model_version"], gate.data.tags["fraud.answer.version"]) == ("m-2", "m-1")
    assert (gate.data.tags["fraud.status"], gate.data.tags["fraud.reason"]) == ("refused", "too_few")
    assert [found[name].info.status for name in ("e-1", "e-2", "e-3")] == ["FINISHED", "FINISHED", "FAILED"]


@pytest.mark.parametrize("call", ["log_batch", "set_terminated"])
def test_a_run_that_was_cut_is_completed(
    store: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], call: str
) -> None:
    """Law: wherever a mirror is killed, the next leaves each run there once and whole."""
    from mlflow.tracking import MlflowClient  # noqa: PLC0415 - the extra

    assert data_dir.is_dir()
    works, calls = getattr(MlflowClient, call), 0

    def dies(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return works(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, call, dies)
        with pytest.raises(KeyboardInterrupt):
            _mirror(store, call, capsys)
    added, there = _mirror(store, call, capsys)
    assert (added + there, added > 0) == (3, True)
    found = _found(store, call)
    assert found["e-1"].data.metrics["overall.ap"] == 0.1 + 0.2
    assert sum("cost" not in name for name in found["e-2"].data.metrics) == 250
    assert found["e-2"].info.status == "FINISHED"
    assert sorted(found) == ["e-1", "e-2", "e-3"]


def test_a_run_that_was_deleted_there_stays_so(store: str, data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Law: what a person has taken out of the store is not put back."""
    from mlflow.tracking import MlflowClient  # noqa: PLC0415 - the extra

    assert data_dir.is_dir()
    _mirror(store, "deleted", capsys)
    MlflowClient(tracking_uri=store).delete_run(_found(store, "deleted")["e-3"].info.run_id)
    assert _mirror(store, "deleted", capsys) == (0, 3)
    assert sorted(_found(store, "deleted")) == ["e-1", "e-2"]


def test_a_store_that_is_none_is_said_in_a_line(
    mlflow: None,  # noqa: ARG001 - needs the extra
    data_dir: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Law: the command ends with one line, in which no password stands."""
    assert data_dir.is_dir()
    assert main(["models", "experiments", "mirror", "--tracking-uri", "gopher://ann:pass-word-1@host/a"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("experiments: ")
    assert said.count("\n") == 1
    assert "pass-word-1" not in said


def test_without_the_extra_it_is_said_what_to_install(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Law: one line tells it; runs are recorded all the same."""
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.delitem(sys.modules, "streams.models.mirroring", raising=False)
    with recorded(Settings(data_dir=data_dir), "gate", {}):
        pass
    assert main(["models", "experiments", "mirror"]) == 2
    assert capsys.readouterr().err == "experiments: mirror needs MLflow: .venv/bin/python -m pip install '.[mlflow]'\n"
    assert main(["models", "experiments", "list"]) == 0
    assert "gate" in capsys.readouterr().out


def test_mlflow_is_imported_only_where_it_is_used() -> None:
    """Law: two modules import MLflow, and these only from within a function: no process starts slower or needs it."""
    importing, eager = set[str](), list[str]()
    for path, source in modules(real_tree(), "schemas", "producers", "streams", "consumers", "deploy"):
        if "mlflow" not in source and "mirroring" not in source:
            continue
        tree = parsed(source)
        inside = {id(node) for each in ast.walk(tree) if isinstance(each, ast.FunctionDef) for node in ast.walk(each)}
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            importing |= {path for name in names if name.split(".")[0] == "mlflow"}
            ours = {f"{name.replace('.', '/')}.py" for name in names} & MLFLOW
            eager += [path] if ours and id(node) not in inside else []
    assert importing == MLFLOW
    assert eager == []
