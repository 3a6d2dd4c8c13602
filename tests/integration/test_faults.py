"""Kills, a pause and a rebalance under load: every payment is answered and stored once, every label learned once."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.broker import Broker
from deploy.read_back import read_topic
from schemas.codec import encode
from schemas.learning import PolicyRule
from schemas.settings import Settings
from schemas.topics import DUPLICATES, MODELS, PREDICTIONS
from streams.__main__ import main
from streams.documents import shipped_policy
from tests.bench.audited import ZEROES
from tests.faults.run import run

pytestmark = pytest.mark.kafka

KINDS = ("kill", "pause", "rebalance", "store", "learner")
"""Pauses of store and learner are left to the long run."""
PREFIX = "t-faults."

Recompute = Callable[..., tuple[int, Any]]
"""Arguments of `python -m streams` -> its exit status, and the object it printed, if any."""


@pytest.fixture
def recompute(broker: Broker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Recompute:
    """The command on what the run left behind."""
    monkeypatch.setenv("FRAUD_KAFKA_BOOTSTRAP", broker.bootstrap)
    monkeypatch.setenv("FRAUD_TOPIC_PREFIX", PREFIX)

    def run_command(*arguments: str) -> tuple[int, Any]:
        status = main(list(arguments))
        told = capsys.readouterr().out
        return status, json.loads(told) if told.startswith("{") else None

    return run_command


@pytest.fixture(scope="module")
def outcome(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One run with each kind of fault once, looked at by every test here."""
    data_dir = tmp_path_factory.mktemp("faults")
    return run(data_dir, seconds=0, rate=150, workers=2, seed=4, kinds=KINDS, broker=broker, topic_prefix=PREFIX)


def test_nothing_is_lost_repeated_or_different(outcome: dict[str, Any]) -> None:
    """Topics, store and models hold what the oracles work out from what was published."""
    assert outcome["problems"] == [], outcome["figures"]
    assert outcome["holds"]
    assert [outcome["figures"][name] for name in ZEROES] == [0] * len(ZEROES)


def test_every_kind_of_fault_struck(outcome: dict[str, Any]) -> None:
    """Each kind once, and what was killed was started again.

    Whether the one that slept through its session was fenced, and stopped, or rejoined before it wrote anything, is up
    to what it was doing when it fell asleep.
    """
    figures = json.loads(json.dumps(outcome))["figures"]
    assert figures["faults"] == dict.fromkeys(KINDS, 1)
    assert figures["store_restarted"] == figures["learner_restarted"] == 1
    assert figures["stages_restarted"] >= 1
    assert figures["transactions"] > 1_000
    assert figures["duplicates"] > 10


def test_what_was_decided_under_fire_is_recomputed_to_the_byte(outcome: dict[str, Any], recompute: Recompute) -> None:
    """The command compares every decision, prediction and model of the run, and finds nothing else."""
    status, figures = recompute("recompute", "--all", "--json")
    assert (status, figures["differences"], figures["notes"]) == (0, [], [])
    compared = figures["compared"]
    assert compared[PREDICTIONS.name] == {"equal": outcome["figures"]["predictions"]}
    assert compared[DUPLICATES.name] == {"equal": outcome["figures"]["duplicates"]}
    assert compared[MODELS.name] == {"equal": outcome["figures"]["snapshots"]}
    assert compared["positions and counters"] == {"equal": 24}


def test_one_decision_is_told_beside_what_it_comes_out_as(broker: Broker, recompute: Recompute) -> None:
    """Both sides of one payment, and an id that nobody sent."""
    value = read_topic(Settings(kafka_bootstrap=broker.bootstrap), PREFIX + PREDICTIONS.name)[-1].value()
    transaction_id = json.loads(value)["transaction"]["transaction_id"]
    status, figures = recompute("recompute", "--transaction", transaction_id, "--json")
    assert status == 0
    told = {record["topic"]: record for record in figures["records"]}
    assert told[PREDICTIONS.name]["decided"] == told[PREDICTIONS.name]["recomputed"] == json.loads(value)
    assert recompute("recompute", "--transaction", "tx-nobody")[0] == 2


def test_another_policy_changes_what_it_decides_otherwise(
    outcome: dict[str, Any], recompute: Recompute, tmp_path: Path
) -> None:
    """What if there were one rule more, that always holds? Each decision then has one reason more."""
    rule = PolicyRule(name="all", feature="card_count_1h", at_least=0, action="approve", text="always holds")
    policy = shipped_policy()
    file = tmp_path / "policy.json"
    file.write_bytes(encode(policy.model_copy(update={"rules": (*policy.rules, rule)})))
    status, changed = recompute("recompute", "--all", "--policy", str(file), "--json")
    assert status == 1
    assert changed["decisions_changed"] == outcome["figures"]["predictions"]
    assert any(name.endswith("rule_hits") for name in changed["fields"])


def test_an_archived_state_is_a_beginning(recompute: Recompute, tmp_path: Path) -> None:
    """From where the tasks stand now there is nothing left to decide; a folder that holds something is refused."""
    folder = str(tmp_path / "state")
    assert recompute("archive", folder)[0] == 0
    assert recompute("archive", folder)[0] == 2
    status, figures = recompute("recompute", "--all", "--state", folder, "--json")
    assert (status, figures["compared"]["positions and counters"]) == (0, {"equal": 24})
    assert PREDICTIONS.name not in figures["compared"]
