"""A snapshot as an MLflow model: what it says of a frame, what is told of it, what is refused. Kafka is in memory."""

import json
import subprocess
import sys
from collections.abc import Iterator
from math import inf, nan
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import pytest

from schemas.fields import Features
from schemas.learning import ModelNeeds, PolicyVersion, ScoreMap
from schemas.settings import Settings
from schemas.topics import MODELS, POLICIES, TRAINING, Topic
from streams.__main__ import main
from streams.code_version import code_version
from streams.detector.admission import NotAdmittedError
from streams.detector.decide import InForce, judge
from streams.detector.encode import ENCODER, INPUTS
from streams.detector.stage import Record
from streams.documents import shipped_policy, shipped_rates
from streams.models import command, pyfunc
from tests.house.tree import ROOT
from tests.pure.test_scorer import MODEL, SCORER
from tests.signed import SIGNERS, STRANGER, TRUSTED, record_of

MAP = ScoreMap(acting_pays_at_probability=0.02, points_to_double_the_odds=40.0)
POLICY = PolicyVersion(version="p-2", author="ann", score_map=MAP, model_needs=ModelNeeds(records=0, frauds=0))
OLDER = POLICY.model_copy(update={"version": "p-1", "score_map": ScoreMap()})
FORGED = POLICY.model_copy(update={"version": "p-3", "score_map": ScoreMap()})


class _Logs:
    """Topics in memory, one partition each."""

    records: dict[str, list[Record]]

    def __init__(self, _settings: Settings, _reader: str) -> None:
        self.closed = False

    def bounds(self, topic: Topic, _partition: int) -> tuple[int, int]:
        return 0, len(self.records.get(topic.name, ()))

    def read(self, topic: Topic, _partition: int, start: int = 0) -> Iterator[Record]:
        return iter(self.records.get(topic.name, [])[start:])

    def close(self) -> None:
        self.closed = True


@pytest.fixture(scope="module", autouse=True)
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A registry with a snapshot and three policies, and trusted keys; the path that loading adds to is a copy."""
    trusted = tmp_path_factory.mktemp("trusted")
    (trusted / "learner").mkdir()
    (trusted / "learner" / "learner.pem").write_bytes(SIGNERS["learner"].public_pem)
    policies = [record_of(POLICIES, 0, "p-2", POLICY, at_ms=2), record_of(POLICIES, 1, "p-1", OLDER, at_ms=1),
                record_of(POLICIES, 2, "p-3", FORGED, at_ms=3, signer=STRANGER)]  # fmt: skip
    _Logs.records = {MODELS.name: [record_of(MODELS, 0, MODEL.version, MODEL)], POLICIES.name: policies}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "KafkaLogs", _Logs)
        patch.setattr(command, "trusted_of", lambda _: TRUSTED)
        patch.setenv("FRAUD_TRUSTED_KEYS_DIR", str(trusted))
        patch.setattr(sys, "path", [*sys.path])
        yield trusted


@pytest.fixture(scope="module")
def exported(mlflow: None, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: ARG001 - needs the extra
    """The directory that the command line writes."""
    path = tmp_path_factory.mktemp("exported") / "model"
    assert main(["models", "export", MODEL.version, str(path), "--format", "mlflow"]) == 0
    return path


def _payments(number: int) -> list[Features]:
    """Return payments whose features lie anywhere on and off their grids, some of them not known."""
    chance = Random(7)
    edges = {each.feature: (*each.grid.fine, each.grid.fine[0] - 1, each.grid.fine[-1] + 0.5) for each in INPUTS}
    return [
        {name: chance.choice(among) for name, among in edges.items() if chance.random() < 0.8} for _ in range(number)
    ]


def _said(features: Features, score_map: ScoreMap) -> tuple[float, Any, Any, list[dict[str, Any]]]:
    """Return what a worker says of a payment by the model alone."""
    policy = POLICY.model_copy(update={"score_map": score_map})
    judged = judge(features, InForce(policy, shipped_rates(), SCORER))
    reasons = [reason.model_dump() for reason in judged.reasons]
    return SCORER.log_odds(ENCODER.encode(features)), judged.probability, judged.score, reasons


def _copy(exported: Path, to: Path, **files: bytes) -> str:
    """Return a copy of an exported record in which some files hold something else."""
    for path in exported.rglob("*.json"):
        if path.name in {pyfunc.SNAPSHOT, pyfunc.SEALED}:
            (to / path.name).write_bytes(files.get(path.stem, path.read_bytes()))
    return str(to)


def test_it_says_what_a_worker_says(exported: Path) -> None:
    """Law: log-odds, probability, score and reasons of each row are those of the detector, to the last bit."""
    import mlflow.pyfunc  # noqa: PLC0415 - the extra

    payments = _payments(300)
    frame = pd.DataFrame(payments, columns=[*ENCODER.features], index=range(5, 305)).astype("float64")
    frame["another_column"] = "x"
    said = mlflow.pyfunc.load_model(str(exported)).predict(frame)
    assert list(said.index) == list(frame.index)
    found = list(zip(*(said[name].tolist() for name in ("log_odds", "probability", "score", "reasons")), strict=True))
    assert found == [_said(features, MAP) for features in payments]
    assert len({row[0] for row in found}) > 100
    assert any(len(row[3]) > 1 for row in found)


def test_what_is_not_known_is_left_out(exported: Path) -> None:
    """Law: no column, no number and no finite number are the same: not known."""
    import mlflow.pyfunc  # noqa: PLC0415 - the extra

    model = mlflow.pyfunc.load_model(str(exported))
    hours = [{}, {"payment_hour": nan}, {"payment_hour": inf}, {"payment_hour": -inf}]
    frames = [pd.DataFrame([{"card_count_1h": 6.0, **hour}]) for hour in hours]
    expected = _said({"card_count_1h": 6.0}, MAP)
    assert [tuple(model.predict(frame).iloc[0]) for frame in frames] == [expected] * 4


def test_it_tells_what_it_takes_and_where_it_comes_from(exported: Path) -> None:
    """Law: signature, example, pins and lineage are in the directory; the score map is that of the policy in force."""
    import mlflow.pyfunc  # noqa: PLC0415 - the extra

    model = mlflow.pyfunc.load_model(str(exported))
    assert model.metadata.signature.inputs.input_names() == [*ENCODER.features]
    assert not any(each.required for each in model.metadata.signature.inputs)
    assert model.metadata.signature.outputs.input_names() == ["log_odds", "probability", "score", "reasons"]
    assert len(model.predict(model.input_example)) == 2
    pins = (exported / "requirements.txt").read_text().split()
    assert all("==" in pin for pin in pins)
    assert f"pandas=={pd.__version__}" in pins
    told = model.metadata.metadata
    assert {name: told[name] for name in ("version", "training_offset", "digest", "libraries", "records")} == {
        "version": MODEL.version, "training_offset": 60, "digest": MODEL.digest, "libraries": MODEL.libraries,
        "records": MODEL.records}  # fmt: skip
    assert (told["training_log"], told["model_offset"]) == (f"{TRAINING.name}:0:0-59", 0)
    assert (told["signed_by"], told["policy_version"]) == ("learner", "p-2")
    assert told["exported_by_code_version"] == code_version()
    assert model.model_config == MAP.model_dump()
    again = mlflow.pyfunc.load_model(str(exported), model_config=shipped_policy().score_map.model_dump())
    features = _payments(1)[0]
    assert again.predict(pd.DataFrame([features])).loc[0, "score"] == _said(features, shipped_policy().score_map)[2]


def test_nothing_in_it_is_unpickled(exported: Path) -> None:
    """Law: all of a directory is text, and the record's value is what the learner signed."""
    for path in exported.rglob("*"):
        if path.is_file() and "code" not in path.relative_to(exported).parts:
            path.read_text(encoding="utf-8")
            assert path.suffix in {"", ".json", ".yaml", ".txt"}
    (snapshot,) = exported.rglob(pyfunc.SNAPSHOT)
    assert snapshot.read_bytes() == _Logs.records[MODELS.name][0].value


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({"snapshot": b"{ no snapshot"}, "forged"),
        ({"sealed": b"{ no record"}, "unsigned"),
        ({"sealed": json.dumps({"version": MODEL.version, "offset": 0, "written_at_ms": 1_600_000_000_000,
                                "headers": {}}).encode()}, "unsigned"),
    ],
)  # fmt: skip
def test_what_is_not_signed_is_not_parsed(exported: Path, tmp_path: Path, files: dict[str, bytes], kind: str) -> None:
    """Law: what a snapshot says is looked at only where a trusted learner has signed it."""
    pyfunc._load_pyfunc(_copy(exported, tmp_path), {})
    with pytest.raises(NotAdmittedError) as refused:
        pyfunc._load_pyfunc(_copy(exported, tmp_path, **files), {})
    assert refused.value.kind == kind


def test_a_key_that_is_not_trusted_signs_nothing(
    exported: Path, tmp_path: Path, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: whom to believe is the choice of who loads, and nobody is believed without it."""
    pyfunc.seal(record_of(MODELS, 0, MODEL.version, MODEL, signer=STRANGER), tmp_path)
    with pytest.raises(NotAdmittedError) as refused:
        pyfunc._load_pyfunc(str(tmp_path), {})
    assert refused.value.kind == "unknown_key"
    monkeypatch.delenv("FRAUD_TRUSTED_KEYS_DIR")
    assert environment.is_dir()
    with pytest.raises(Exception, match="FRAUD_TRUSTED_KEYS_DIR is not set"):
        pyfunc._load_pyfunc(_copy(exported, tmp_path), {})


def test_it_needs_nothing_but_its_directory(exported: Path, environment: Path, tmp_path: Path) -> None:
    """Law: another process, which has not got this tree, loads it with the code that is in it."""
    program = (
        "import sys, mlflow.pyfunc, pandas as pd\n"
        f"said = mlflow.pyfunc.load_model({str(exported)!r}).predict(pd.DataFrame([{{'card_count_1h': 6.0}}]))\n"
        "print(said.loc[0, 'log_odds'].hex(), sys.modules['streams'].__file__)\n"
    )
    path = [each for each in sys.path if each and Path(each).resolve() != ROOT]
    variables = {
        "PYTHONPATH": ":".join(path),
        "FRAUD_TRUSTED_KEYS_DIR": str(environment),
        "CI": "true",
        "HOME": str(tmp_path),
    }
    done = subprocess.run([sys.executable, "-c", program], env=variables, cwd=tmp_path, capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    log_odds, file = done.stdout.split()
    assert log_odds == _said({"card_count_1h": 6.0}, MAP)[0].hex()
    assert Path(file).is_relative_to(exported)


def test_what_is_there_is_not_overwritten(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Law: a second export into the same folder is refused in one line, and the first stays."""
    before = sorted(exported.rglob("*"))
    assert main(["models", "export", MODEL.version, str(exported), "--format", "mlflow"]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("models: ")
    assert sorted(exported.rglob("*")) == before


def test_without_the_extra_it_is_said_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Law: one line tells it, nothing is written, and the export as JSON needs no MLflow."""
    monkeypatch.setitem(sys.modules, "mlflow", None)
    for name in ("streams.models.mlflow_model", "mlflow.pyfunc"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert main(["models", "export", MODEL.version, str(tmp_path / "model"), "--format", "mlflow"]) == 2
    said = capsys.readouterr().err
    assert said == "models: --format mlflow needs MLflow: .venv/bin/python -m pip install '.[mlflow]'\n"
    assert not (tmp_path / "model").exists()
    assert main(["models", "export", MODEL.version, str(tmp_path / "model.json")]) == 0
    assert (tmp_path / "model.json").read_bytes() == _Logs.records[MODELS.name][0].value
