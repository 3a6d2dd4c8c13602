"""`python -m streams evaluate` on a small file: what it prints, what it writes, and what it refuses."""

import gc
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from streams.__main__ import main

PAYMENTS, DAYS = 900, 12
FIRST_TESTED, LAST_TESTED = "2018-04-06", "2018-04-12"


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve days of payments, of which those over a sum are mostly fraud."""
    chance = random.Random(3)
    rows = ["TRANSACTION_ID,TX_DATETIME,CUSTOMER_ID,TERMINAL_ID,TX_AMOUNT,TX_FRAUD"]
    for number in range(PAYMENTS):
        second = number * DAYS * 86_400 // PAYMENTS
        amount = chance.uniform(1, 300)
        fraud = amount > 270 and chance.random() < 0.9
        moment = f"2018-04-{1 + second // 86_400:02} {second // 3600 % 24:02}:{second // 60 % 60:02}:{second % 60:02}"
        rows.append(f"{number},{moment},{chance.randrange(300)},{chance.randrange(40)},{amount:.2f},{int(fraud)}")
    path = tmp_path_factory.mktemp("recording") / "payments.csv"
    path.write_text("\n".join(rows))
    return path


@pytest.fixture(autouse=True)
def _collected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The command does without the collection of garbage, for the rest of its process; its runs go to a folder."""
    monkeypatch.setenv("FRAUD_DATA_DIR", str(tmp_path))
    yield
    gc.enable()


def _evaluate(recording: Path, *flags: str) -> int:
    days = ["--label-delay-days", "2", "--test-from", FIRST_TESTED, "--test-to", LAST_TESTED]
    return main(["evaluate", str(recording), "--mapping", "handbook", *days, *flags])


def test_it_prints_figures_and_writes_every_score(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Law: the object has the keys that others read, and the rows of the file are the payments in their order."""
    monkeypatch.setenv("FRAUD_SNAPSHOT_RECORDS", "10")
    scores = tmp_path / "scores.parquet"
    assert _evaluate(recording, "--json", "--scores", str(scores), "--segment", "payment_is_night") == 0
    told = json.loads(capsys.readouterr().out)
    assert {"weeks", "overall", "overall_with_known_cards", "segments", "microseconds"} <= told.keys()
    assert [week["from"] for week in told["weeks"]] == [FIRST_TESTED]
    assert told["overall"]["ap"] > told["overall"]["frauds"] / told["overall"]["transactions"]
    assert [each["segment"] for each in told["segments"]["payment_is_night"]] == ["0", "1"]
    rows = pq.read_table(scores).to_pylist()
    assert [row["transaction_id"] for row in rows] == [f"tx-{number}" for number in range(PAYMENTS)]
    assert sum(row["tested"] for row in rows) == told["overall"]["transactions"]
    assert sum(row["fraud"] for row in rows if row["tested"]) == told["overall"]["frauds"]
    assert all(0 <= row["probability"] <= 1 for row in rows)


def test_what_the_model_does_without_is_worth_something(
    recording: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Law: without amounts, which are all there is to find, it ranks far worse; without labels it learns nothing."""
    monkeypatch.setenv("FRAUD_SNAPSHOT_RECORDS", "10")
    told = []
    for flags in ((), ("--without", "payment_amount", "--without", "card_amount", "--without", "merchant_amount")):
        assert _evaluate(recording, "--json", *flags) == 0
        told.append(json.loads(capsys.readouterr().out)["overall"])
    assert told[0]["auc"] > 0.8 > told[1]["auc"]
    assert _evaluate(recording, "--json", "--label-missing", "1") == 0
    assert json.loads(capsys.readouterr().out)["learned"] == 0


def test_it_prints_a_table(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Law: without --json each week, all of them and each segment has its line."""
    assert _evaluate(recording, "--segment", "payment_is_night") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines[1:5]] == [
        f"{FIRST_TESTED} to {LAST_TESTED}", "overall", "with known cards", "payment_is_night",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--segment", "payment_hours"), "no such feature"),
        (("--without", "terminal_"), "no feature's name begins so"),
        (("--label-wrong", "1.5"), "not from 0 to 1"),
    ],
)
def test_what_means_nothing_is_refused(
    recording: Path, flags: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Law: a name or a share that cannot be meant ends it with one line and exit status 2."""
    assert _evaluate(recording, *flags) == 2
    assert said in capsys.readouterr().err
