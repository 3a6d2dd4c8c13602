"""Drift and ranking: the figures of the live page against hand-computed cases, brute force and chance itself."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.drift import SMOOTHING, chance_of, drift
from consumers.page.ranking import ranking


def test_the_index_is_the_one_computed_by_hand() -> None:
    """Law: half and half against 80 and 20 of 100, each count smoothed by one half."""
    found = drift(np.repeat([0.0, 1.0], 50), np.repeat([0.0, 1.0], [80, 20]))
    p, q = (50.5 / 101, 50.5 / 101), (80.5 / 101, 20.5 / 101)
    by_hand = (q[0] - p[0]) * math.log(q[0] / p[0]) + (q[1] - p[1]) * math.log(q[1] / p[1])
    assert found.psi == pytest.approx(by_hand)
    assert found.bins == 2
    assert found.chance == pytest.approx(1 / 100 + 1 / 100)
    assert found.reading == "strong"


@pytest.mark.parametrize(("rows", "others"), [(5_000, 5_000), (200, 5_000), (300, 300)])
def test_without_drift_it_is_as_expected_of_chance(rows: int, others: int) -> None:
    """Law: over many pairs of like samples the mean is as expected, and about one in a thousand is called drift."""
    random = np.random.default_rng(7)
    found = [drift(random.normal(size=rows), random.normal(size=others)) for _ in range(400)]
    assert np.mean([one.psi for one in found]) == pytest.approx(found[0].chance, rel=0.15)
    assert sum(one.reading != "chance" for one in found) <= 4


@pytest.mark.parametrize(("shift", "reading"), [(0.2, "slight"), (0.4, "moderate"), (0.8, "strong")])
def test_a_shift_is_found_and_graded(shift: float, reading: str) -> None:
    """Law: of 5,000 payments a side, a shift by a fifth of the spread is seen, and larger ones read worse."""
    random = np.random.default_rng(3)
    assert drift(random.normal(size=5_000), random.normal(shift, size=5_000)).reading == reading


def test_values_that_go_missing_are_drift() -> None:
    """Law: having no value is a bin of its own, also where there never was one."""
    present, missing = np.arange(400.0), np.full(400, np.nan)
    assert drift(present, np.where(np.arange(400) < 200, present, np.nan)).reading == "strong"
    assert drift(missing, present).reading == "strong"
    assert drift(missing, missing).psi == 0


def test_a_constant_does_not_drift() -> None:
    """Law: where there is one value there is one bin, no drift, and nothing that chance could do."""
    found = drift(np.zeros(300), np.zeros(5_000))
    assert (found.psi, found.bins, found.chance, found.reading) == (0, 1, 0, "chance")


def test_the_limit_of_chance_is_a_quantile_of_chi_squared() -> None:
    """Law: Wilson and Hilferty's formula is within four per cent of the exact 99.9 % quantiles, from tables."""
    for freedom, quantile in ((1, 10.828), (4, 18.467), (9, 27.877)):
        assert chance_of(freedom + 1, 100, 100)[1] == pytest.approx(quantile * 0.02, rel=0.04)


@given(
    st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), min_size=1, max_size=60),
    st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), min_size=1, max_size=60),
)
def test_it_is_finite_and_never_negative(reference: list[float], recent: list[float]) -> None:
    """Law: whatever the samples, also of one value each, there is a figure."""
    found = drift(np.array(reference), np.array(recent))
    assert 0 <= found.psi < math.inf
    assert 1 <= found.bins <= 11
    assert SMOOTHING > 0


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=40))
def test_a_ranking_is_what_pairs_and_walks_say(labelled: list[tuple[int, bool]]) -> None:
    """Law: the area is the share of pairs in order, ties half; the precision is averaged at each fraud found."""
    scores = np.array([score for score, _ in labelled], dtype=float)
    frauds = np.array([fraud for _, fraud in labelled], dtype=bool)
    found = ranking(scores, frauds)
    good, bad = scores[~frauds], scores[frauds]
    if not len(good) or not len(bad):
        assert (found.auc, found.average_precision) == (None, None)
        return
    pairs = [1.0 if b > g else 0.5 if b == g else 0.0 for b in bad for g in good]
    at_each = [(frauds & (scores >= score)).sum() / (scores >= score).sum() for score in bad]
    assert found.auc == pytest.approx(np.mean(pairs))
    assert found.average_precision == pytest.approx(np.mean(at_each))
    assert (found.payments, found.frauds) == (len(labelled), len(bad))
