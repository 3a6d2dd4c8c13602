"""Judges of what came in: features, score and segments of the recent payments beside those of the reference.

A feature has moved where its population stability index passes both the quantile that chance gives for these sample
sizes, corrected for the number of features, and a least size: with thousands of payments every difference is beyond
chance, and few are worth a person's time (0.2 to 0.25 is what credit scoring calls a strong shift; Siddiqi, Credit Risk
Scorecards, 2006).
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from consumers.drift import chance_of, psi_of
from consumers.monitors.chance import z_of
from consumers.monitors.finding import Columns, Fact, Finding

ROWS_MIN = 300
VALUES_MIN = 200
"""With fewer values on a side nothing is said of a single feature or segment."""
PSI_MIN = 0.2
SEGMENT_PSI_MIN = 0.1
JUMP_MIN, JUMP_TIMES = 0.2, 2.0
"""A field is broken where so many more of the payments lack it than before, or have one and the same value, and so many
times as many. Of a feature that has moved it is enough that this is half of what differs."""
RARE_SHARE = 0.05
DISTINCT_MIN = 5
"""A feature with so many values and more is broken where one value that was rare takes a large share."""
RARE = 20
"""Segments with fewer payments on both sides together are one."""
TOP_BEFORE, TOP_AFTER = 0.9, 0.995
"""A field is broken where one value takes nearly all that was spread before."""
NAMED_MAX = 5

Counts = Sequence[int]


class Moved(NamedTuple):
    """One feature or field: its index, what chance allows, and what is wrong with it, if something is."""

    name: str
    psi: float
    limit: float
    broken: str | None

    @property
    def moved(self) -> bool:
        return self.broken is None and self.psi > self.limit


def features_moved(columns: Columns) -> Finding | None:
    """Judge the features: `feature_moved`, and `field_broken` where one is missing or stuck of late."""
    return _distributions(columns, "feature_moved", "features", breaks=True)


def score_moved(columns: Columns) -> Finding | None:
    """Judge the score: `score_moved`. It is no sender's field, so one that is stuck has moved."""
    return _distributions(columns, "score_moved", "score", breaks=False)


def _distributions(columns: Columns, fact: Fact, subject: str, *, breaks: bool) -> Finding | None:
    counts = {name: at for at, name in enumerate(columns["name"])}
    if "" not in counts:
        return None
    totals = counts.pop("")
    before_rows, after_rows = columns["reference_values"][totals], columns["recent_values"][totals]
    if min(before_rows, after_rows) < ROWS_MIN or not counts:
        return None
    z = z_of(len(counts))
    found = []
    for name, at in counts.items():
        before_missing = before_rows - columns["reference_values"][at]
        after_missing = after_rows - columns["recent_values"][at]
        before = [*columns["reference"][at], before_missing]
        after = [*columns["recent"][at], after_missing]
        moved = _moved(name, before, after, z, PSI_MIN)
        if not breaks:
            found.append(moved)
            continue
        tops = columns["reference_top"][at] / before_rows, columns["recent_top"][at] / after_rows
        spread = columns["reference_distinct"][at] >= DISTINCT_MIN and tops[0] <= RARE_SHARE
        differing = sum(abs(p / before_rows - q / after_rows) for p, q in zip(before, after, strict=True)) / 2
        least = differing / 2 if moved.moved else JUMP_MIN
        if _jumped(before_missing / before_rows, after_missing / after_rows, least):
            moved = moved._replace(broken="missing")
        elif spread and _jumped(*tops, least):
            moved = moved._replace(broken="stuck at one value")
        found.append(moved)
    return _told(found, fact, after_rows, subject)


def segments_moved(columns: Columns) -> Finding | None:
    """Judge the segments, such as country and channel: `mix_shifted`, and `field_broken`.

    A field's shares are those among the payments that have it, so one that is missing of late has not shifted.
    """
    fields: defaultdict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
    for name, value, before, after in zip(
        columns["field"], columns["value"], columns["reference"], columns["recent"], strict=True
    ):
        fields[name][value] = (before, after)
    found = []
    rows = 0
    z = z_of(len(fields))
    for name, values in fields.items():
        before_rows, after_rows = (sum(side) for side in zip(*values.values(), strict=True))
        if min(before_rows, after_rows) < ROWS_MIN:
            return None
        rows = after_rows
        missing_before, missing_after = values.pop("", (0, 0))
        broken = "missing" if _jumped(missing_before / before_rows, missing_after / after_rows, JUMP_MIN) else None
        if min(before_rows - missing_before, after_rows - missing_after) < VALUES_MIN:
            found.append(Moved(name, 0.0, SEGMENT_PSI_MIN, broken))
            continue
        before, after = _without_rare(values)
        tops = max(before) / sum(before), max(after) / sum(after)
        constant = tops[0] <= TOP_BEFORE and tops[1] >= TOP_AFTER
        moved = _moved(name, before, after, z, SEGMENT_PSI_MIN)
        found.append(moved._replace(broken="stuck at one value" if constant else broken))
    return _told(found, "mix_shifted", rows, "segments") if found else None


def _moved(name: str, before: Counts, after: Counts, z: float, least: float) -> Moved:
    used = [(p, q) for p, q in zip(before, after, strict=True) if p or q]
    before, after = [p for p, _ in used], [q for _, q in used]
    _, limit = chance_of(len(used), sum(before), sum(after), z)
    return Moved(name, psi_of(before, after), max(limit, least), None)


def _jumped(before: float, after: float, least: float) -> bool:
    return after - before >= least and after >= JUMP_TIMES * before


def _without_rare(values: dict[str, tuple[int, int]]) -> tuple[Counts, Counts]:
    common = [each for each in values.values() if sum(each) >= RARE]
    rare = [each for each in values.values() if sum(each) < RARE]
    rest = [(sum(before for before, _ in rare), sum(after for _, after in rare))] if rare else []
    return [before for before, _ in common + rest], [after for _, after in common + rest]


def _told(found: list[Moved], fact: Fact, rows: int, subject: str) -> Finding:
    broken = [each for each in found if each.broken]
    moved = sorted((each for each in found if each.moved), key=lambda each: each.limit / each.psi)
    worst = (broken or moved or sorted(found, key=lambda each: -each.psi))[0]
    said = [f"{each.name} is {each.broken}" for each in broken]
    said += [f"{each.name} moved by {each.psi:.2f} (bound {each.limit:.2f})" for each in moved]
    more = f" and {len(said) - NAMED_MAX} more" if len(said) > NAMED_MAX else ""
    facts: set[Fact] = {fact} if moved else set()
    if broken:
        facts.add("field_broken")
    return Finding(
        over=bool(facts),
        value=round(worst.psi, 4),
        bound=round(worst.limit, 4),
        rows=rows,
        subject=worst.name if facts else subject,
        text=("; ".join(said[:NAMED_MAX]) + more) or f"{worst.name} moved most, by {worst.psi:.3f}",
        facts=frozenset(facts),
    )
