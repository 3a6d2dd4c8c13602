"""Payments in segments, by the values of any column: each value where they are few, else tenths of all payments."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from streams.quality.ranking import Codes

VALUES_MAX = 12
TENTHS = 10


def segments_of(column: npt.NDArray[np.floating]) -> tuple[Codes, list[str]]:
    """Return for each row the number of its segment, and the segments' names, in order; missing values are the last.

    >>> codes, names = segments_of(np.array([1.0, 0.0, float("nan"), 1.0]))
    >>> codes.tolist(), names
    ([1, 0, 2, 1], ['0', '1', 'missing'])
    >>> segments_of(np.arange(100.0))[1][:2]
    ['under 10', '10 to 20']
    """
    missing = np.isnan(column)
    values = np.unique(column[~missing])
    if len(values) <= VALUES_MAX:
        names = [f"{value:g}" for value in values]
        codes = np.searchsorted(values, column)
    else:
        there = np.sort(column[~missing])
        edges = np.unique(there[len(there) * np.arange(1, TENTHS) // TENTHS])
        names = [f"under {edges[0]:g}"]
        names += [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
        names.append(f"{edges[-1]:g} and more")
        codes = np.searchsorted(edges, column, side="right")
    if missing.any():
        names.append("missing")
        codes[missing] = len(names) - 1
    return codes.astype(np.int64), names
