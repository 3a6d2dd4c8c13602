"""The learner: River's arithmetic, the same after a restart, finite whatever it is fed."""

import hashlib
import json
from itertools import pairwise
from math import isfinite
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import linear_model, optim

from schemas.codec import decode, encode
from schemas.learning import ModelVersion, TrainingRecord
from streams.detector import learner as learner_module
from streams.detector.encode import ENCODER, INPUTS
from streams.detector.learner import CELL_STEPS, GROWTH_RECORDS_MIN, Learner
from streams.detector.policy import score_of
from streams.detector.regression import INTERCEPT_STEP, CellRegression, Steps
from streams.detector.scorer import model_of, probability_of, scorer_of
from streams.documents import shipped_policy
from tests.pure.test_encode import ANYTHING

DIGEST = "e71b5463ea33c7b581948f8d7893b61a47c0e2ed6e319ee148da2d34dd862278"
"""Of the model after `_examples(7, 300)`: changes with the inputs, the steps, the order of sums, or River itself."""

Example = tuple[dict[str, Any], bool, float]


def _examples(seed: int, number: int) -> list[Example]:
    """Return examples in which fraud has something to do with the features, and some features are missing."""
    chance, examples = Random(seed), list[Example]()
    for _ in range(number):
        is_fraud = chance.random() < 0.2
        features = {
            each.feature: chance.choice(each.grid.fine) * chance.choice((0.5, 1, 1.5, 2 + is_fraud))
            for each in INPUTS
            if chance.random() < 0.8
        }
        examples.append((features, is_fraud, 1.0 if is_fraud else 3.0))
    return examples


def _learned(examples: list[Example], learner: Learner | None = None) -> Learner:
    learner = learner or Learner()
    for features, is_fraud, weight in examples:
        learner.learn_example(features, is_fraud=is_fraud, weight=weight)
    return learner


def test_model_is_as_recorded() -> None:
    """Law: the same examples give the same model as when its digest was written down, to seven decimals.

    To the last bit it is the same on one kind of machine only: the C library's `exp` is not everywhere the same.
    """
    cells = _learned(_examples(7, 300)).snapshot(300).state["cells"]
    rounded = [round(cells["intercept"], 7), {cell: round(weight, 7) for cell, weight in cells["weights"].items()}]
    assert hashlib.sha256(json.dumps(rounded).encode()).hexdigest() == DIGEST


RIVERS: dict[float, Any] = {0.0: optim.SGD(0.05), 0.5: optim.AdaGrad(0.05)}
"""Powers of our steps, and River's optimizer that has them too."""


@pytest.mark.parametrize("power", RIVERS)
def test_regression_learns_what_rivers_does(power: float) -> None:
    """Law: River's own logistic regression learns the same from the same examples, to a billionth."""
    theirs = linear_model.LogisticRegression(RIVERS[power].clone(), intercept_lr=INTERCEPT_STEP)
    ours = CellRegression(ENCODER.size, Steps(0.05, power))
    for features, is_fraud, weight in _examples(1, 400):
        held = dict.fromkeys(ENCODER.parts_of(ENCODER.encode(features)), 1.0)
        theirs.learn_one(held, int(is_fraud), weight)
        ours.learn_one(held, is_fraud, weight)
    for features, *_ in _examples(2, 100):
        held = dict.fromkeys(ENCODER.parts_of(ENCODER.encode(features)), 1.0)
        assert ours.predict_proba_one(held) == pytest.approx(theirs.predict_proba_one(held), abs=1e-9)
        assert abs(ours.log_odds(np.array([*held]))) > 1e-3


def test_what_decides_is_what_was_learned() -> None:
    """Law: before there are trees, the model made of a snapshot says what a regression over cells says."""
    examples, model = _examples(1, 400), CellRegression(ENCODER.size, CELL_STEPS)
    for features, is_fraud, weight in examples:
        model.learn_one(dict.fromkeys(ENCODER.parts_of(ENCODER.encode(features)), 1.0), is_fraud, weight)
    learner = _learned(examples)
    scorers = scorer_of(learner.snapshot(400)), learner.scorer()
    for features, *_ in _examples(2, 100):
        cells = ENCODER.encode(features)
        said = {scorer.log_odds(cells) for scorer in scorers}
        assert len(said) == 1
        assert said.pop() == pytest.approx(model.log_odds(np.array(ENCODER.parts_of(cells))), abs=1e-7)


@given(st.integers(0, 60), st.integers(0, 60))
@settings(max_examples=15)
def test_restored_goes_on_as_if_never_stopped(first: int, second: int) -> None:
    """Law: a learner made from a snapshot that went through bytes learns on to the same coefficients, bit for bit."""
    examples = _examples(first * 61 + second, first + second)
    assert _restored_at(examples, first).snapshot(99) == _learned(examples).snapshot(99)


@pytest.mark.parametrize("first", [60, 130, 340])
def test_trees_grow_again_after_a_restart(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Law: given back the last records, the learner grows the trees it would have grown, and their leaves learn on."""
    monkeypatch.setattr(learner_module, "GROWTH_RECORDS_MIN", 100)
    monkeypatch.setattr(learner_module, "EXAMPLES_MAX", 150)
    monkeypatch.setattr(learner_module, "FRAUDS_MIN", 10)
    examples = _examples(3, 420)
    whole = _learned(examples).snapshot(99)
    assert whole.state["leaves"] is not None
    assert 0 < whole.state["share_of_leaves"] < 1
    assert _restored_at(examples, first).snapshot(99) == whole


def _restored_at(examples: list[Example], first: int) -> Learner:
    """Return what learned these examples, and was made anew from its snapshot behind the first of them."""
    half = _learned(examples[:first])
    half.parent = "m-before"
    model = decode(ModelVersion, encode(half.snapshot(first)))
    assert isinstance(model, ModelVersion)
    again = Learner.of(model)
    assert again.parent == "m-before"
    again.parent = None
    again.remember(_record(*each) for each in examples[:first])
    return _learned(examples[first:], again)


def _record(features: dict[str, Any], is_fraud: bool, weight: float) -> TrainingRecord:
    return TrainingRecord(
        transaction_id="tx",
        card="card_a",
        merchant="mer_b",
        revision=0,
        source="chargeback",
        verdict="fraud" if is_fraud else "legitimate",
        weight=weight,
        features=features,
        occurred_at_ms=1_600_000_000_000,
        reported_at_ms=1_600_000_000_000,
        positions={},
    )


def test_largest_model_can_be_read_back() -> None:
    """Law: a model that has met every cell there is, with trees, is less than a megabyte, and is read back whole."""
    learner = Learner()
    for start in range(GROWTH_RECORDS_MIN + 100):
        cells = [low + start % (high - low) for low, high in pairwise((*_firsts(), ENCODER.cells))]
        learner.learn_cells(cells, is_fraud=start % 7 == 0)
    model = learner.snapshot(1)
    assert len(model.state["cells"]["weights"]) == ENCODER.size
    encoded = encode(model)
    assert 90_000 < len(encoded) < 1_000_000
    assert model_of(encoded) == model
    assert scorer_of(model_of(encoded)).weights.tolist() == scorer_of(model).weights.tolist()


def _firsts() -> list[int]:
    """Return the first cell of each input."""
    return [ENCODER.owners.index(place) for place in range(len(INPUTS))]


@given(st.lists(st.tuples(ANYTHING, st.booleans(), st.sampled_from([1.0, 3.0])), max_size=40), ANYTHING)
@settings(max_examples=60)
def test_anything_learned_and_scored_is_finite(examples: list[Example], features: dict[str, Any]) -> None:
    """Law: not a number, infinite, absurd, unseen or missing: coefficients stay finite, score and probability too."""
    scorer = scorer_of(_learned(examples).snapshot(len(examples)))
    assert isfinite(scorer.intercept)
    assert all(map(isfinite, scorer.weights))
    cells = ENCODER.encode(features)
    log_odds = scorer.log_odds(cells)
    assert isfinite(log_odds)
    assert 0 <= probability_of(log_odds) <= 1
    assert 0 <= score_of(log_odds, shipped_policy().score_map) <= 1000
    assert all(map(isfinite, scorer.explained(cells)[1].values()))


@pytest.mark.parametrize("kept_one_in", [1, 3, 10, 30])
def test_weights_of_a_sample_do_not_explode(kept_one_in: int) -> None:
    """Law: a model of labels of which one in so many is kept is a model that may decide."""
    chance, learner = Random(5), Learner()
    for features, is_fraud, _ in _examples(5, 1_500):
        if is_fraud or chance.random() < 1 / kept_one_in:
            learner.learn_example(features, is_fraud=is_fraud, weight=1.0 if is_fraud else float(kept_one_in))
    scorer_of(learner.snapshot(0))
