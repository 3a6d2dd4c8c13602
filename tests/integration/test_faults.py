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
from schemas.settings import Settings
from schemas.topics import DECISIONS, PREDICTIONS, Topic
from tests.all_topics import Topics, read_all
from tests.bench.audited import audited_store
from tests.faults.report import ZEROES, table_of
from tests.faults.run import SNAPSHOT_RECORDS, run
from tests.oracle import audit

pytestmark = pytest.mark.kafka

KINDS = ("kill-point", "pause", "store-point", "learner-point", "poison", "duplicate", "late")
"""The others are left to the long run."""
PREFIX = "t-faults."


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


def _answers(messages: list[Any]) -> list[Any]:
    return [each for each in messages if json.loads(each.value())["action"] != "invalid"]


@pytest.mark.parametrize(
    ("topic", "damage", "figure"),
    [
        (DECISIONS, without_the_last, "lost"),
        (DECISIONS, with_the_last_twice, "repeated"),
        (PREDICTIONS, with_another_feature, "differing"),
        (DECISIONS, with_another_action, "differing"),
    ],
)
def test_the_audit_sees_damage_in_a_topic(
    settings: Settings, topics: Topics, topic: Topic, damage: Callable[[list[Any]], list[Any]], figure: str
) -> None:
    """An answer that is missing, there twice or different, and one feature of one prediction."""
    figures = audit(settings, {**topics, topic: damage(topics[topic])}).figures()
    assert figures[figure] >= 1, figures


@pytest.mark.parametrize(
    ("statement", "figures"),
    [
        ("UPDATE amount_minor = amount_minor + 1", {"stored_differing", "figures_differing"}),
        ("UPDATE features = map('card_count_1h', 1.)", {"stored_differing"}),
        ("DELETE", {"stored_missing", "figures_differing"}),
    ],
)
def test_the_audit_sees_damage_in_the_store(
    settings: Settings, topics: Topics, tmp_path: Path, statement: str, figures: set[str]
) -> None:
    """A row of a view that is changed or missing, and the figures that follow from it."""
    shutil.copytree(settings.data_dir, tmp_path / "store")
    damaged = settings.model_copy(update={"data_dir": tmp_path / "store"})
    identity = json.loads(topics[PREDICTIONS][-1].value())["transaction"]["transaction_id"]
    where = f"WHERE transaction_id = '{identity}' SETTINGS mutations_sync = 1"
    with closing(open_warehouse(damaged)) as warehouse:
        warehouse.execute(f"ALTER TABLE predictions {statement} {where}")
    found = audited_store(damaged, topics)
    names = ("stored_missing", "stored_repeated", "stored_differing", "figures_differing")
    assert {name for name in names if getattr(found, name)} == figures, found
