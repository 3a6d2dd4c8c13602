"""Judges of the monitors, against cases by hand and against chance itself."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.monitors.chance import share_of, z_of
from consumers.monitors.finding import Columns, Fact, Finding
from consumers.monitors.inputs import features_moved, segments_moved
from consumers.monitors.outcomes import decisions_moved, errors_rose, labels_jumped, miscalibrated, quality_dropped
from consumers.monitors.service import quiet, refused, slow, stale, stored_late

EVEN = [500] * 10


def features(**changes: Any) -> Columns:
    """One feature of 5,000 payments a side, even over ten bins, with changes."""
    row = {
        "reference": EVEN,
        "recent": EVEN,
        "reference_values": 5_000,
        "recent_values": 5_000,
        "reference_distinct": 100,
        "reference_top": 50,
        "recent_top": 50,
    } | changes
    totals = {"reference_values": 5_000, "recent_values": 5_000, "reference": [5_000, 0], "recent": [5_000, 0]}
    return {"name": ["", "f"], **{name: [totals.get(name, 1), value] for name, value in row.items()}}


TILTED = [100, 200, 300, 400, 500, 500, 600, 700, 800, 900]
JUDGED: list[tuple[str, Columns, set[Fact]]] = [
    ("the same", features(), set()),
    ("another shape", features(recent=TILTED), {"feature_moved"}),
    ("a slight one", features(recent=[460, 470, 480, 490, 500, 500, 510, 520, 530, 540]), set()),
    ("missing in a third", features(recent=[340] * 10, recent_values=3_400), {"field_broken"}),
    ("a value takes a third", features(recent=[*[350] * 9, 1_850], recent_top=1_520), {"field_broken"}),
    (
        "a common value more",
        features(recent=[*[350] * 9, 1_850], reference_top=400, recent_top=1_520),
        {"feature_moved"},
    ),
]


@pytest.mark.parametrize(("columns", "facts"), [row[1:] for row in JUDGED], ids=[row[0] for row in JUDGED])
def test_a_feature_that_moved_is_told_from_a_broken_one(columns: Columns, facts: set[Fact]) -> None:
    """Law: what is missing or stuck is broken; another shape has moved; what is slight is nothing."""
    found = features_moved(columns)
    assert found is not None
    assert found.facts == facts
    assert found.over == bool(facts)


def segments(**values: tuple[int, int]) -> Columns:
    rows = [("country", "" if value == "none" else value, *counts) for value, counts in values.items()]
    return dict(zip(("field", "value", "reference", "recent"), map(list, zip(*rows, strict=True)), strict=True))


@pytest.mark.parametrize(
    ("columns", "facts"),
    [
        (segments(DE=(3_500, 3_400), FR=(1_500, 1_600)), set()),
        (segments(DE=(3_500, 2_000), FR=(1_500, 3_000)), {"mix_shifted"}),
        (segments(DE=(3_400, 1_700), FR=(1_500, 800), none=(100, 2_500)), {"field_broken"}),
        (segments(DE=(3_500, 5_000), FR=(1_500, 0)), {"field_broken"}),
    ],
)
def test_a_mix_that_shifted_is_told_from_a_broken_field(columns: Columns, facts: set[Fact]) -> None:
    """Law: a field that is missing has not shifted, and one that has one value left is broken."""
    found = segments_moved(columns)
    assert found is not None
    assert found.facts == facts


def decisions(recent: int, version: str = "p-1", rows: int = 6_000) -> Columns:
    ages = list(range(29))
    return {
        "age": ages,
        "policy_version": [version] + ["p-1"] * 28,
        "payments": [rows] * 29,
        "acted": [recent] + [60] * 28,
    }


@pytest.mark.parametrize(
    ("columns", "facts"),
    [
        (decisions(60), set()),
        (decisions(85), set()),
        (decisions(180), {"decisions_moved"}),
        (decisions(5), {"decisions_moved"}),
        (decisions(180, "p-2"), {"decisions_moved", "policy_changed"}),
        (decisions(62, "p-2"), {"policy_changed"}),
    ],
)
def test_a_jump_of_the_mix_and_a_new_policy_are_told(columns: Columns, facts: set[Fact]) -> None:
    """Law: the share that is acted on has moved beyond chance and by half, or it has not."""
    found = decisions_moved(columns)
    assert found is not None
    assert found.facts == facts
    assert found.over == ("decisions_moved" in facts)


def frauds(recall: float, loss: float) -> Columns:
    """A week with so many of 100 frauds caught, after four with 60 of 100; losses have a deviation of 1.5."""
    figures = [(1, 100, round(100 * recall), loss)] + [(0, 100, 60, 2.0)] * 4
    return {
        "recent": [row[0] for row in figures],
        "frauds": [row[1] for row in figures],
        "caught": [row[2] for row in figures],
        "loss": [row[1] * row[3] for row in figures],
        "squares": [row[1] * (row[3] ** 2 + 2.25) for row in figures],
    }


@pytest.mark.parametrize(
    ("columns", "facts"),
    [
        (frauds(0.6, 2.0), set()),
        (frauds(0.55, 2.2), set()),
        (frauds(0.3, 2.0), {"recall_down"}),
        (frauds(0.6, 3.5), {"loss_up"}),
        (frauds(0.2, 3.9), {"recall_down", "loss_up"}),
        (frauds(0.9, 1.0), set()),
    ],
)
def test_quality_that_dropped_is_told(columns: Columns, facts: set[Fact]) -> None:
    """Law: fewer frauds acted on, or a worse probability of each; what is better raises nothing."""
    found = quality_dropped(columns)
    assert found is not None
    assert found.facts == facts


@pytest.mark.parametrize(("frauds", "over"), [(100.0, False), (150.0, False), (300.0, True), (20.0, True)])
def test_a_probability_that_is_twice_off_is_told(frauds: float, over: bool) -> None:
    """Law: frauds beside what the probabilities say, and only where both verdicts have come."""
    columns: Columns = {
        "verdict": ["fraud", "legitimate"],
        "labels": [50, 4_000],
        "weights": [frauds, 4_000.0],
        "expected": [20.0, 80.0],
        "variance": [5.0, 60.0],
    }
    found = miscalibrated(columns)
    assert found is not None
    assert found.over == over
    assert miscalibrated({name: values[:1] for name, values in columns.items()}) is None


@pytest.mark.parametrize(("today", "facts"), [(70, set()), (200, {"labels_jumped"}), (3, {"missing"})])
def test_a_source_that_jumps_or_falls_silent_is_told(today: int, facts: set[Fact]) -> None:
    """Law: a day is compared with such days of four weeks, so a quiet Sunday is none."""
    days = [today] + [7 if age % 7 == 1 else 60 + age % 5 for age in range(1, 36)]
    found = labels_jumped({"source": ["chargeback"] * 36, "age": list(range(36)), "labels": days})
    assert found is not None
    assert found.facts == facts
    sunday = [7 if age % 7 == 0 else 60 + age % 5 for age in range(36)]
    quiet_day = labels_jumped({"source": ["chargeback"] * 36, "age": list(range(36)), "labels": sunday})
    assert quiet_day is not None
    assert not quiet_day.over


@pytest.mark.parametrize(
    ("factor", "marked", "over"), [(1.0, 150, False), (2.5, 150, True), (2.5, 0, False), (0.3, 150, False)]
)
def test_errors_that_rise_are_told_while_that_is_recent(factor: float, marked: int, over: bool) -> None:
    """Law: only a change for the worse counts, and only among those marked recent."""
    losses = np.random.default_rng(1).exponential(1.5, 1_000)
    losses[-150:] *= factor
    recent = [False] * (1_000 - marked) + [True] * marked
    found = errors_rose({"loss": losses.tolist(), "recent": recent})
    assert found is not None
    assert found.over == over


SERVICE: list[tuple[Finding | None, bool | None]] = [
    (slow({"payments": [900], "p99_ms": [350.0]}), False),
    (slow({"payments": [900], "p99_ms": [3_500.0]}), True),
    (slow({"payments": [9], "p99_ms": [3_500.0]}), None),
    (stored_late({"lag_ms": [900_000], "due": [500.0], "days": [4]}), True),
    (stored_late({"lag_ms": [900_000], "due": [2.0], "days": [4]}), False),
    (stored_late({"lag_ms": [900_000], "due": [500.0], "days": [1]}), None),
    (quiet({"age": [0, 1, 2, 3], "payments": [240, 250, 260, 240]}), False),
    (quiet({"age": [1, 2, 3], "payments": [250, 260, 240]}), True),
    (quiet({"age": [1, 2, 3], "payments": [3, 4, 5]}), None),
    (refused({"letters": [1], "reason": ["invalid"], "payments": [900]}), False),
    (refused({"letters": [90], "reason": ["invalid"], "payments": [900]}), True),
    (stale({"age_ms": [9 * 86_400_000], "learnable": [10]}), False),
    (stale({"age_ms": [9 * 86_400_000], "learnable": [5_000]}), True),
    (stale({"age_ms": [None], "learnable": [5_000]}), None),
]


@pytest.mark.parametrize(("found", "over"), SERVICE)
def test_the_pipeline_is_judged(found: Finding | None, over: bool | None) -> None:
    """Law: over its bound, within it, or too little to say."""
    assert (None if found is None else found.over) == over


@given(st.integers(0, 40), st.integers(50, 400))
def test_more_that_were_acted_on_are_further_from_the_reference(count: int, rows: int) -> None:
    """Law: the distance grows with the count, and is nothing at the share of the reference."""
    reference = ([30] * 10, [300] * 10)
    near, far = share_of(count, rows, *reference).z, share_of(count + 1, rows, *reference).z
    assert near <= far
    assert abs(share_of(300, 3_000, *reference).z) < 0.1


def test_chance_passes_the_limit_as_rarely_as_it_should() -> None:
    """Law: of draws without any change at most one in a hundred is beyond a limit of one in a hundred."""
    chance = np.random.default_rng(5)
    z = z_of(2, chance=0.01)
    looks = [
        share_of(int(chance.binomial(900, 0.012)), 900, chance.binomial(900, 0.012, 60).tolist(), [900] * 60).z
        for _ in range(2_000)
    ]
    assert np.mean(np.abs(looks) > z) <= 0.01
