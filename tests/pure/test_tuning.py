"""`python -m streams models tune` on a small recording: settings are what they say, each is a run."""

import gc
import json
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import numpy as np
import pytest

from producers.world import cases
from schemas.fields import DAY_MS
from streams.__main__ import main
from streams.detector import growing, learner
from streams.detector.backtest import Backtest
from streams.detector.learner import MIXTURE, Kind
from streams.detector.noted import Noted
from streams.detector.regression import Steps
from streams.documents import shipped_rates
from streams.experiments import read
from streams.file_to_quality import Costs, score_all
from streams.models.grid import TUNABLE, grid_of, kinds_of, settings_of
from tests.kept_quality import FIRST_DAY, WORLD

HEAD = "TRANSACTION_ID,TX_DATETIME,CUSTOMER_ID,TERMINAL_ID,TX_AMOUNT,TX_FRAUD"


@pytest.fixture(autouse=True)
def _soon_grown(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Trees grow early and are few; the command does without the collection of garbage."""
    monkeypatch.setattr(learner, "GROWTH_RECORDS_MIN", 60)
    monkeypatch.setattr(learner, "FRAUDS_MIN", 3)
    monkeypatch.setattr(growing, "TREES", 3)
    yield
    gc.enable()


@pytest.fixture
def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve days in the form of the Handbook, in which every ninth payment is dear and fraud."""
    monkeypatch.setenv("FRAUD_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("FRAUD_SNAPSHOT_RECORDS", "20")
    rows = [HEAD]
    for number in range(480):
        day, hour, minute = 1 + number // 40, number % 40 // 2, number % 2 * 30
        amount, fraud = (250 + number % 40, 1) if number % 9 == 0 else (5 + number % 200, 0)
        rows.append(f"{number},2018-04-{day:02} {hour:02}:{minute:02}:00,{number % 77},{number % 13},{amount},{fraud}")
    path = tmp_path / "payments.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def _tune(recording: Path, *flags: str) -> int:
    days = ["--label-delay-days", "2", "--test-from", "2018-04-06"]
    return main(["models", "tune", str(recording), "--mapping", "handbook", *days, *flags])


@pytest.mark.parametrize(
    "kind", [MIXTURE, Kind(cell_steps=Steps(0.2, power=0.1)), Kind(trees=(("max_depth", 2),)), Kind(growth=2.0)]
)
def test_folding_what_was_noted_is_a_backtest(kind: Kind) -> None:
    """Law: for any kind the scores are to the bit those of a detector that learned so from the start."""
    small = [*takewhile(lambda case: case.transaction.event_time_ms < (FIRST_DAY + 6) * DAY_MS, cases(WORLD))]
    noted = Noted(shipped_rates(), kept_one_in=3, snapshot_records=20)
    unscored = score_all(small, shipped_rates(), costs=Costs(), backtest=noted, kept_one_in=3, snapshot_records=20)
    theirs = Backtest(shipped_rates(), kept_one_in=3, snapshot_records=20, kind=kind)
    scored = score_all(small, shipped_rates(), costs=Costs(), backtest=theirs, kept_one_in=3, snapshot_records=20)
    assert not unscored.scores.any()
    assert len(np.unique(scored.scores)) > 100
    assert noted.log_odds(kind).tolist() == scored.scores.tolist()
    assert unscored.ids == scored.ids


def test_each_setting_is_tried_recorded_and_ordered(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Law: one run a setting, the present ones among them, best first, and each with its own figures."""
    grid = ["--grid", "cell_step=0.01,0.5", "--grid", "tree_depth=1"]
    for by, sign in (("log_loss", 1), ("ap", -1)):
        assert _tune(recording, *grid, "--by", by, "--json") == 0
        told = json.loads(capsys.readouterr().out)
        figures = [sign * each[by] for each in told["settings"]]
        assert figures == sorted(figures)
        assert told["best"] == told["settings"][0]
        assert len({each["log_loss"] for each in told["settings"]}) == 3
    runs, _ = read(recording.parent)
    assert [run.kind for run in runs] == ["tune"] * 6
    tried = {each["experiment_id"]: each for each in told["settings"]}
    for run in runs[3:]:
        assert run.metrics["overall.log_loss"] == tried[run.experiment_id]["log_loss"]
        assert run.configuration["cell_step"] == tried[run.experiment_id]["configuration"]["cell_step"]
        assert (run.status, run.file and run.file.rows, len({run.data for run in runs})) == ("done", 480, 1)
    present = [each for each in told["settings"] if each["present"]]
    assert [each["configuration"] for each in present] == [settings_of(MIXTURE)]
    assert (present[0]["ap_difference"], present[0]["ap_difference_interval"]) == (0, [0, 0])


def test_an_evaluation_is_the_present_setting(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Law: `evaluate` finds for the learner what `tune` finds for its present settings, on the same data."""
    assert _tune(recording, "--grid", "growth=0.25") == 0
    lines = capsys.readouterr().out.splitlines()
    assert (len(lines), lines[1][0]) == (3, "*")
    days = ["--label-delay-days", "2", "--test-from", "2018-04-06"]
    assert main(["evaluate", str(recording), "--mapping", "handbook", *days]) == 0
    tuned, evaluated = read(recording.parent)[0]
    assert evaluated.kind == "evaluate"
    assert tuned.metrics["overall.ap"] == evaluated.metrics["overall.ap"]
    assert tuned.metrics["overall.log_loss"] == evaluated.metrics["overall.log_loss"]
    assert tuned.configuration == evaluated.configuration
    assert (tuned.data, tuned.code_version) == (evaluated.data, evaluated.code_version)
    assert "microseconds.predict" in evaluated.metrics


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        ("steps=1", "there is no such setting"),
        ("growth=1,much", "'much' is no number"),
        ("tree_depth=2.5", "is no whole number"),
        ("tree_depth=7", "7 is not from 1 to 6"),
        ("cell_step=nan", "nan is not from 0 to 10"),
        ("growth", "'' is no number"),
    ],
)
def test_a_grid_that_means_nothing_is_refused(
    recording: Path, grid: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Law: before the recording is read it ends with one line and exit status 2."""
    assert _tune(recording, "--grid", grid) == 2
    assert said in capsys.readouterr().err
    assert read(recording.parent) == ([], [])


@pytest.mark.parametrize("command", ["evaluate", "tune"])
def test_a_recording_that_cannot_be_read_is_a_failed_run(
    recording: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Law: the run has its reason, and how far the file was read; a file that is not there is one line, too."""
    with recording.open("a") as file:
        file.write("481,no time,1,1,5,0\n")
    action = ["evaluate"] if command == "evaluate" else ["models", "tune"]
    for path in (recording, recording.with_name("none.csv")):
        assert main([*action, str(path), "--mapping", "handbook"]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    cut, missing = read(recording.parent)[0]
    assert (cut.kind, cut.status, cut.file and cut.file.rows) == (command, "failed", 480)
    assert "row 481" in (cut.reason or "")
    assert (missing.status, missing.file) == ("failed", None)
    assert (missing.reason or "").endswith("none.csv: No such file or directory")


def test_every_setting_changes_what_it_names() -> None:
    """Law: a row of the table is read as it was put, and changes no other; a grid tries nothing twice."""
    for name, row in TUNABLE.items():
        value = 3 if row.whole else 0.625
        changed = settings_of(row.put(MIXTURE, value))
        assert changed == settings_of(MIXTURE) | {name: value}
    grid = grid_of(["growth=0.25,0.5,0.5", "tree_depth=5,4"])
    kinds = kinds_of(grid)
    assert len(kinds) == len({json.dumps(settings_of(kind)) for kind in kinds}) == 4
    with pytest.raises(ValueError, match="twice"):
        grid_of(["growth=1", "growth=2"])
