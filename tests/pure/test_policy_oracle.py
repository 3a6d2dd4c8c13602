"""The oracle of decisions agrees with the detector, and notices each way in which an answer can be wrong."""

from typing import Any

import pytest
from hypothesis import given, settings

from schemas.codec import encode
from schemas.decision import Prediction
from schemas.fields import Features
from schemas.learning import ModelNeeds
from schemas.transaction import Transaction
from streams.detector.decide import InForce, predict
from streams.detector.learner import Learner
from streams.detector.scorer import scorer_of
from streams.documents import shipped_policy, shipped_rates
from tests.oracle_decisions import Documents
from tests.pure.test_encode import ANYTHING

PAYMENT = Transaction(
    transaction_id="tx-1",
    card="card_a",
    merchant="mer_b",
    amount_minor=1,
    currency="EUR",
    event_time_ms=1_600_000_000_000,
)
POLICY = shipped_policy().model_copy(update={"version": "p-test", "model_needs": ModelNeeds(records=60, frauds=30)})
BUSY: Features = {"card_count_1h": 12, "payment_hour": 3, "payment_amount_minor": 900_00}


def _learner(examples: int) -> Learner:
    learner = Learner()
    for number in range(examples):
        hour = number % 24
        learner.learn_example({"card_count_1h": hour, "payment_hour": hour}, is_fraud=hour < 12)
    return learner


MODEL, YOUNG = _learner(96).snapshot(96), _learner(10).snapshot(10)
DOCUMENTS = Documents([encode(POLICY)], [], [encode(MODEL), encode(YOUNG)])


def _predicted(features: Features, *, learned: bool = True) -> Prediction:
    in_force = InForce(POLICY, shipped_rates(), scorer_of(MODEL) if learned else None)
    return predict(
        PAYMENT, features, late_ms=0, positions={}, in_force=in_force, rates_version="rates-1", code_version="test"
    )


@given(ANYTHING)
@settings(max_examples=60)
def test_oracle_agrees_with_the_detector(features: dict[str, Any]) -> None:
    """Law: whatever the features are, the oracle comes to the same answer, with a model and without."""
    known = {name: value for name, value in features.items() if abs(value) < 1e300 and not isinstance(value, bool)}
    assert DOCUMENTS.differences(_predicted(known)) == []
    assert DOCUMENTS.differences(_predicted(known, learned=False)) == []


RIGHT = _predicted(BUSY)
WRONGS: dict[str, dict[str, Any]] = {
    "unknown policy": {"policy_version": "p-9"},
    "unknown model": {"model_version": "m-9"},
    "a model that knew too little": {"model_version": YOUNG.version},
    "no model": {"model_version": None},
    "a mode that is not its own": {"mode": "rules_only"},
    "another score": {"score": (RIGHT.score or 0) - 1},
    "another probability": {"probability": (RIGHT.probability or 0) - 1e-6},
    "a rule left out": {"rule_hits": ()},
    "its reason left out": {"reasons": RIGHT.reasons[1:]},
    "a milder action": {"action": "approve"},
    "another feature": {"features": {**BUSY, "payment_hour": 20}},
}


@pytest.mark.parametrize("name", WRONGS)
def test_oracle_notices(name: str) -> None:
    """Law: an answer that does not follow from its features and documents is a difference."""
    assert RIGHT.mode == "normal"
    assert DOCUMENTS.differences(RIGHT) == []
    assert DOCUMENTS.differences(RIGHT.model_copy(update=WRONGS[name])) != []


def test_rules_may_not_pretend_a_score() -> None:
    """Law: without a model there is neither score nor probability, and the rules' reasons are all there are."""
    right = _predicted(BUSY, learned=False)
    assert DOCUMENTS.differences(right) == []
    for changes in ({"score": 600}, {"probability": 0.1}, {"mode": "normal"}, {"reasons": ()}):
        assert DOCUMENTS.differences(right.model_copy(update=changes)) != []
