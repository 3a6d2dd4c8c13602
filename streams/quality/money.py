"""What a team that looks at so many payments a day keeps from being lost: recall by value."""

import numpy as np

from streams.quality.ranking import Array, Codes, Flags


def daily_value_caught(scores: Array, frauds: Flags, amounts: Array, days: Codes, per_day: int) -> tuple[Array, Array]:
    """Return for each day that has payments the fraud's amount among the `per_day` highest scores, and all of it.

    Where tied scores lie on the border, their payments are looked at in proportion. An amount that is not known is
    none.

    >>> scores, frauds = np.array([0.9, 0.8, 0.2, 0.7]), np.array([True, False, True, True])
    >>> amounts, days = np.array([100.0, 50.0, 300.0, 10.0]), np.array([0, 0, 0, 1])
    >>> [caught.tolist() for caught in daily_value_caught(scores, frauds, amounts, days, per_day=2)]
    [[100.0, 10.0], [400.0, 10.0]]
    """
    lost = np.where(frauds, np.nan_to_num(amounts), 0.0)
    order = np.lexsort((-scores, days))
    borders = np.flatnonzero(np.diff(days[order])) + 1
    caught, whole = [], []
    for today in np.split(order, borders) if len(order) else []:
        ends = np.flatnonzero(np.append(np.diff(scores[today]) != 0, True))
        sums = np.cumsum(lost[today])
        caught.append(np.interp(per_day, np.append(0, ends + 1), np.append(0.0, sums[ends])))
        whole.append(sums[-1])
    return np.array(caught), np.array(whole)


def value_recall(scores: Array, frauds: Flags, amounts: Array, days: Codes, per_day: int) -> float:
    """Return the share of the fraud's amount that lies in each day's `per_day` highest scores.

    >>> scores, frauds, days = np.array([0.9, 0.8, 0.2]), np.array([True, False, True]), np.array([0, 0, 0])
    >>> value_recall(scores, frauds, np.array([100.0, 50.0, 300.0]), days, per_day=2)
    0.25
    """
    caught, whole = daily_value_caught(scores, frauds, amounts, days, per_day)
    return float(caught.sum() / whole.sum()) if whole.sum() else float("nan")
