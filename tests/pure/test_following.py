"""What comes in force, and every way in which a record must not: the last good one stays, and an alert is raised."""

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from schemas.codec import encode
from schemas.fields import Features
from schemas.learning import ModelVersion, PolicyVersion, RateTable
from schemas.registry import Alert
from schemas.topics import ALIASES, MODELS, POLICIES, RATES
from streams.detector.admission import CHAMPION, Admission
from streams.detector.following import RECENT, Document, Following
from streams.detector.learner import Learner
from streams.detector.scorer import Scorer, digest_of
from streams.detector.stage import Record
from streams.documents import shipped_policy, shipped_rates
from tests.signed import SIGNERS, STRANGER, TRUSTED, alias_of, record_of


def _snapshots(number: int, each: int = 6) -> list[ModelVersion]:
    learner, snapshots = Learner(), list[ModelVersion]()
    for at in range(number * each):
        features: Features = {"payment_hour": at % 24, "card_count_1h": at % 9, "payment_amount_minor": 100 * at}
        learner.learn_example(features, is_fraud=at % 3 == 0)
        if (at + 1) % each == 0:
            snapshots.append(learner.snapshot(at + 1))
            learner.parent = snapshots[-1].version
    return snapshots


MODELS_CUT = _snapshots(RECENT + 4)


def _changed(model: ModelVersion, **changes: Any) -> ModelVersion:
    """Return a snapshot with another content and the digest that belongs to it."""
    changed = model.model_copy(update=changes)
    return changed.model_copy(update={"digest": digest_of(changed)})


def _weighing(model: ModelVersion, weight: Callable[[float], float], intercept: float | None = None) -> ModelVersion:
    cells = model.state["cells"]
    changed = {
        **cells,
        "intercept": cells["intercept"] if intercept is None else intercept,
        "weights": {cell: weight(held) for cell, held in cells["weights"].items()},
    }
    return _changed(model, state={**model.state, "cells": changed})


class _Log:
    """The topics as they grow under a `Following`, and what it put in force."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.put: list[Document] = []
        self.alerts: list[Alert] = []
        self.looked_for: list[str] = []
        self.following = self.restarted()

    def restarted(self) -> Following:
        return Following(Admission(TRUSTED), self.put.append, self.alerts.append, self._find)

    def _find(self, version: str, offset: int | None) -> Iterable[Record]:
        self.looked_for.append(version)
        named = [each for each in self.records if each.topic == MODELS.name and each.key == version.encode()]
        return [each for each in reversed(named) if offset in {None, each.offset}]

    def write(self, topic: Any, name: str, message: Any, **signed: Any) -> Record:
        record = record_of(topic, len(self.records), name, message, **signed)
        self.put_back(record)
        return record

    def put_back(self, record: Record) -> None:
        self.records.append(record._replace(offset=len(self.records)))
        self.following.take(self.records[-1])

    def cut(self, model: ModelVersion, sequence: int, **fields: Any) -> Record:
        record = self.write(MODELS, model.version, model)
        self.write(ALIASES, CHAMPION, alias_of(model.version, sequence, **fields))
        return record

    @property
    def version(self) -> str:
        return [each.version for each in self.put if isinstance(each, Scorer)][-1]


@pytest.fixture
def log() -> _Log:
    """Give a log with two snapshots, the second in force."""
    log = _Log()
    log.following.settle()
    log.cut(MODELS_CUT[0], 1)
    log.cut(MODELS_CUT[1], 2, history=(MODELS_CUT[0].version,))
    assert (log.version, log.alerts) == (MODELS_CUT[1].version, [])
    return log


def _forged(model: ModelVersion) -> Record:
    """Return a snapshot with another content under an honest one's signature."""
    honest = record_of(MODELS, 0, model.version, model)
    return honest._replace(value=encode(_changed(model, records=10**6)))


def _deep(model: ModelVersion) -> Record:
    return record_of(MODELS, 0, model.version, b'{"state":' + b"[" * 50_000 + b"]" * 50_000 + b"}")


NEXT = MODELS_CUT[2]
ATTACKS: dict[str, tuple[Record, str]] = {
    "forged": (_forged(NEXT), "forged"),
    "truncated": (record_of(MODELS, 0, NEXT.version, NEXT)._replace(value=encode(NEXT)[:-40]), "forged"),
    "truncated before it was signed": (record_of(MODELS, 0, NEXT.version, encode(NEXT)[:-40]), "unreadable"),
    "unsigned": (record_of(MODELS, 0, NEXT.version, NEXT)._replace(headers=()), "unsigned"),
    "signed by a stranger": (record_of(MODELS, 0, NEXT.version, NEXT, signer=STRANGER), "unknown_key"),
    "signed by a publisher": (record_of(MODELS, 0, NEXT.version, NEXT, signer=SIGNERS["publisher"]), "unknown_key"),
    "replayed": (record_of(MODELS, 0, MODELS_CUT[0].version, MODELS_CUT[0]), "replayed"),
    "replayed under another key": (
        record_of(MODELS, 0, MODELS_CUT[0].version, MODELS_CUT[0])._replace(key=NEXT.version.encode()),
        "forged",
    ),
    "misnamed": (record_of(MODELS, 0, "m-other", NEXT), "misnamed"),
    "of other inputs": (
        record_of(MODELS, 0, NEXT.version, _changed(NEXT, feature_schema="sha256:0")),
        "wrong_schema",
    ),
    "with a wrong digest": (record_of(MODELS, 0, NEXT.version, NEXT.model_copy(update={"frauds": 9})), "unsound"),
    "exploding": (record_of(MODELS, 0, NEXT.version, _weighing(NEXT, lambda _: 1e6)), "unsound"),
    "not finite": (
        record_of(MODELS, 0, NEXT.version, encode(NEXT).replace(b'"intercept":', b'"intercept":1e999,"x":')),
        "unsound",
    ),
    "too large": (record_of(MODELS, 0, NEXT.version, b" " * (MODELS.value_bytes_max + 1)), "too_large"),
    "a tower of brackets": (_deep(NEXT), "unreadable"),
    "an alias of a stranger": (record_of(ALIASES, 0, CHAMPION, alias_of("m-1", 9), signer=STRANGER), "unknown_key"),
    "an alias from before": (record_of(ALIASES, 0, CHAMPION, alias_of(MODELS_CUT[0].version, 1)), "replayed"),
    "an alias by another name": (record_of(ALIASES, 0, "challenger", alias_of("m-1", 9)), "misnamed"),
    "a policy of the learner's": (
        record_of(POLICIES, 0, "p-1", shipped_policy(), signer=SIGNERS["learner"]),
        "unknown_key",
    ),
    "unsigned rates": (record_of(RATES, 0, "r-1", shipped_rates())._replace(headers=()), "unsigned"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_what_is_refused_changes_nothing_and_is_told(name: str, log: _Log) -> None:
    """Law: a record that must not be in force is refused with an alert, and what was in force stays."""
    record, kind = ATTACKS[name]
    before = list(log.put)
    log.put_back(record)
    assert log.put == before
    assert [(alert.kind, alert.subject) for alert in log.alerts] == [(kind, f"{record.topic}:0:{len(log.records) - 1}")]
    log.following = log.restarted()
    for held in log.records:
        log.following.take(held)
    log.following.settle()
    assert log.version == MODELS_CUT[1].version


@pytest.mark.parametrize("name", ["forged", "exploding", "of other inputs"])
def test_a_champion_that_is_refused_leaves_the_last_good_one(name: str, log: _Log) -> None:
    """Law: where the alias itself names what must not decide, the one before it does, after a restart as well."""
    log.put_back(ATTACKS[name][0])
    history = (MODELS_CUT[0].version, MODELS_CUT[1].version)
    log.write(ALIASES, CHAMPION, alias_of(NEXT.version, 3, history=history))
    assert log.version == MODELS_CUT[1].version
    log.following = log.restarted()
    for record in log.records:
        log.following.take(record)
    log.following.settle()
    assert log.version == MODELS_CUT[1].version


@pytest.mark.parametrize(
    ("why", "weight", "intercept"),
    [("collapsed", lambda _: 0.0, None), ("mean score", lambda held: held, 30.0), ("mean score", lambda h: h, -40.0)],
)
def test_an_implausible_snapshot_of_the_learner_is_refused(
    why: str, weight: Callable[[float], float], intercept: float | None, log: _Log
) -> None:
    """Law: what is signed and sound, and says the same or the contrary to all, does not come in force."""
    mad = _weighing(NEXT, weight, intercept)
    log.cut(mad, 3, history=(MODELS_CUT[0].version, MODELS_CUT[1].version))
    assert log.version == MODELS_CUT[1].version
    assert [alert.kind for alert in log.alerts] == ["implausible"]
    assert why in log.alerts[0].text
    log.following = log.restarted()
    for record in log.records:
        log.following.take(record)
    log.following.settle()
    assert log.version == MODELS_CUT[1].version


def test_the_alias_may_come_before_its_snapshot(log: _Log) -> None:
    """Law: two partitions of one transaction are read in any order."""
    log.write(ALIASES, CHAMPION, alias_of(NEXT.version, 3))
    assert log.version == MODELS_CUT[1].version
    log.write(MODELS, NEXT.version, NEXT)
    assert (log.version, log.alerts, log.looked_for) == (NEXT.version, [], [])


def test_a_command_brings_back_an_old_snapshot(log: _Log) -> None:
    """Law: what a command names is looked up, however long ago it was cut, and what follows does not displace it."""
    for at, model in enumerate(MODELS_CUT[2:], start=3):
        log.cut(model, at)
    pinned = {"mode": "pinned", "changed_by": "c-1", "model_offset": 0}
    log.write(ALIASES, CHAMPION, alias_of(MODELS_CUT[0].version, 90, **pinned))
    assert (log.version, log.looked_for) == (MODELS_CUT[0].version, [MODELS_CUT[0].version])
    later = Learner.of(MODELS_CUT[-1]).snapshot(10**6)
    log.write(MODELS, "m-later", _changed(later, version="m-later"))
    log.write(ALIASES, CHAMPION, alias_of(MODELS_CUT[0].version, 91, **{**pinned, "changed_by": None}))
    assert (log.version, log.alerts) == (MODELS_CUT[0].version, [])
    log.write(ALIASES, CHAMPION, alias_of("m-later", 92, changed_by="c-2"))
    assert log.version == "m-later"


def test_who_starts_finds_the_champion_however_old(log: _Log) -> None:
    """Law: a worker that starts while an old snapshot is pinned looks it up."""
    pinned = {"mode": "pinned", "changed_by": "c-1", "model_offset": 0}
    log.write(ALIASES, CHAMPION, alias_of(MODELS_CUT[0].version, 90, **pinned))
    log.following = log.restarted()
    log.put.clear()
    log.following.take(log.records[-1])
    log.following.settle()
    assert log.version == MODELS_CUT[0].version


def test_a_document_is_replaced_by_one_that_was_signed_later(log: _Log) -> None:
    """Law: of policies and rates the last that a publisher signed counts; an old one is no way back."""
    first = shipped_policy().model_copy(update={"version": "p-1"})
    old = log.write(POLICIES, "p-1", first, at_ms=10)
    log.write(POLICIES, "p-2", first.model_copy(update={"version": "p-2"}), at_ms=20)
    log.put_back(old)
    log.write(RATES, "r-1", shipped_rates().model_copy(update={"version": "r-1"}), at_ms=5)
    assert [each.version for each in log.put if isinstance(each, PolicyVersion)] == ["p-1", "p-2"]
    assert [each.version for each in log.put if isinstance(each, RateTable)] == ["r-1"]
    assert [alert.kind for alert in log.alerts] == ["replayed"]
    log.write(POLICIES, "p-1", first, at_ms=30)
    assert [each.version for each in log.put if isinstance(each, PolicyVersion)][-1] == "p-1"


def test_an_alert_is_the_same_for_all_who_see_it(log: _Log) -> None:
    """Law: several workers, and one that starts again, raise one alert about one record."""
    log.put_back(ATTACKS["forged"][0])
    log.following = log.restarted()
    for record in log.records:
        log.following.take(record)
    assert len(log.alerts) == 2
    assert len({encode(alert) for alert in log.alerts}) == 1
    assert json.loads(encode(log.alerts[0]))["severity"] == "critical"
