"""The log of experiments: each run in a line, whatever crashes beside it, nothing secret in it, what is told of it."""

import json
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaException
from pydantic import ValidationError

from schemas.codec import DecodeFailure, decode, encode
from schemas.experiment import Cost, Experiment, FileRange, LogRange
from schemas.settings import Settings
from schemas.topics import MODELS, TRAINING
from streams.__main__ import main
from streams.detector.learner import libraries
from streams.experiments import FILE, Run, append, file_range, log_ranges, read, recorded
from streams.models.comparing import comparison

AT_MS = 1_600_000_000_000
HASH = "ab" * 32


def _experiment(number: int, **fields: Any) -> Experiment:
    told = {
        "experiment_id": f"e-{number}",
        "kind": "evaluate",
        "started_at_ms": AT_MS + number,
        "status": "done",
        "configuration": {"cell_step": 0.07, "segment": ("payment_channel",), "promote": True, "days": 60},
        "file": FileRange(name="a.csv", sha256=HASH, file_bytes=10, rows=3, first_event_ms=AT_MS, last_event_ms=AT_MS),
        "code_version": "c-1",
        "libraries": {"river": "1"},
        "metrics": {"overall.ap": 0.5, "overall.log_loss": 0.01},
        "cost": Cost(wall_s=1.5, peak_memory_bytes=2**20),
    }
    return Experiment.model_validate(told | fields)


def _failed(settings: Settings, told: Run, error: Exception) -> None:
    """Record a run that tells this and then fails."""
    with suppress(type(error)), recorded(settings, "gate", told.configuration) as run:
        run.log, run.answer = told.log, told.answer
        raise error


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "made" / "data")


@pytest.fixture
def in_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory that the command line finds."""
    monkeypatch.setenv("FRAUD_DATA_DIR", str(tmp_path))
    return tmp_path


def test_a_run_is_the_same_after_it_was_written_and_read(tmp_path: Path) -> None:
    """Law: what is written is read back, field for field; runs stand in the order in which they ended."""
    runs = [_experiment(1), _experiment(2, file=None, log=(LogRange(topic="t", partition=0, first_offset=3,
            last_offset=2),), status="failed", reason="no", kind="gate")]  # fmt: skip
    for run in runs:
        append(tmp_path, run)
    assert read(tmp_path) == (runs, [])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kind", "guess"),
        ("status", "perhaps"),
        ("metrics", {"overall.ap": float("nan")}),
        ("reason", "4111 1111 1111 1111"),
        ("configuration", {"grid": {"nested": 1}}),
        ("cost", {"wall_s": -1.0, "peak_memory_bytes": 1}),
        ("file", {"name": "a", "sha256": "short", "file_bytes": 1}),
    ],
)
def test_what_is_no_run_is_refused(name: str, value: Any) -> None:
    """Law: the contract refuses what it does not name, and figures that are none."""
    with pytest.raises(ValidationError):
        _experiment(1, **{name: value})
    assert isinstance(decode(Experiment, b'{"kind": "evaluate"}'), DecodeFailure)


def test_a_cut_line_is_passed_over_and_said(tmp_path: Path) -> None:
    """Law: wherever a crash cuts the last line, all whole ones are read, and the next run begins a line of its own."""
    append(tmp_path, _experiment(1))
    whole = (tmp_path / FILE).read_bytes()
    for cut in (1, len(whole) // 2, len(whole) - 2):
        (tmp_path / FILE).write_bytes(whole + whole[:cut])
        runs, wrong = read(tmp_path)
        assert [run.experiment_id for run in runs] == ["e-1"]
        assert len(wrong) == 1
        assert f"{FILE}:2" in wrong[0]
        append(tmp_path, _experiment(2))
        runs, wrong = read(tmp_path)
        assert [run.experiment_id for run in runs] == ["e-1", "e-2"]
        assert len(wrong) == 1


def test_writers_do_not_mix(tmp_path: Path) -> None:
    """Law: of many writers at once each run is a whole line, and only appended: what was there stays as it was."""
    append(tmp_path, _experiment(0))
    before = (tmp_path / FILE).read_bytes()
    long = {f"metric_{number}": float(number) for number in range(2_000)}

    def write(first: int) -> None:
        for number in range(first, first + 20):
            append(tmp_path, _experiment(number, metrics=long))

    writers = [threading.Thread(target=write, args=(first,)) for first in (100, 200, 300)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    runs, wrong = read(tmp_path)
    assert wrong == []
    written = {run.experiment_id for run in runs}
    assert written == {"e-0", *(f"e-{first + number}" for first in (100, 200, 300) for number in range(20))}
    assert (tmp_path / FILE).read_bytes().startswith(before)


def test_a_run_tells_what_it_did_by_which_code_and_at_what_cost(settings: Settings) -> None:
    """Law: configuration without what was not given, figures, answer, code, libraries and cost are in the line."""
    with recorded(settings, "gate", {"challenger": "cells", "version": None, "days": 60, "wait": float("inf")}) as run:
        run.metrics, run.answer = {"ap": 0.25}, {"version": "m-1"}
    (found,), _ = read(settings.data_dir)
    assert found.experiment_id == run.experiment_id
    assert (found.kind, found.status, found.reason) == ("gate", "done", None)
    assert found.configuration == {"challenger": "cells", "days": 60, "wait": "inf"}
    assert (found.metrics, found.answer, found.libraries) == ({"ap": 0.25}, {"version": "m-1"}, libraries())
    assert found.cost.peak_memory_bytes > 2**20
    assert found.code_version


@pytest.mark.parametrize(
    ("error", "reason"),
    [(ValueError("row 7: is\nwrong"), "row 7: is wrong"), (KeyboardInterrupt(), "KeyboardInterrupt"),
     (ValueError("4111-1111-1111-1111 " + "x" * 2_000), "[card number removed] xxx")],
)  # fmt: skip
def test_a_run_that_fails_is_recorded_and_fails(settings: Settings, error: BaseException, reason: str) -> None:
    """Law: the exception goes on its way, and its reason stands in one line."""
    with pytest.raises(type(error)), recorded(settings, "rebuild", {}):
        raise error
    (found,), _ = read(settings.data_dir)
    assert found.status == "failed"
    assert (found.reason or "").startswith(reason)


def test_no_secret_is_written(settings: Settings) -> None:
    """Law: whatever an error or a flag quotes of them, passwords, keys and the store's address are not in the file."""
    words = ["pass-word-1", "web-hook-2", "key-word-3", "click-word-4"]
    known = Settings(
        data_dir=settings.data_dir,
        kafka_security_protocol="sasl_ssl",
        kafka_username="operator",
        kafka_password=words[0],
        alert_webhook_url=words[1],
        alert_webhook_key=words[2],
        clickhouse_url=words[3],
    )
    run = Run({"version": words[0]}, answer={"text": words[1]})
    _failed(known, run, ValueError(f"refused {' '.join(words)}"))
    line = (settings.data_dir / FILE).read_text()
    assert [word for word in words if word in line] == []


def test_what_cannot_be_recorded_is_said_and_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Law: a run whose line cannot be written goes on, and its command says so in one line."""
    (tmp_path / "data").write_text("a file where the directory should be")
    with recorded(Settings(data_dir=tmp_path / "data"), "evaluate", {}):
        pass
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "evaluate is not recorded" in said


class _Logs:
    """Two partitions of each topic, of which only the bounds are asked."""

    def partitions(self, _topic: object) -> int:
        return 2

    def bounds(self, _topic: object, partition: int) -> tuple[int, int]:
        return 5 * partition, 10 * partition


def test_data_is_known_by_its_content_and_its_place(tmp_path: Path) -> None:
    """Law: a file is its bytes and not its name, a log its offsets; without either nothing is said to be equal."""
    for name, content in (("a", "same"), ("b", "same"), ("c", "other")):
        (tmp_path / name).write_text(content)
    one, same, other = (_experiment(1, file=file_range(tmp_path / name)) for name in "abc")
    assert one.data == same.data != other.data
    ranges = log_ranges(_Logs(), [TRAINING])  # type: ignore[arg-type]
    assert [(each.partition, each.first_offset, each.last_offset) for each in ranges] == [(0, 0, -1), (1, 5, 9)]
    later = ranges[1].model_copy(update={"last_offset": 10})
    assert _experiment(1, file=None, log=ranges).data != _experiment(1, file=None, log=(ranges[0], later)).data
    assert comparison([one, same])["equal"]["data"] is True
    assert comparison([one, other])["equal"]["data"] is False
    assert comparison([one, _experiment(2, file=None)])["equal"]["data"] is None


def test_comparing_tells_what_differs(in_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Law: settings that differ are named with all values; figures have differences from the first run's."""
    append(in_data, _experiment(1))
    changed = {"cell_step": 0.1, "segment": ("payment_channel",), "promote": True, "days": 60}
    cost = Cost(wall_s=2.0, peak_memory_bytes=2**20)
    append(in_data, _experiment(2, configuration=changed, metrics={"overall.ap": 0.75}, code_version="c-2", cost=cost))
    assert main(["models", "experiments", "compare", "e-1", "e-2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["configuration"] == {"cell_step": [0.07, 0.1]}
    assert found["equal"] == {"data": True, "code": False, "libraries": True}
    assert found["metrics"]["overall.ap"] == {"values": [0.5, 0.75], "differences": [0.0, 0.25]}
    assert found["metrics"]["overall.log_loss"] == {"values": [0.01, None], "differences": [0.0, None]}
    assert found["cost"]["wall_s"]["differences"] == [0.0, 0.5]
    assert main(["models", "experiments", "compare", "e-1", "e-2"]) == 0
    told = capsys.readouterr().out
    assert "0.75 (+0.25)" in told
    assert ["code", "differs"] in [line.split() for line in told.splitlines()]
    assert main(["models", "experiments", "compare", "e-1", "e-9"]) == 2
    assert "there is no run e-9" in capsys.readouterr().err


def test_listing_shows_the_last_runs(in_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Law: the last so many of a kind, oldest first; what is wrong with the file goes to stderr."""
    assert main(["models", "experiments", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"experiments": []}
    for number in range(5):
        append(in_data, _experiment(number, kind="tune" if number % 2 else "gate"))
    append(in_data, _experiment(9, status="failed", reason="row 7: is wrong"))
    with (in_data / FILE).open("ab") as file:
        file.write(encode(_experiment(10))[:50])
    assert main(["models", "experiments", "list", "--kind", "gate", "--last", "2", "--json"]) == 0
    said = capsys.readouterr()
    assert [each["experiment_id"] for each in json.loads(said.out)["experiments"]] == ["e-2", "e-4"]
    assert said.err.count("\n") == 1
    assert main(["models", "experiments", "list", "--last", "1"]) == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["id", "started", "(UTC)"]
    assert line.split()[:5] == ["e-9", "2020-09-13", "12:26:40", "evaluate", "failed"]
    assert line.endswith("row 7: is wrong")
    assert main(["models", "experiments", "list", "--last", "0"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments", [["promote", "m-1"], ["rollback"], ["follow"], ["rebuild"], ["gate", "cells"]], ids=lambda it: it[0]
)
def test_a_command_that_cannot_be_asked_is_recorded(
    arguments: list[str], in_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Law: each action that changes or judges leaves a run, also where it ends before Kafka was reached."""
    assert main(["models", *arguments]) == 2
    (run,), _ = read(in_data)
    assert (run.kind, run.status) == (arguments[0], "failed")
    assert "FRAUD_TRUSTED_KEYS_DIR is not set" in (run.reason or "")
    assert run.configuration.get("application_id") == "fraud"
    assert "FRAUD_TRUSTED_KEYS_DIR" in capsys.readouterr().err


def test_a_look_leaves_no_run(in_data: Path) -> None:
    """Law: who only looks does nothing that would be recorded."""
    assert main(["models", "list"]) == 2
    assert read(in_data) == ([], [])


def test_an_error_of_the_broker_is_told_without_numbers(settings: Settings) -> None:
    """Law: the reason of a failed run is what the command says."""
    assert Run({}).experiment_id != Run({}).experiment_id
    ranges = log_ranges(_Logs(), [MODELS])  # type: ignore[arg-type]
    _failed(settings, Run({}, log=ranges), KafkaException(_Refusal()))
    (found,), _ = read(settings.data_dir)
    assert (found.reason, len(found.log)) == ("not yours", 2)


class _Refusal:
    def str(self) -> str:
        return "not yours"
