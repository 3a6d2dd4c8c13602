"""Drift per feature: the payments decided lately against those before, each a sample of at most 5,000.

The windows follow the time at which a payment was decided, which is ours: one payment dated ahead moves nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from consumers.drift import Drift, drift
from consumers.page.query import Query, rows

ROWS_MIN = 200
"""With fewer payments on a side, chance alone gives a PSI that other pages would call drift."""

LENGTHS_MS = (7 * 86_400_000, 86_400_000, 3_600_000)
"""A week, a day or an hour against the one before: the longest of which there are two, or else half against half."""

RANGE = """
SELECT count() AS payments, toUnixTimestamp64Milli(min(decided_at)) AS first_ms,
    toUnixTimestamp64Milli(max(decided_at)) AS last_ms
FROM predictions WHERE mode != 'history'
"""

# Chosen by a hash, not by order of storing, which would be by card. A record that was stored twice counts once.
SAMPLE = """
SELECT mapKeys(features) AS names, mapValues(features) AS numbers, record_partition, record_offset
FROM predictions
WHERE decided_at >= fromUnixTimestamp64Milli({since_ms:Int64})
    AND decided_at < fromUnixTimestamp64Milli({until_ms:Int64})
    AND mode != 'history'
ORDER BY cityHash64(card, transaction_id)
LIMIT 5000
"""


@dataclass(frozen=True, slots=True)
class Features:
    """Drift by feature, the largest first, and what was compared. None was compared where payments are too few."""

    since_ms: int
    middle_ms: int
    until_ms: int
    reference_rows: int
    recent_rows: int
    drifts: tuple[tuple[str, Drift], ...]

    @property
    def beyond_chance(self) -> int:
        return sum(found.reading != "chance" for _, found in self.drifts)

    def columns(self, number: int) -> list[tuple[tuple[str, Drift], ...]]:
        """Return the drifts in so many columns, to be read downwards."""
        height = -(-len(self.drifts) // number)
        return [self.drifts[start : start + height] for start in range(0, len(self.drifts), max(1, height))]


def features(query: Query) -> Features | None:
    """Ask for the two samples and compare them; None where nothing was decided yet."""
    known = rows(query(RANGE, None))[0]
    if not known["payments"]:
        return None
    until_ms = known["last_ms"] + 1
    since_ms, middle_ms = halves(known["first_ms"], until_ms)
    reference = _sample(query, since_ms, middle_ms)
    recent = _sample(query, middle_ms, until_ms)
    drifts: list[tuple[str, Drift]] = []
    if min(len(reference), len(recent)) >= ROWS_MIN:
        names = sorted({*reference.columns, *recent.columns})
        before, after = reference.reindex(columns=names), recent.reindex(columns=names)
        drifts = [(name, drift(before[name].to_numpy(float), after[name].to_numpy(float))) for name in names]
        drifts.sort(key=lambda named: (-named[1].psi, named[0]))
    return Features(since_ms, middle_ms, until_ms, len(reference), len(recent), tuple(drifts))


def halves(first_ms: int, until_ms: int) -> tuple[int, int]:
    """Return where the reference begins and where it ends.

    >>> halves(0, 1_000), halves(0, 9_000_000)
    ((0, 500), (1800000, 5400000))
    """
    length_ms = next((length for length in LENGTHS_MS if until_ms - first_ms >= 2 * length), None)
    if length_ms is None:
        return first_ms, (first_ms + until_ms) // 2
    return until_ms - 2 * length_ms, until_ms - length_ms


def _sample(query: Query, since_ms: int, until_ms: int) -> pd.DataFrame:
    found = query(SAMPLE, {"since_ms": since_ms, "until_ms": until_ms})
    once: dict[tuple[int, int], dict[str, float]] = {}
    places = zip(found["record_partition"], found["record_offset"], strict=True)
    for place, names, numbers in zip(places, found["names"], found["numbers"], strict=True):
        once[place] = _named(names, numbers)
    return pd.DataFrame(list(once.values()))


def _named(names: Sequence[str], numbers: Sequence[float]) -> dict[str, float]:
    return dict(zip(names, numbers, strict=True))
