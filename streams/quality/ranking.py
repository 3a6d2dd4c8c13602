"""How well scores rank fraud: AUC, average precision and card precision, as the Fraud Detection Handbook defines them.

A score is any number that is larger where fraud is likelier; tied scores count as one cut.
(Le Borgne, Siblini, Lebichot and Bontempi, Reproducible Machine Learning for Credit Card Fraud Detection, chapter 4.)
"""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int64]


class Ranking:
    """Payments in the order of their scores, sorted once; each may then be counted as often as it weighs.

    A bootstrap asks for the same order again and again under other weights, so sorting is not repeated.

    >>> ranking = Ranking(np.array([0.9, 0.8, 0.7, 0.1]), np.array([True, False, True, False]))
    >>> round(ranking.average_precision(), 4), round(ranking.average_precision(np.array([1.0, 0.0, 1.0, 1.0])), 4)
    (0.8333, 1.0)
    """

    def __init__(self, scores: Array, frauds: Flags) -> None:
        self._order = np.argsort(-scores, kind="stable")
        self._frauds = frauds[self._order]
        ordered = scores[self._order]
        ends = np.append(ordered[1:] != ordered[:-1], np.ones(min(len(scores), 1), dtype=np.bool_))
        self._cuts = np.flatnonzero(ends)

    def _counted(self, weights: Array | None) -> tuple[Array, Array]:
        """Return at each cut, highest scores first, how many frauds and how many payments lie above it."""
        ordered = np.ones(len(self._order)) if weights is None else weights[self._order]
        return np.cumsum(ordered * self._frauds)[self._cuts], np.cumsum(ordered)[self._cuts]

    def average_precision(self, weights: Array | None = None) -> float:
        """Return the mean of precision over recall: of each fraud found, how pure the list was when it was found."""
        found, seen = self._counted(weights)
        if not len(found) or not found[-1]:
            return float("nan")
        precision = np.divide(found, seen, out=np.zeros_like(found), where=seen > 0)
        return float(np.sum(np.diff(found, prepend=0.0) * precision) / found[-1])

    def average_precision_of_known(self, stands_for: Array) -> float:
        """Return average precision where each known fraud stands for so many, all else for none.

        The frauds that are not known lie among the other payments, so each payment is counted once; and they lie
        before and after the known one that stands for them, so on the way to it half of them are found.
        """
        counted, one_each = stands_for[self._order], self._frauds
        found, known = np.cumsum(counted)[self._cuts], np.cumsum(one_each)[self._cuts]
        if not len(found) or not found[-1]:
            return float("nan")
        here = np.diff(found, prepend=0.0)
        precision = (found - (here - np.diff(known, prepend=0)) / 2) / (self._cuts + 1)
        return float(np.sum(here * np.minimum(precision, 1.0)) / found[-1])

    def auc(self, weights: Array | None = None) -> float:
        """Return the probability that a fraud scores higher than an honest payment, ties counting half."""
        found, seen = self._counted(weights)
        honest = seen - found
        if not len(found) or not found[-1] or not honest[-1]:
            return float("nan")
        below = honest[-1] - honest + np.diff(honest, prepend=0.0) / 2
        return float(np.sum(np.diff(found, prepend=0.0) * below) / (found[-1] * honest[-1]))

    def recall_at(self, share: float, weights: Array | None = None) -> float:
        """Return the share of frauds among so large a share of all payments, the highest scores.

        Of tied scores that the border divides, frauds are expected on both sides in proportion.
        """
        found, seen = self._counted(weights)
        if not len(found) or not found[-1]:
            return float("nan")
        return float(np.interp(share * seen[-1], np.append(0.0, seen), np.append(0.0, found)) / found[-1])


def average_precision(scores: Array, frauds: Flags) -> float:
    """Return the mean of precision over recall: of each fraud found, how pure the list was when it was found.

    >>> round(average_precision(np.array([0.9, 0.8, 0.7, 0.1]), np.array([True, False, True, False])), 4)
    0.8333
    """
    return Ranking(scores, frauds).average_precision()


def auc(scores: Array, frauds: Flags) -> float:
    """Return the probability that a fraud scores higher than an honest payment, ties counting half.

    >>> auc(np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False]))
    0.875
    """
    return Ranking(scores, frauds).auc()


def recall_at(scores: Array, frauds: Flags, share: float) -> float:
    """Return the share of frauds that lie in the highest scores, a share of all payments: 0.1 is the first decile.

    >>> recall_at(np.array([0.9, 0.8, 0.7, 0.1]), np.array([True, False, True, False]), 0.25)
    0.5
    """
    return Ranking(scores, frauds).recall_at(share)


def card_precision(scores: Array, frauds: Flags, cards: Codes, days: Codes, per_day: int) -> tuple[float, float]:
    """Return the mean over days of the share of defrauded cards among the `per_day` highest, and what was possible.

    A card scores its highest payment of the day; one that was found on a day is not looked at again.

    >>> scores, frauds = np.array([0.9, 0.8, 0.2, 0.7]), np.array([True, False, True, False])
    >>> card_precision(scores, frauds, cards=np.array([1, 2, 3, 1]), days=np.array([0, 0, 0, 1]), per_day=2)
    (0.25, 0.5)
    """
    found = daily_card_precision(scores, frauds, cards, days, per_day)
    possible = daily_card_precision(frauds.astype(np.float64), frauds, cards, days, per_day)
    return (float(found.mean()), float(possible.mean())) if len(found) else (float("nan"), float("nan"))


def daily_card_precision(scores: Array, frauds: Flags, cards: Codes, days: Codes, per_day: int) -> Array:
    """Return for each day that has payments the share of defrauded cards among the `per_day` highest."""
    found: set[int] = set()
    shares = []
    for day in np.unique(days):
        today = days == day
        highest: dict[int, float] = {}
        defrauded: set[int] = set()
        for card, score, fraud in zip(
            cards[today].tolist(), scores[today].tolist(), frauds[today].tolist(), strict=True
        ):
            if card not in found:
                highest[card] = max(score, highest.get(card, score))
                if fraud:
                    defrauded.add(card)
        alerts = sorted(highest, key=lambda card: (-highest[card], card))[:per_day]
        caught = defrauded.intersection(alerts)
        shares.append(len(caught) / per_day)
        found |= caught
    return np.array(shares, dtype=np.float64)


def unknown_cards(
    frauds: Flags, cards: Codes, days: Codes, *, first_day: int, last_day: int, delay_days: int, train_days: int = 7
) -> Flags:
    """Return which payments of the days are tested: those of cards not known to be defrauded by then.

    Known are cards with a fraud in the `train_days` before the delay, and day by day those whose labels have come.
    """
    start = first_day - delay_days
    known = set(cards[frauds & (days >= start - train_days) & (days < start)].tolist())
    tested = np.zeros(len(days), dtype=np.bool_)
    for day in range(first_day, last_day + 1):
        if day > first_day:
            known |= set(cards[frauds & (days == day - delay_days - 1)].tolist())
        today = days == day
        tested |= today & ~np.isin(cards, np.fromiter(known, dtype=np.int64, count=len(known)))
    return tested
