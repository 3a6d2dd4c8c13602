"""Snapshots made again from a training log: the same, altered, made elsewhere, or made with another library."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from schemas.codec import encode
from schemas.learning import ModelVersion, TrainingRecord
from schemas.topics import MODELS, PREDICTIONS, TRAINING
from streams.detector.decide import InForce
from streams.detector.learner import Learner
from streams.detector.learning_stage import LearningStage
from streams.detector.scorer import Scorer, digest_of
from streams.detector.stage import Context, Record
from streams.documents import shipped_policy, shipped_rates
from streams.recompute.compare import Found
from streams.recompute.logs import DeletedError
from streams.recompute.models import Training, remake, same_models
from streams.recompute.rare import Rare
from tests.planted import MemoryLogs

NOW_MS = 1_600_000_000_000
STAGE = LearningStage(Context(InForce(shipped_policy(), shipped_rates()), "test", lambda _key: 0, 0))


def _example(number: int) -> TrainingRecord:
    return TrainingRecord(
        transaction_id=f"tx-{number}",
        card="card_a",
        merchant="mer_b",
        revision=0,
        verdict="fraud" if number % 3 == 0 else "legitimate",
        source="chargeback",
        weight=1.0,
        features={"card_count_1h": float(number % 7), "payment_amount_minor": 100.0 * number},
        occurred_at_ms=NOW_MS,
        reported_at_ms=NOW_MS + number,
        positions={PREDICTIONS.name: (0, number)},
    )


@dataclass
class _World:
    """A training log of 40 records with a snapshot at every tenth."""

    training: list[Record] = field(default_factory=list)
    models: list[ModelVersion] = field(default_factory=list)

    def __post_init__(self) -> None:
        learner = Learner()
        for number in range(40):
            learner.learn(_example(number))
            self.training.append(Record(TRAINING.name, 0, number, 0, b"k", encode(_example(number))))
            if learner.records % 10 == 0:
                self.models.append(learner.snapshot(number + 1))
                learner.parent = self.models[-1].version

    def remade(self, **options: Any) -> tuple[Found, dict[str, Scorer]]:
        models = [
            Record(MODELS.name, 0, offset, 0, model.version.encode(), encode(model))
            for offset, model in enumerate(self.models)
        ]
        logs = MemoryLogs({(TRAINING.name, 0): self.training, (MODELS.name, 0): models}, 1)
        logs.begins[TRAINING.name, 0] = options.get("begin", 0)
        training = Training(logs, STAGE, options.get("labels", {}), options.get("features", {}), 3)
        found = Found()
        return found, remake(logs, training, Rare(), found)

    def alter(self, at: int, **changes: Any) -> None:
        altered = self.models[at].model_copy(update=changes)
        self.models[at] = altered.model_copy(update={"digest": digest_of(altered)})


def _other_coefficients(model: ModelVersion) -> dict[str, Any]:
    cells = model.state["cells"]
    return {**model.state, "cells": {**cells, "intercept": cells["intercept"] + 1e-12}}


def test_snapshots_of_the_log_are_equal() -> None:
    """Law: what was learned from the log is made again from it."""
    found, remade = _World().remade()
    assert (found.holds, found.equal[MODELS.name], remade) == (True, 4, {})


def test_one_altered_coefficient_is_found_and_only_there() -> None:
    """Law: the snapshot that was altered comes out differently, and those behind it do not."""
    world = _World()
    world.alter(1, state=_other_coefficients(world.models[1]))
    found, remade = world.remade()
    assert dict(found.wrong) == {(MODELS.name, "differs"): 1}
    assert list(remade) == [world.models[1].version]
    assert "state.cells.intercept" in found.differences[0].fields


def test_models_made_again_twice_are_the_same_and_others_are_not() -> None:
    """Law: a recomputation ends when its models come out as they did before, each made anew from the log."""
    world = _World()
    world.alter(1, state=_other_coefficients(world.models[1]))
    (_, once), (_, twice) = world.remade(), world.remade()
    assert once
    assert same_models(once, twice)
    version, scorer = next(iter(once.items()))
    assert not same_models(once, {version: scorer._replace(version="m-other")})
    assert not same_models(once, {})


def test_another_library_that_learns_the_same_is_no_difference() -> None:
    """Law: only the name of the library differs, and the coefficients are what is asked."""
    world = _World()
    world.alter(1, libraries={"river": "0.0.1"})
    found, remade = world.remade()
    assert found.holds
    assert not remade
    assert found.libraries["river", "0.0.1"] == 1


def test_another_library_that_learns_something_else_is_named() -> None:
    """Law: who made a snapshot that comes out differently is said, with the version and the one here."""
    world = _World()
    world.alter(1, libraries={"river": "0.0.1"}, state=_other_coefficients(world.models[1]))
    found, _ = world.remade()
    assert not found.holds
    assert "river 0.0.1, here " in found.notes[0]


def test_a_model_that_was_learned_elsewhere_stands() -> None:
    """Law: what the log cannot lead to is told, and decides as it did."""
    world = _World()
    world.alter(0, training_offset=0)
    found, remade = world.remade()
    assert dict(found.wrong) == {(MODELS.name, "differs"): 1}
    assert not remade
    assert "learned elsewhere" in found.notes[0]


@pytest.mark.parametrize("changed", [{"features": {(0, 15): {"card_count_1h": 99.0}}}, {"features": {(0, 15): None}}])
def test_what_a_payment_comes_out_with_is_what_is_learned(changed: dict[str, Any]) -> None:
    """Law: snapshots that learned an example whose prediction has other features, or is none, differ; no others."""
    world = _World()
    _, remade = world.remade(**changed)
    assert list(remade) == [model.version for model in world.models[1:]]


def test_a_log_without_its_beginning_makes_no_model() -> None:
    """Law: it is said that records are gone."""
    with pytest.raises(DeletedError, match="records 0 to 4 are gone"):
        _World().remade(begin=5)
