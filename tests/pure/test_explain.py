"""Reasons: each input of the model has a sentence, and the reasons are what added most."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.decision import Reason
from streams.detector.encode import INPUTS
from streams.detector.explain import CONTRIBUTION_MIN, MISSING, REASONS_MAX, SENTENCES, reasons_of, sentence
from streams.detector.features import FEATURES

NAMES = [each.feature for each in INPUTS]


def test_every_input_has_a_sentence() -> None:
    """Law: whatever the model takes can be told, and nothing else has a sentence."""
    assert SENTENCES.keys() == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_sentence_tells_any_value_of_the_range(name: str) -> None:
    """Law: a sentence can be made of every value that the feature can have, and of one that is not known."""
    row = next(feature.row for feature in FEATURES if feature.name == name)
    for value in (row.low, row.high, 0.5, 1, int(row.high)):
        told = sentence(name, {name: value})
        assert "{" not in told
        assert Reason(code=name, text=told).text
    assert sentence(name, {}).endswith(MISSING)


@given(st.dictionaries(st.sampled_from(NAMES), st.floats(-20, 20)), st.dictionaries(st.sampled_from(NAMES), st.just(1)))
def test_reasons_are_what_added_most(contributions: dict[str, float], features: dict[str, float]) -> None:
    """Law: at most three reasons, the largest first, none that adds next to nothing or takes away."""
    reasons = reasons_of(contributions, features)
    added = [reason.contribution or 0.0 for reason in reasons]
    assert len(reasons) <= REASONS_MAX
    assert added == sorted(added, reverse=True)
    assert all(value >= CONTRIBUTION_MIN for value in added)
    enough = sorted((value for value in contributions.values() if value >= CONTRIBUTION_MIN), reverse=True)
    assert added == [round(value, 4) for value in enough[:REASONS_MAX]]


def test_equal_contributions_are_told_in_one_order() -> None:
    """Law: the same contributions give the same reasons, whatever order they come in."""
    added = {"payment_hour": 1.0, "card_count_1h": 1.0}
    assert reasons_of(added, {}) == reasons_of(dict(reversed(added.items())), {})
