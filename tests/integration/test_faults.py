"""A short fault run: every payment is answered and stored once, every label learned once; and its audit sees damage."""

import json
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from consumers.warehouse import open_warehouse
from deploy.broker import Broker
from deploy.keys import Keys
from schemas.codec import encode
from schemas.learning import PolicyRule
from schemas.settings import Settings
from schemas.topics import DECISIONS, DUPLICATES, MODELS, PREDICTIONS, Topic
from streams.__main__ import main
from streams.documents import shipped_policy
from tests.all_topics import Topics, read_all
from tests.bench.audited import audited_store
from tests.faults.report import ZEROES, table_of
from tests.faults.run import SNAPSHOT_RECORDS, run
from tests.oracle import audit

pytestmark = pytest.mark.kafka

KINDS = ("kill-point", "pause", "store-point", "learner-point", "poison", "duplicate", "late")
"""The others are left to the long run."""
PREFIX = "t-faults."

Recompute = Callable[..., tuple[int, Any]]
"""Arguments of `python -m streams` -> its exit status, and the object it printed, if any."""


@pytest.fixture
def recompute(
    broker: Broker, data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Recompute:
    """The command on what the run left behind."""
    monkeypatch.setenv("FRAUD_KAFKA_BOOTSTRAP", broker.bootstrap)
    monkeypatch.setenv("FRAUD_TOPIC_PREFIX", PREFIX)
    monkeypatch.setenv("FRAUD_TRUSTED_KEYS_DIR", str(Keys(data_dir / "keys").trusted_dir))

    def run_command(*arguments: str) -> tuple[int, Any]:
        status = main(list(arguments))
        told = capsys.readouterr().out
        return status, json.loads(told) if told.startswith("{") else None

    return run_command


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="module")
def outcome(broker: Broker, data_dir: Path) -> dict[str, Any]:
    """One run with each kind of fault once, looked at by every test here."""
    chosen: dict[str, Any] = {"seconds": 0, "rate": 150, "workers": 2, "seed": 4, "rest_s": (0.5, 1.5)}
    return run(data_dir, kinds=KINDS, broker=broker, topic_prefix=PREFIX, **chosen)


@pytest.fixture(scope="module")
def settings(outcome: dict[str, Any], broker: Broker, data_dir: Path) -> Settings:
    """What the run was given, to look at what it left."""
    assert outcome
    return Settings(
        kafka_bootstrap=broker.bootstrap,
        topic_prefix=PREFIX,
        data_dir=data_dir / "store",
        snapshot_records=SNAPSHOT_RECORDS,
    )


@pytest.fixture(scope="module")
def topics(settings: Settings) -> Topics:
    """What the run wrote."""
    return read_all(settings)


def test_nothing_is_lost_repeated_or_different(outcome: dict[str, Any]) -> None:
    """Topics, store and models hold what the oracles work out from what was published."""
    assert outcome["problems"] == [], outcome["figures"]
    assert outcome["holds"]
    assert [outcome["figures"][name] for name in ZEROES] == [0] * len(ZEROES)


def test_every_kind_of_fault_struck(outcome: dict[str, Any]) -> None:
    """Each kind once, what was killed was started again, and each is told with the pauses it led to.

    Whether the one that slept through its session was fenced, and stopped, or rejoined before it wrote anything, is up
    to what it was doing when it fell asleep.
    """
    figures = json.loads(json.dumps(outcome))["figures"]
    assert figures["faults"] == dict.fromkeys(KINDS, 1)
    assert figures["store_restarted"] == figures["learner_restarted"] == 1
    assert figures["stages_restarted"] >= 1
    assert figures["transactions"] > 1_000
    assert min(figures["duplicates"], figures["refused"]) > 10
    assert table_of(outcome).count("\n") == len(KINDS) + 2
    assert all(len(each["pause_s_by_partition"]) == 12 for each in outcome["faults"])


def test_what_was_decided_under_fire_is_recomputed_to_the_byte(outcome: dict[str, Any], recompute: Recompute) -> None:
    """The command compares every decision, prediction and model of the run, and finds nothing else."""
    status, figures = recompute("recompute", "--all", "--json")
    assert (status, figures["differences"], figures["notes"]) == (0, [], [])
    compared = figures["compared"]
    assert compared[PREDICTIONS.name] == {"equal": outcome["figures"]["predictions"]}
    assert compared[DUPLICATES.name] == {"equal": outcome["figures"]["duplicates"]}
    assert compared[MODELS.name] == {"equal": outcome["figures"]["snapshots"]}
    assert compared["positions and counters"] == {"equal": 24}


def test_one_decision_is_told_beside_what_it_comes_out_as(topics: Topics, recompute: Recompute) -> None:
    """Both sides of one payment, and an id that nobody sent."""
    value = topics[PREDICTIONS][-1].value()
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


def copy(message: Any, value: bytes) -> Any:
    """Return a record with another value."""
    names = ("key", "headers", "timestamp", "partition", "offset")
    return SimpleNamespace(value=lambda: value, **{name: getattr(message, name) for name in names})


def without_the_last(messages: list[Any]) -> list[Any]:
    last = _answers(messages)[-1]
    return [each for each in messages if each is not last]


def with_the_last_twice(messages: list[Any]) -> list[Any]:
    return [*messages, _answers(messages)[-1]]


def with_another_feature(messages: list[Any]) -> list[Any]:
    changed = json.loads(messages[-1].value())
    changed["features"]["card_count_24h"] += 1
    return [*messages[:-1], copy(messages[-1], json.dumps(changed).encode())]


def with_another_action(messages: list[Any]) -> list[Any]:
    last = _answers(messages)[-1]
    changed = json.loads(last.value())
    changed["action"] = "block" if changed["action"] == "approve" else "approve"
    return [each if each is not last else copy(last, json.dumps(changed).encode()) for each in messages]


def without_a_marker(messages: list[Any]) -> list[Any]:
    return messages[:-1]


def _answers(messages: list[Any]) -> list[Any]:
    return [each for each in messages if json.loads(each.value())["action"] != "invalid"]


@pytest.mark.parametrize(
    ("topic", "damage", "figure"),
    [
        (DECISIONS, without_the_last, "lost"),
        (DECISIONS, with_the_last_twice, "repeated"),
        (PREDICTIONS, with_another_feature, "differing"),
        (DECISIONS, with_another_action, "differing"),
        (DUPLICATES, without_a_marker, "differing"),
    ],
)
def test_the_audit_sees_damage_in_a_topic(
    settings: Settings, topics: Topics, topic: Topic, damage: Callable[[list[Any]], list[Any]], figure: str
) -> None:
    """An answer that is missing, there twice or different, one feature of one prediction, a repeat that is not told."""
    figures = audit(settings, {**topics, topic: damage(topics[topic])}).figures()
    assert figures[figure] >= 1, figures


@pytest.mark.parametrize(
    ("statement", "figures"),
    [
        ("UPDATE amount_minor = amount_minor + 1", {"stored_differing", "figures_differing"}),
        ("UPDATE features = mapUpdate(features, map('card_count_1h', 99.))", {"stored_differing"}),
        ("DELETE", {"stored_missing", "figures_differing"}),
    ],
)
def test_the_audit_sees_damage_in_the_store(
    settings: Settings, topics: Topics, tmp_path: Path, statement: str, figures: set[str]
) -> None:
    """A row of a view that is changed or missing, and the figures that follow from it."""
    # Databases are links beside their tables: a copy that follows them holds none.
    shutil.copytree(settings.data_dir, tmp_path / "store", symlinks=True)
    damaged = settings.model_copy(update={"data_dir": tmp_path / "store"})
    identity = json.loads(topics[PREDICTIONS][-1].value())["transaction"]["transaction_id"]
    where = f"WHERE transaction_id = '{identity}' SETTINGS mutations_sync = 1"
    with closing(open_warehouse(damaged)) as warehouse:
        warehouse.execute(f"ALTER TABLE predictions {statement} {where}")
    found = audited_store(damaged, topics)
    names = ("stored_missing", "stored_repeated", "stored_differing", "figures_differing")
    assert {name for name in names if getattr(found, name)} == figures, found
