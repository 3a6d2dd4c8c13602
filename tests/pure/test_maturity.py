"""Quality as known while labels come in, against delays that are known because they were drawn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.quality.maturity import Known, Period, as_known, shares_known
from tests.bench.maturity import covered, simulate


@given(st.lists(st.integers(0, 6), min_size=1, max_size=40))
def test_of_old_frauds_it_is_the_plain_share(delays: list[int]) -> None:
    """Law: where every fraud is older than the horizon nothing is cut off, and shares are those counted."""
    known = shares_known(np.array(delays), np.full(len(delays), 9), 6)
    assert known.tolist() == pytest.approx([sum(each <= day for each in delays) / len(delays) for day in range(7)])


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=40),
    st.lists(st.integers(0, 6), min_size=1, max_size=9),
)
def test_shares_rise_to_one(young: list[tuple[int, int]], old: list[int]) -> None:
    """Law: a share never falls with days, and at the horizon all that counts is known."""
    rows = [(min(each), max(each)) for each in young] + [(each, 9) for each in old]
    known = shares_known(np.array([row[0] for row in rows]), np.array([row[1] for row in rows]), 6)
    assert known[-1] == 1
    assert (np.diff(known) >= -1e-12).all()
    assert (known >= -1e-12).all()


def test_what_is_cut_off_does_not_shorten_delays() -> None:
    """Law: of delays that are even over ten days, the young show only short ones; the shares are even all the same."""
    chance = np.random.default_rng(2)
    delays, ages = chance.integers(0, 10, 60_000), chance.integers(0, 30, 60_000)
    seen = delays <= ages
    known = shares_known(delays[seen], ages[seen], 9)
    assert known.tolist() == pytest.approx([(day + 1) / 10 for day in range(10)], abs=0.02)
    naive = [(delays[seen] <= day).mean() for day in range(10)]
    assert naive[2] > known[2] + 0.03


def test_without_an_old_fraud_nothing_is_known() -> None:
    """Law: what comes after the oldest fraud's age cannot be told."""
    with pytest.raises(ValueError, match="no known fraud is 30 days old"):
        shares_known(np.array([1, 2]), np.array([5, 9]), 30)


def _history(number: int) -> Known:
    """Half of all frauds are known at once, the others after ten days; all of them are old."""
    places = np.arange(number)
    return Known(10 * (places % 2), np.full(number, 40), places % 20, np.zeros(number, np.int64))


def test_each_known_fraud_stands_for_those_like_it() -> None:
    """Law: where half is known, a fraud counts twice; the naive figure has half, and recall does not change."""
    known = np.zeros(100, dtype=np.bool_)
    known[:20] = True
    period = Period(np.full(100, 5), np.zeros(100, np.int64), np.linspace(1, 0, 100), known)
    told = as_known(_history(400), period, horizon_days=30, threshold=0.9)
    assert told["frauds"].value == pytest.approx(40)
    assert told["frauds"].naive == 20
    assert told["fraud_rate"].value == pytest.approx(0.4)
    assert told["recall"].value == told["recall"].naive
    for each in told.values():
        assert each.interval.low <= each.value <= each.interval.high
    assert told["frauds"].interval.low >= 20


@pytest.mark.parametrize(("ages", "known"), [(0, 5), (5, 0)])
def test_what_is_too_young_or_unknown_is_not_told(ages: int, known: int) -> None:
    """Law: payments of which next to nothing is known yet, or no known fraud, have no figure rather than a wild one."""
    frauds = np.arange(50) < known
    period = Period(np.full(50, ages), np.zeros(50, np.int64), np.linspace(1, 0, 50), frauds)
    history = _history(400)
    late = Known(history.delays + 3, history.ages, history.cohorts, history.strata)
    told = as_known(late, period, horizon_days=30, threshold=0.5, draws=5)
    assert all(np.isnan([each.value, *each.interval]).all() for each in told.values())


def test_intervals_cover_what_turns_out() -> None:
    """Law: over simulated weeks the interval holds the final truth nearly always; that of known labels hardly ever."""
    told = covered(simulate(16, seed=4), 16, 7)
    assert all(row["covered"] >= 0.75 for row in told.values())
    assert told["frauds"]["naive_covered"] <= 0.5
    assert told["recall"]["naive_bias"] > 0.1 > abs(told["recall"]["bias"])
