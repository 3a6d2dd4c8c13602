"""Figures of quality against hand-worked examples and the definitions, pair by pair and day by day."""

from math import isnan
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.quality.ranking import auc, average_precision, card_precision, unknown_cards

Row = tuple[float, bool, int, int]
"""Score, fraud, card, day."""

_rows = st.lists(
    st.tuples(st.integers(0, 8).map(lambda tenth: tenth / 8), st.booleans(), st.integers(0, 6), st.integers(0, 12)),
    max_size=40,
)


def _columns(rows: list[Row]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    scores, frauds, cards, days = zip(*rows, strict=True) if rows else ((), (), (), ())
    return (
        np.array(scores, dtype=np.float64),
        np.array(frauds, dtype=np.bool_),
        np.array(cards, dtype=np.int64),
        np.array(days, dtype=np.int64),
    )


def _same(one: float, other: float) -> bool:
    return one == pytest.approx(other, abs=1e-12, nan_ok=True)


@given(_rows)
def test_auc_is_the_share_of_pairs(rows: list[Row]) -> None:
    """Law: over all pairs of a fraud and an honest payment, the share in which the fraud scores higher, ties half."""
    pairs = [(one[0] > other[0]) + (one[0] == other[0]) / 2 for one in rows if one[1] for other in rows if not other[1]]
    assert _same(auc(*_columns(rows)[:2]), fmean(pairs) if pairs else float("nan"))


@given(_rows)
def test_average_precision_is_the_mean_over_frauds(rows: list[Row]) -> None:
    """Law: of each fraud, how many of those that score no lower are fraud; the mean of that over all frauds."""
    precisions = [fmean(float(other[1]) for other in rows if other[0] >= one[0]) for one in rows if one[1]]
    assert _same(average_precision(*_columns(rows)[:2]), fmean(precisions) if precisions else float("nan"))


@given(_rows, st.integers(1, 4))
def test_card_precision_day_by_day(rows: list[Row], per_day: int) -> None:
    """Law: each day the cards with the highest scores are looked at; one that was found is out from then on."""
    scores, frauds, cards, days = _columns(rows)
    told = card_precision(scores, frauds, cards, days, per_day)
    for place, expected in enumerate(told):
        found: list[int] = []
        shares = []
        for day in sorted({row[3] for row in rows}):
            today = [row for row in rows if row[3] == day and row[2] not in found]
            highest = sorted(
                {row[2] for row in today}, key=lambda card: (-max(row[place] for row in today if row[2] == card), card)
            )
            caught = [card for card in highest[:per_day] if any(row[1] for row in today if row[2] == card)]
            shares.append(len(caught) / per_day)
            found += caught
        assert _same(expected, fmean(shares) if shares else float("nan"))


@given(_rows, st.integers(0, 8), st.integers(0, 4), st.integers(0, 3), st.integers(1, 4))
def test_only_unknown_cards_are_tested(rows: list[Row], first: int, more: int, delay: int, train: int) -> None:
    """Law: a payment is tested unless its card had a fraud in training, or since, that is known by its day."""
    _, frauds, cards, days = _columns(rows)
    tested = unknown_cards(
        frauds, cards, days, first_day=first, last_day=first + more, delay_days=delay, train_days=train
    )
    for is_tested, (_, _, card, day) in zip(tested, rows, strict=True):
        known = any(row[1] and row[2] == card and first - delay - train <= row[3] <= day - delay - 1 for row in rows)
        assert is_tested == (first <= day <= first + more and not known)


# One fraud at the top, one in the middle of two honest ones, one at the very end, with a tie.
SCORES = np.array([0.9, 0.7, 0.7, 0.5, 0.4, 0.1])
FRAUDS = np.array([True, False, True, False, False, True])


def test_worked_by_hand() -> None:
    """Law: nine pairs, of which 3, 2.5 and 0 are in order; precisions 1/1, 2/3 and 3/6."""
    assert auc(SCORES, FRAUDS) == pytest.approx(5.5 / 9)
    assert average_precision(SCORES, FRAUDS) == pytest.approx((1 + 2 / 3 + 1 / 2) / 3)


def test_card_precision_worked_by_hand() -> None:
    """Law: on day one card 1 is caught of two looked at; on day two it is out, and card 3 is caught, card 2 is not."""
    cards, days = np.array([1, 1, 2, 2, 3, 1]), np.array([1, 1, 1, 2, 2, 2])
    frauds = np.array([True, False, False, True, True, True])
    scores = np.array([0.2, 0.9, 0.8, 0.1, 0.7, 0.99])
    assert card_precision(scores, frauds, cards, days, 1) == (1.0, 1.0)
    assert card_precision(scores, frauds, cards, days, 2) == (0.75, 0.75)


@pytest.mark.parametrize("frauds", [[], [False], [True]])
def test_without_frauds_or_without_payments_there_is_no_figure(frauds: list[bool]) -> None:
    """Law: what cannot be told is not a number, not nought and not one."""
    scores, flags = np.zeros(len(frauds)), np.array(frauds, dtype=np.bool_)
    assert isnan(auc(scores, flags))
    assert isnan(average_precision(scores, flags)) == (not any(frauds))
