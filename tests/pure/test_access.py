"""The access table: each principal has what its process needs, and the few that matter most have no more."""

import pytest

from consumers.replay import ROADS
from deploy.security import principal_of
from schemas.access import PRINCIPALS, TABLE, Binding, bindings, is_ours, reaches_ours, topics_of
from schemas.observer import INPUTS
from schemas.topics import (
    ALERTS,
    ALIASES,
    AUDIT,
    CARD_STATE,
    CONTROLS,
    DEAD_LETTERS,
    DEAD_LETTERS_REPLAYED,
    DECISIONS,
    DUPLICATES,
    LABELS,
    LABELS_WAITING,
    MERCHANT_STATE,
    MODELS,
    OUTCOMES,
    POLICIES,
    PREDICTIONS,
    PROFILED,
    PROGRESS,
    RATES,
    SHADOW_SCORES,
    TOPICS,
    TRAINING,
    TRANSACTIONS,
    Topic,
)

WANTED = bindings("fraud")

WRITERS: list[tuple[Topic, set[str]]] = [
    (TRANSACTIONS, {"gateway", "source", "importer", "replayer"}),
    (LABELS, {"reporter", "source", "importer", "replayer", "store"}),
    (OUTCOMES, {"reporter", "source", "importer"}),
    (PROFILED, {"worker", "replayer"}),
    (LABELS_WAITING, {"worker", "store", "replayer"}),
    (DEAD_LETTERS, {"worker", "learner", "store"}),
    (DEAD_LETTERS_REPLAYED, {"replayer"}),
    (DUPLICATES, {"worker"}),
    (DECISIONS, {"worker"}),
    (PREDICTIONS, {"worker"}),
    (CARD_STATE, {"worker"}),
    (MERCHANT_STATE, {"worker"}),
    (PROGRESS, {"worker"}),
    (TRAINING, {"store"}),
    (MODELS, {"learner", "shadow"}),
    (POLICIES, {"publisher"}),
    (RATES, {"publisher"}),
    (ALIASES, {"learner"}),
    (CONTROLS, {"operator", "retrainer"}),
    (AUDIT, {"learner"}),
    (ALERTS, {"worker", "learner", "store", "monitor"}),
    (SHADOW_SCORES, {"shadow"}),
]


def principals_that(operation: str, topic: Topic) -> set[str]:
    return {row.principal for row in TABLE if operation in row.operations and topic in row.names}


@pytest.mark.parametrize(("topic", "writers"), WRITERS, ids=[topic.name for topic, _ in WRITERS])
def test_a_topic_has_no_other_writers(topic: Topic, writers: set[str]) -> None:
    """Law: who may write what decides, teaches or is remembered is a short list."""
    assert principals_that("write", topic) == writers


def test_the_writers_of_every_topic_are_listed() -> None:
    """Law: a topic that is new is in the list, too."""
    assert {topic for topic, _ in WRITERS} == set(TOPICS)


def test_a_gateway_may_only_write_transactions() -> None:
    """Law: the outermost principal has one right."""
    rights = [each for each in WANTED if each.principal == "User:fraud-gateway"]
    assert [(each.kind, each.name, each.operation) for each in rights] == [("topic", TRANSACTIONS.name, "write")]


def test_state_and_snapshots_are_for_who_keeps_them() -> None:
    """Law: but for the auditor nobody reads a stage's state, and a service reads decisions and nothing else."""
    assert principals_that("read", CARD_STATE) == {"worker", "auditor"}
    assert [topic.name for topic in topics_of(["reader"])] == [DECISIONS.name]


def test_the_auditor_changes_nothing_and_sees_every_topic() -> None:
    """Law: reading and describing is all an auditor may do, of every topic."""
    operations = {each.operation for each in WANTED if each.principal == "User:fraud-auditor"}
    assert operations == {"read", "describe", "describe_configs"}
    assert topics_of(["auditor"]) == TOPICS


def test_who_replays_may_write_what_is_replayed_and_which_it_was() -> None:
    """Law: dead letters go to the topics that have a road, and nowhere else."""
    written = {topic.name for topic in TOPICS if "replayer" in principals_that("write", topic)}
    assert written == {*ROADS, DEAD_LETTERS_REPLAYED.name}


def test_who_imports_may_read_what_tells_how_far_the_parts_are() -> None:
    """Law: all inputs of the parts can be looked at, and decisions only counted."""
    assert all("importer" in principals_that("read", topic) for topics in INPUTS.values() for topic in topics)
    assert "importer" not in principals_that("read", DECISIONS)


@pytest.mark.parametrize(
    ("command", "principal"),
    [
        ("streams worker", "worker"),
        ("streams worker --stages learning", "learner"),
        ("streams policy publish my.json", "publisher"),
        ("streams recompute --all", "auditor"),
        ("streams models list", "auditor"),
        ("streams models promote m-1", "operator"),
        ("streams models rebuild", "operator"),
        ("streams retrain", "retrainer"),
        ("streams archive states", "auditor"),
        ("producers replay my.csv", "source"),
        ("producers import my.csv", "importer"),
        ("consumers run", "store"),
        ("consumers monitors", "monitor"),
        ("consumers dead-letters list", "auditor"),
        ("consumers dead-letters show 3 17", "auditor"),
        ("consumers dead-letters replay 3 17", "replayer"),
        ("consumers decision --card card_a", "reader"),
    ],
)
def test_a_command_is_run_by_who_may_do_what_it_does(command: str, principal: str) -> None:
    """Law: of a program's commands those that only look are not run by who may write."""
    assert principal_of(command.split()) == principal


def test_nobody_in_the_table_may_give_rights() -> None:
    """Law: rights are given by a super user; no row is about the cluster, or about every name there is."""
    assert {each.kind for each in WANTED} == {"topic", "group", "transactional_id"}
    assert all(each.name not in {"", "*"} and each.permission == "allow" for each in WANTED)


def test_every_principal_has_rights_of_its_own_deployment_only() -> None:
    """Law: two deployments share no right: names are by application id, topics by prefix."""
    one, other = (set(bindings(name, f"{name}.")) for name in ("north", "south"))
    assert not one & other
    assert len(one) == len(other) == len(WANTED)
    assert all("north" in each.name and "north" in each.principal for each in one)
    assert len({each.principal for each in one}) == len(PRINCIPALS)


SURPLUS = [
    Binding("User:fraud-gateway", "topic", "salaries", "literal", "read"),
    Binding("User:somebody", "topic", DECISIONS.name, "literal", "write"),
    Binding("User:somebody", "group", "fraud-progress-a", "literal", "read"),
    Binding("User:somebody", "topic", DECISIONS.name, "prefixed", "write"),
    Binding("User:somebody", "topic", DECISIONS.name, "literal", "write", "deny"),
]
BEYOND = [
    Binding("User:somebody", "topic", "*", "literal", "read"),
    Binding("User:*", "topic", "fraud.", "prefixed", "read"),
    Binding("User:somebody", "group", "f", "prefixed", "read"),
]
FOREIGN = [
    Binding("User:somebody", "topic", "salaries", "literal", "read"),
    Binding("User:fraud-eu-gateway", "topic", f"eu.{TRANSACTIONS.name}", "literal", "write"),
    Binding("User:fraud-eu-store", "group", "fraud-eu-sink", "literal", "read"),
]


@pytest.mark.parametrize(
    ("binding", "ours", "reaches"),
    [
        *((each, True, False) for each in SURPLUS),
        *((each, False, True) for each in BEYOND),
        *((each, False, False) for each in FOREIGN),
    ],
)
def test_what_is_beside_the_table_is_told_apart(binding: Binding, ours: bool, reaches: bool) -> None:
    """Law: what concerns us alone may be taken away; what reaches others too is only told."""
    assert is_ours(binding, WANTED) == ours
    assert reaches_ours(binding, WANTED) == reaches
