"""Money, probabilities, segments, intervals, and the figures of an evaluation, against what is worked out by hand."""

from math import isnan, log
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.quality.figures import Scored, figures_of
from streams.quality.money import daily_value_caught
from streams.quality.probability import calibration_bins, log_losses, log_odds_of, probabilities_of, squared_errors
from streams.quality.ranking import Array, Flags, Ranking, average_precision
from streams.quality.resampling import clusters_of, compared, draws_of, intervals
from streams.quality.segments import segments_of

Row = tuple[float, bool, int]
"""Score, fraud, and how often the payment counts."""

_rows = st.lists(st.tuples(st.integers(0, 6).map(float), st.booleans(), st.integers(0, 3)), min_size=1, max_size=30)


def _columns(rows: list[Row]) -> tuple[Array, Flags, Array]:
    scores, frauds, weights = zip(*rows, strict=True)
    return np.array(scores), np.array(frauds, dtype=np.bool_), np.array(weights, dtype=np.float64)


@given(_rows)
def test_a_weight_is_a_repetition(rows: list[Row]) -> None:
    """Law: a payment that weighs two ranks as two equal payments; one that weighs nothing is not there."""
    scores, frauds, weights = _columns(rows)
    repeated = np.repeat(np.arange(len(rows)), weights.astype(np.int64))
    weighted, plain = Ranking(scores, frauds), Ranking(scores[repeated], frauds[repeated])
    for one, other in (
        (weighted.average_precision(weights), plain.average_precision()),
        (weighted.auc(weights), plain.auc()),
        (weighted.recall_at(0.1, weights), plain.recall_at(0.1)),
    ):
        assert one == pytest.approx(other, abs=1e-12, nan_ok=True)


@given(_rows, st.sampled_from([0.1, 0.25, 0.5, 1.0]))
def test_recall_at_a_share_is_what_is_expected_of_ties(rows: list[Row], share: float) -> None:
    """Law: frauds above the border are found; of those tied at it the share of the tie that still fits."""
    scores, frauds, _ = _columns(rows)
    room, found = share * len(rows), 0.0
    for score in sorted({*scores.tolist()}, reverse=True):
        tied = scores == score
        found += float((tied & frauds).sum()) * min(1.0, max(0.0, room) / float(tied.sum()))
        room -= float(tied.sum())
    expected = found / frauds.sum() if frauds.any() else float("nan")
    assert Ranking(scores, frauds).recall_at(share) == pytest.approx(expected, nan_ok=True)


@given(_rows, st.lists(st.integers(0, 3), min_size=30, max_size=30), st.integers(1, 5))
def test_value_is_caught_day_by_day(rows: list[Row], on_days: list[int], per_day: int) -> None:
    """Law: each day so many payments with the highest scores are looked at, and their fraud's amount is kept."""
    scores, frauds, amounts = _columns(rows)
    scores = scores + np.arange(len(rows)) / 100  # without ties
    days = np.array(on_days[: len(rows)])
    caught, whole = daily_value_caught(scores, frauds, amounts, days, per_day)
    for place, day in enumerate(sorted({*days.tolist()})):
        today = sorted(np.flatnonzero(days == day).tolist(), key=lambda row: -scores[row])
        assert caught[place] == sum(amounts[row] for row in today[:per_day] if frauds[row])
        assert whole[place] == sum(amounts[row] for row in today if frauds[row])


@given(st.lists(st.tuples(st.floats(0.001, 0.999), st.booleans()), min_size=1, max_size=40), st.integers(1, 12))
def test_bins_hold_every_payment_once(rows: list[tuple[float, bool]], number: int) -> None:
    """Law: bins divide the payments, rise in probability, and their means are those of all together."""
    probabilities, frauds = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    bins = calibration_bins(probabilities, frauds, number)
    assert len(bins) <= number
    assert sum(each.payments for each in bins) == len(rows)
    assert [each.mean_probability for each in bins] == sorted(each.mean_probability for each in bins)
    assert sum(each.payments * each.fraud_rate for each in bins) == pytest.approx(frauds.sum())
    assert sum(each.payments * each.mean_probability for each in bins) == pytest.approx(probabilities.sum())


def test_proper_scores_by_hand() -> None:
    """Law: log loss is minus the logarithm of what was said of what happened, Brier the square of the error."""
    probabilities, frauds = np.array([0.8, 0.4]), np.array([True, False])
    assert log_losses(probabilities, frauds).tolist() == pytest.approx([-log(0.8), -log(0.6)])
    assert squared_errors(probabilities, frauds).tolist() == pytest.approx([0.04, 0.16])
    assert probabilities_of(log_odds_of(probabilities, 1e-9)).tolist() == pytest.approx([0.8, 0.4])


@given(st.lists(st.one_of(st.none(), st.integers(0, 40)), min_size=1, max_size=80))
def test_segments_divide_the_payments(values: list[int | None]) -> None:
    """Law: each payment is in one segment; smaller values are in no later one, and what is missing is in the last."""
    column = np.array([np.nan if value is None else float(value) for value in values])
    codes, names = segments_of(column)
    assert codes.min() >= 0
    assert codes.max() < len(names)
    there = ~np.isnan(column)
    assert (np.diff(codes[there][np.argsort(column[there])]) >= 0).all()
    assert all(names[code] == "missing" for code in codes[~there])


def test_an_interval_is_drawn_by_clusters() -> None:
    """Law: what holds for whole clusters varies as few witnesses do, however many rows each has."""
    chance = np.random.default_rng(3)
    cards = np.repeat(np.arange(40), 50)
    values = chance.normal(size=40)[cards]
    places, clusters = clusters_of(cards)

    def mean(weights: Array) -> dict[str, float]:
        return {"mean": float(np.average(values, weights=weights[places]))}

    low, high = intervals(mean, clusters, draws=400)["mean"]
    width = 2 * 1.96 * values.std() / np.sqrt(40)
    assert high - low == pytest.approx(width, rel=0.2)
    assert [weights.sum() for weights in draws_of(5, draws=3, seed=2)] == [5, 5, 5]


def test_a_difference_is_drawn_in_pairs() -> None:
    """Law: two models that differ little on the same rows differ surely, though each alone is uncertain."""
    chance = np.random.default_rng(5)
    frauds = chance.random(4_000) < 0.05
    scores = chance.normal(size=4_000) + 2.0 * frauds
    worse = scores + chance.normal(size=4_000) * 0.6
    found = compared(Ranking(scores, frauds), Ranking(worse, frauds), np.arange(4_000), draws=100)
    assert found.difference_interval.low > 0
    assert found.ratio_interval.low > 1
    assert found.difference == pytest.approx(average_precision(scores, frauds) - average_precision(worse, frauds))
    same = compared(Ranking(scores, frauds), Ranking(scores, frauds), np.arange(4_000), draws=20)
    assert (same.difference_interval, same.ratio_interval) == ((0, 0), (1, 1))


def _scored(payments: int = 3_000) -> Scored:
    chance = np.random.default_rng(7)
    frauds = chance.random(payments) < 0.1
    probabilities = np.clip(chance.beta(1, 9, payments) + 0.3 * frauds, 0.001, 0.999)
    return Scored(
        log_odds_of(probabilities, 1e-9),
        frauds,
        chance.integers(0, 1_500, payments),
        np.sort(chance.integers(100, 114, payments)),
        chance.integers(100, 9_000, payments).astype(np.float64),
        {"payment_channel": chance.integers(0, 3, payments).astype(np.float32)},
    )


def test_figures_of_weeks_segments_and_all() -> None:
    """Law: segments and weeks divide what is tested, figures lie in their intervals, means are those of the rows."""
    told = figures_of(_scored(), first_day=100, last_day=113, delay_days=3, segments=["payment_channel"])
    overall, segments = told["overall"], told["segments"]["payment_channel"]
    assert [each["segment"] for each in segments] == ["0", "1", "2"]
    for parts in (segments, told["weeks"]):
        assert sum(each["transactions"] for each in parts) == overall["transactions"]
        assert sum(each["frauds"] for each in parts) == overall["frauds"]
        weighted = fmean(each["brier"] for each in parts for _ in range(each["transactions"]))
        assert weighted == pytest.approx(overall["brier"], abs=1e-5)
    for name, (low, high) in overall["intervals"].items():
        assert low <= overall[name] <= high, name
    assert sum(each["transactions"] for each in overall["calibration_bins"]) == overall["transactions"]


def test_without_payments_there_are_no_figures() -> None:
    """Law: a range that holds no payment has figures that say nothing, and no error."""
    told = figures_of(_scored(50), first_day=500, last_day=506, delay_days=3)
    assert told["overall"]["transactions"] == 0
    assert told["overall"]["ap"] is None
    assert isnan(Ranking(np.array([]), np.array([], dtype=np.bool_)).recall_at(0.1))
