"""A look at a model before it decides: what it says to a few fixed payments, beside the model in force.

Digests and signatures say that a snapshot is what was learned, not that what was learned is sane. The payments cover
the features' ranges evenly (a Weyl sequence), so every process makes the same check. The bounds are wide: two honest
snapshots of one log, however far apart, stay within them; a model that says the same to all, or the contrary to all,
does not.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import isfinite
from statistics import fmean

from streams.detector.encode import ENCODER, INPUTS
from streams.detector.scorer import Scorer

PAYMENTS = 64
GOLDEN = 0.6180339887498949
SPREAD_SHARE_MIN = 0.02
"""A model whose scores lie closer together than this share of those in force has collapsed."""
SHIFT_MAX = 8.0
"""Log-odds by which the mean score may move: more would stop, or let pass, nearly everything."""


def _payments() -> tuple[Sequence[int], ...]:
    """Return the cells of payments whose features lie evenly over the edges of their grids."""
    payments = []
    for number in range(1, PAYMENTS + 1):
        features = {}
        for place, each in enumerate(INPUTS, start=1):
            edges = each.grid.fine
            at = (number * (GOLDEN + place * GOLDEN * GOLDEN)) % 1.0 * (len(edges) + 1)
            features[each.feature] = (edges[0] - 1, *(low for low, _ in pairwise(edges)), edges[-1])[int(at)]
        payments.append(ENCODER.encode(features))
    return tuple(payments)


CANARIES = _payments()


def problem_of(scorer: Scorer, in_force: Scorer | None) -> str | None:
    """Return what is wrong with a model's scores, None where nothing is.

    >>> import numpy
    >>> sane = Scorer("m-1", 900, 40, -3.0, numpy.arange(ENCODER.cells) % 7 * 0.125)
    >>> problem_of(sane, None), problem_of(sane._replace(weights=numpy.zeros(ENCODER.cells)), sane)
    (None, 'its scores have collapsed to one')
    """
    scores = [scorer.log_odds(cells) for cells in CANARIES]
    if not all(map(isfinite, scores)):
        return "it has scores that are not finite"
    if in_force is None:
        return None
    before = [in_force.log_odds(cells) for cells in CANARIES]
    if max(scores) - min(scores) < SPREAD_SHARE_MIN * (max(before) - min(before)):
        return "its scores have collapsed to one"
    if abs(fmean(scores) - fmean(before)) > SHIFT_MAX:
        return f"its mean score is {fmean(scores) - fmean(before):+.1f} log-odds from that of the model in force"
    return None
