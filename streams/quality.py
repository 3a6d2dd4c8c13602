"""How well scores rank fraud: AUC, average precision and card precision, as the Fraud Detection Handbook defines them.

Pure functions over arrays. A score is any number that is larger where fraud is likelier; tied scores count as one cut.
(Le Borgne, Siblini, Lebichot and Bontempi, Reproducible Machine Learning for Credit Card Fraud Detection, chapter 4.)
"""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int64]


def average_precision(scores: Array, frauds: Flags) -> float:
    """Return the mean of precision over recall: of each fraud found, how pure the list was when it was found.

    >>> round(average_precision(np.array([0.9, 0.8, 0.7, 0.1]), np.array([True, False, True, False])), 4)
    0.8333
    """
    if not frauds.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    cuts = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    found = np.cumsum(frauds[order])[cuts]
    precision, recall = found / (cuts + 1), found / frauds.sum()
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def auc(scores: Array, frauds: Flags) -> float:
    """Return the probability that a fraud scores higher than an honest payment, ties counting half.

    >>> auc(np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False]))
    0.875
    """
    number, honest = int(frauds.sum()), int((~frauds).sum())
    if not number or not honest:
        return float("nan")
    _, tied, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[tied]
    return float((ranks[frauds].sum() - number * (number + 1) / 2) / (number * honest))


def card_precision(scores: Array, frauds: Flags, cards: Codes, days: Codes, per_day: int) -> tuple[float, float]:
    """Return the mean over days of the share of defrauded cards among the `per_day` highest, and what was possible.

    A card scores its highest payment of the day; one that was found on a day is not looked at again.

    >>> scores, frauds = np.array([0.9, 0.8, 0.2, 0.7]), np.array([True, False, True, False])
    >>> card_precision(scores, frauds, cards=np.array([1, 2, 3, 1]), days=np.array([0, 0, 0, 1]), per_day=2)
    (0.25, 0.5)
    """
    return (
        _card_precision(scores, frauds, cards, days, per_day),
        _card_precision(frauds.astype(np.float64), frauds, cards, days, per_day),
    )


def _card_precision(scores: Array, frauds: Flags, cards: Codes, days: Codes, per_day: int) -> float:
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
    return float(np.mean(shares)) if shares else float("nan")


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
