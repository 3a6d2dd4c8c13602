"""The learner: River's arithmetic, the same after a restart, finite whatever it is fed."""

import hashlib
import json
from math import isfinite
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import linear_model, optim

from schemas.codec import decode, encode
from schemas.learning import ModelVersion
from streams.detector.encode import ENCODER, INPUTS
from streams.detector.learner import ADAGRAD_STEP, INTERCEPT_STEP, SGD_STEP, Learner
from streams.detector.policy import score_of
from streams.detector.scorer import model_of, probability_of, scorer_of
from streams.documents import shipped_policy
from tests.pure.test_encode import ANYTHING

DIGEST = "1370750bc3dcb55f23dd2e1087555f1df0d3c436c066ed3aace990729faacaca"
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
    learners = _learned(_examples(7, 300)).snapshot(300).state["learners"]
    rounded = {
        name: [round(learner["intercept"], 7), {cell: round(weight, 7) for cell, weight in learner["weights"].items()}]
        for name, learner in learners.items()
    }
    assert hashlib.sha256(json.dumps(rounded).encode()).hexdigest() == DIGEST


def _rivers_own() -> list[Any]:
    return [
        linear_model.LogisticRegression(optim.AdaGrad(ADAGRAD_STEP), intercept_lr=INTERCEPT_STEP),
        linear_model.LogisticRegression(optim.SGD(SGD_STEP), intercept_lr=INTERCEPT_STEP),
    ]


def test_log_odds_are_the_mean_of_rivers() -> None:
    """Law: what decides is the mean of what River's own two learners say of the same examples, to a billionth."""
    examples, models = _examples(1, 400), _rivers_own()
    for features, is_fraud, weight in examples:
        cells = dict.fromkeys(ENCODER.encode(features), 1.0)
        for model in models:
            model.learn_one(cells, int(is_fraud), weight)
    scorer = scorer_of(_learned(examples).snapshot(400))
    for features, *_ in _examples(2, 100):
        cells = dict.fromkeys(ENCODER.encode(features), 1.0)
        own = sum(model._raw_dot_one(cells) for model in models) / len(models)
        assert scorer.log_odds(list(cells)) == pytest.approx(own, abs=1e-9)
        assert own != 0


@given(st.integers(0, 60), st.integers(0, 60))
@settings(max_examples=15)
def test_restored_goes_on_as_if_never_stopped(first: int, second: int) -> None:
    """Law: a learner made from a snapshot that went through bytes learns on to the same coefficients, bit for bit."""
    examples = _examples(first * 61 + second, first + second)
    whole, half = _learned(examples), _learned(examples[:first])
    half.parent = "m-before"
    model = decode(ModelVersion, encode(half.snapshot(first)))
    assert isinstance(model, ModelVersion)
    again = Learner.of(model)
    assert again.parent == "m-before"
    again.parent = None
    assert _learned(examples[first:], again).snapshot(99) == whole.snapshot(99)


def test_model_of_all_cells_can_be_read_back() -> None:
    """Law: a model that has met every cell there is fits its topic, and is read back whole."""
    learner = Learner()
    for start in range(0, ENCODER.size, 50):
        learner.learn_cells(range(start, min(start + 50, ENCODER.size)), is_fraud=start % 100 == 0)
    model = learner.snapshot(1)
    encoded = encode(model)
    assert 300_000 < len(encoded) < 4_000_000
    assert model_of(encoded) == model
    assert scorer_of(model_of(encoded)).weights == scorer_of(model).weights


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
    assert all(map(isfinite, scorer.contributions(cells).values()))


@pytest.mark.parametrize("kept_one_in", [1, 3, 10, 30])
def test_weights_of_a_sample_do_not_explode(kept_one_in: int) -> None:
    """Law: a model of labels of which one in so many is kept is a model that may decide."""
    chance, learner = Random(5), Learner()
    for features, is_fraud, _ in _examples(5, 1_500):
        if is_fraud or chance.random() < 1 / kept_one_in:
            learner.learn_example(features, is_fraud=is_fraud, weight=1.0 if is_fraud else float(kept_one_in))
    scorer_of(learner.snapshot(0))
