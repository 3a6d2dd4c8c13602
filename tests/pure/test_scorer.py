"""A model as it decides: what is refused, and that its parts add up."""

from math import exp, inf, isfinite, nan
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import encode
from schemas.fields import Features
from schemas.learning import ModelVersion
from streams.detector.canary import CANARIES
from streams.detector.encode import ENCODER, INPUTS
from streams.detector.forest import LEAVES_MAX
from streams.detector.learner import GROWTH_RECORDS_MIN, Learner
from streams.detector.scorer import WEIGHT_MAX, RefusedError, Scorer, digest_of, model_of, probability_of, scorer_of
from tests.pure.test_encode import ANYTHING


def _model() -> ModelVersion:
    learner, chance = Learner(), Random(3)
    for number in range(GROWTH_RECORDS_MIN + 50):
        features: Features = {
            "card_count_1h": chance.randrange(7),
            "payment_hour": chance.randrange(24),
            "payment_amount_minor": 100 * number,
        }
        learner.learn_example(features, is_fraud=features["card_count_1h"] > 4 and features["payment_hour"] < 8)
    return learner.snapshot(60)


MODEL = _model()
SCORER = scorer_of(MODEL)


def _forged(**changes: Any) -> ModelVersion:
    """Return a snapshot with another content and the digest that belongs to it."""
    changed = MODEL.model_copy(update=changes)
    return changed.model_copy(update={"digest": digest_of(changed)})


def _part(name: str, change: Any) -> ModelVersion:
    """Return a forged snapshot with one part of its state changed."""
    return _forged(state={**MODEL.state, name: change({**MODEL.state[name]})})


def _weight(cell: str, weight: Any) -> ModelVersion:
    return _part("cells", lambda cells: {**cells, "weights": {**cells["weights"], cell: weight}})


def _tree(**changes: Any) -> ModelVersion:
    """Return a forged snapshot whose first tree has other lists."""
    return _part("leaves", lambda leaves: {**leaves, "trees": [{**leaves["trees"][0], **changes}]})


def _stump(**changes: Any) -> ModelVersion:
    return _tree(**{"left": [1, 0, 0], "right": [2, 0, 0], "cell": [5, 0, 0], "value": [0.0, -1.0, 1.0], **changes})


_CHAIN = [*range(1, 2 * LEAVES_MAX + 1, 2)]
REFUSED: dict[str, tuple[ModelVersion, str]] = {
    "another weight": (MODEL.model_copy(update={"state": {**MODEL.state, "share_of_leaves": 0.25}}), "digest"),
    "more records": (MODEL.model_copy(update={"records": 10**9}), "digest"),
    "another name": (MODEL.model_copy(update={"version": "m-other"}), "digest"),
    "other inputs": (_forged(feature_schema="sha256:0"), "other inputs"),
    "no state": (_forged(state={}), "cannot be read"),
    "no cells": (_forged(state={**MODEL.state, "cells": None}), "cannot be read"),
    "cells in a list": (_forged(state={**MODEL.state, "cells": [1]}), "cannot be read"),
    "weights cut off": (_part("cells", lambda _: {"intercept": 0.0}), "cannot be read"),
    "intercept cut off": (_part("cells", lambda _: {"weights": {}}), "cannot be read"),
    "weights in a list": (_part("cells", lambda cells: {**cells, "weights": [1.0]}), "cannot be read"),
    "a cell beyond the layout": (_weight(str(ENCODER.size), 0.1), "no cell"),
    "a cell before the layout": (_weight("-1", 0.1), "no cell"),
    "a cell with a name": (_weight("first", 0.1), "cannot be read"),
    "a weight that is text": (_weight("3", "1.0"), "cannot be read"),
    "a weight that is missing": (_weight("3", None), "cannot be read"),
    "a weight of 400 digits": (_weight("3", 10**400), "cannot be read"),
    "not a number": (_weight("3", nan), "not finite"),
    "infinite": (_weight("3", inf), "not finite"),
    "exploded": (_weight("3", 2.1 * WEIGHT_MAX), "not finite, or over"),
    "exploded downwards": (_weight("3", -2.1 * WEIGHT_MAX), "not finite, or over"),
    "exploded intercept": (_part("cells", lambda cells: {**cells, "intercept": 1e6}), "not finite, or over"),
    "a share over one": (_forged(state={**MODEL.state, "share_of_leaves": 1.5}), "share"),
    "a share that is no number": (_forged(state={**MODEL.state, "share_of_leaves": nan}), "share"),
    "trees cut off": (_part("leaves", lambda _: {"intercept": 0.0}), "cannot be read"),
    "a tree without nodes": (_tree(left=[], right=[], cell=[], value=[]), "differ in length"),
    "a tree with a list cut off": (_stump(value=[0.0, 1.0]), "differ in length"),
    "a tree in a circle": (_stump(left=[1, 0, 0], right=[2, 0, 1]), "child of one"),
    "a tree with a node twice": (_stump(left=[1, 0, 0], right=[1, 0, 0]), "child of one"),
    "a tree that goes back": (
        _stump(left=[3, 2, 0, 1, 0], right=[4, 0, 0, 0, 0], cell=[5] * 5, value=[0.0] * 5),
        "one child, or one before it",
    ),
    "a tree of a cell beyond the layout": (_stump(cell=[ENCODER.cells, 0, 0]), "there is not"),
    "a tree that says what is no number": (_stump(value=[0.0, nan, 1.0]), "not finite"),
    "a tree that has exploded": (_stump(value=[0.0, -1.0, 1e6]), "not finite, or over"),
    "a tree with too many leaves": (
        _tree(
            left=[x for each in _CHAIN for x in (each, 0)] + [0],
            right=[x for each in _CHAIN for x in (each + 1, 0)] + [0],
            cell=[5] * (2 * len(_CHAIN) + 1),
            value=[0.0] * (2 * len(_CHAIN) + 1),
        ),
        "more than 64 leaves",
    ),
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
    assert _same(taken, SCORER)  # the 17th digit of a float may be another and mean the same float


@pytest.mark.parametrize("value", [None, b"", b"{", b"null", b"[]", b'{"version": "m-1"}'])
def test_what_is_no_snapshot_is_refused(value: bytes | None) -> None:
    """Law: any bytes give a snapshot or a refusal."""
    with pytest.raises(RefusedError):
        model_of(value)


def test_whole_snapshot_is_taken() -> None:
    """Law: the snapshots that the cases above were made from are sound, and keep their digest through bytes."""
    assert _same(scorer_of(model_of(encode(MODEL))), SCORER)
    assert _same(scorer_of(_forged()), SCORER)
    assert scorer_of(_stump()).forest is not None


def _same(one: Scorer, other: Scorer) -> bool:
    """Return whether two models say the same to the bit."""
    fields = [(each.version, each.records, each.frauds, each.intercept, each.share) for each in (one, other)]
    said = [[each.log_odds(cells) for cells in CANARIES] for each in (one, other)]
    return fields[0] == fields[1] and said[0] == said[1] and one.weights.tolist() == other.weights.tolist()


@given(ANYTHING)
def test_contributions_add_up_to_the_log_odds(features: dict[str, Any]) -> None:
    """Law: what the inputs added is the log-odds but for what is said of every payment, and only inputs added."""
    cells, nothing = ENCODER.encode(features), ENCODER.encode({})
    log_odds, added = SCORER.explained(cells)
    of_all = SCORER.log_odds(nothing) - sum(SCORER.explained(nothing)[1].values())
    assert sum(added.values()) + of_all == pytest.approx(log_odds, abs=1e-9)
    assert log_odds == SCORER.log_odds(cells)
    assert added.keys() <= {each.feature for each in INPUTS}


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_probability_is_one_and_grows(one: float, other: float) -> None:
    """Law: any log-odds give a probability between 0 and 1, and larger ones no smaller one."""
    low, high = sorted((one, other))
    assert 0 <= probability_of(low) <= probability_of(high) <= 1
    assert isfinite(probability_of(one))
    if abs(one) < 30:
        assert probability_of(one) == pytest.approx(1 / (1 + exp(-one)), abs=1e-9)
