"""A model as it decides: what is refused, and that its parts add up."""

from math import exp, inf, isfinite, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import encode
from schemas.fields import Features
from schemas.learning import ModelVersion
from streams.detector.encode import ENCODER, INPUTS, Encoder
from streams.detector.learner import Learner
from streams.detector.scorer import WEIGHT_MAX, RefusedError, digest_of, model_of, probability_of, scorer_of
from tests.pure.test_encode import ANYTHING


def _model() -> ModelVersion:
    learner = Learner()
    for number in range(60):
        features: Features = {
            "card_count_1h": number % 7,
            "payment_hour": number % 24,
            "payment_amount_minor": 100 * number,
        }
        learner.learn_example(features, is_fraud=number % 7 > 4)
    return learner.snapshot(60)


MODEL = _model()
SCORER = scorer_of(MODEL)


def _forged(**changes: Any) -> ModelVersion:
    """Return a snapshot with another content and the digest that belongs to it."""
    changed = MODEL.model_copy(update=changes)
    return changed.model_copy(update={"digest": digest_of(changed)})


def _learners(change: Any) -> ModelVersion:
    """Return a forged snapshot with one learner changed."""
    learners = MODEL.state["learners"]
    return _forged(state={"learners": {**learners, "steady": change({**learners["steady"]})}})


def _weight(cell: str, weight: Any) -> ModelVersion:
    return _learners(lambda learner: {**learner, "weights": {**learner["weights"], cell: weight}})


REFUSED: dict[str, tuple[ModelVersion, str]] = {
    "another weight": (MODEL.model_copy(update={"state": {"learners": {}}}), "digest"),
    "more records": (MODEL.model_copy(update={"records": 10**9}), "digest"),
    "another name": (MODEL.model_copy(update={"version": "m-other"}), "digest"),
    "other inputs": (_forged(feature_schema="sha256:0"), "other inputs"),
    "no state": (_forged(state={}), "no learners"),
    "no learners": (_forged(state={"learners": {}}), "no learners"),
    "learners in a list": (_forged(state={"learners": [1]}), "no learners"),
    "a learner that is a number": (_forged(state={"learners": {"steady": 1}}), "cannot be read"),
    "weights cut off": (_learners(lambda _: {"intercept": 0.0}), "cannot be read"),
    "intercept cut off": (_learners(lambda _: {"weights": {}}), "cannot be read"),
    "weights in a list": (_learners(lambda learner: {**learner, "weights": [1.0]}), "cannot be read"),
    "a cell beyond the layout": (_weight(str(ENCODER.size), 0.1), "cannot be read"),
    "a cell before the layout": (_weight("-1", 0.1), "cannot be read"),
    "a cell with a name": (_weight("first", 0.1), "cannot be read"),
    "a weight that is text": (_weight("3", "1.0"), "cannot be read"),
    "a weight that is missing": (_weight("3", None), "cannot be read"),
    "a weight of 400 digits": (_weight("3", 10**400), "cannot be read"),
    "not a number": (_weight("3", nan), "not finite"),
    "infinite": (_weight("3", inf), "not finite"),
    "exploded": (_weight("3", 2.1 * WEIGHT_MAX), "not finite, or over"),
    "exploded downwards": (_weight("3", -2.1 * WEIGHT_MAX), "not finite, or over"),
    "exploded intercept": (_learners(lambda learner: {**learner, "intercept": 1e6}), "not finite, or over"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_unsound_snapshot_is_refused(name: str) -> None:
    """Law: what was changed, cut, made for other inputs, has exploded or is forged never becomes a model in force."""
    model, why = REFUSED[name]
    with pytest.raises(RefusedError, match=why):
        scorer_of(model)


@given(st.data())
def test_cut_or_damaged_bytes_are_refused(data: st.DataObject) -> None:
    """Law: bytes that do not mean what was published are refused, wherever they were cut or changed."""
    encoded = encode(MODEL)
    at = data.draw(st.integers(0, len(encoded) - 1))
    damaged = data.draw(st.sampled_from([encoded[:at], encoded[:at] + b"7" + encoded[at + 1 :]]))
    try:
        taken = scorer_of(model_of(damaged))
    except RefusedError:
        return
    assert taken == SCORER  # the 17th digit of a float may be another and mean the same float


@pytest.mark.parametrize("value", [None, b"", b"{", b"null", b"[]", b'{"version": "m-1"}'])
def test_what_is_no_snapshot_is_refused(value: bytes | None) -> None:
    """Law: any bytes give a snapshot or a refusal."""
    with pytest.raises(RefusedError):
        model_of(value)


def test_whole_snapshot_is_taken() -> None:
    """Law: the snapshots that the cases above were made from are sound, and keep their digest through bytes."""
    assert scorer_of(model_of(encode(MODEL))) == SCORER
    assert scorer_of(_forged()) == SCORER


@given(ANYTHING)
def test_contributions_add_up_to_the_log_odds(features: dict[str, Any]) -> None:
    """Law: what the inputs added is the log-odds without the intercept, and only inputs added anything."""
    cells = ENCODER.encode(features)
    added = SCORER.contributions(cells)
    assert sum(added.values()) + SCORER.intercept == pytest.approx(SCORER.log_odds(cells), abs=1e-9)
    assert added.keys() <= {each.feature for each in INPUTS}


def test_pair_gives_each_half_its_half() -> None:
    """Law: of a pair of cells each of its two inputs is given half."""
    crossed = [each for each in INPUTS if each.crossed][:2]
    encoder = Encoder(crossed)
    scorer = SCORER._replace(intercept=0.0, weights=[0.0] * (encoder.size - 1) + [1.0])
    assert scorer.contributions([encoder.size - 1], encoder) == {each.feature: 0.5 for each in crossed}


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_probability_is_one_and_grows(one: float, other: float) -> None:
    """Law: any log-odds give a probability between 0 and 1, and larger ones no smaller one."""
    low, high = sorted((one, other))
    assert 0 <= probability_of(low) <= probability_of(high) <= 1
    assert isfinite(probability_of(one))
    if abs(one) < 30:
        assert probability_of(one) == pytest.approx(1 / (1 + exp(-one)), abs=1e-9)
