"""When an event is due, by speed, by rate and flat out; lengths of time as people write them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.duration import LONGEST_MS, UNITS_MS, duration_ms
from producers.pace import Pace

positive = st.floats(min_value=1e-3, max_value=1e6)
counts = st.integers(0, 10**9)


@given(positive, counts, counts)
def test_speed_keeps_the_gaps_of_event_time(speed: float, first_ms: int, second_ms: int) -> None:
    pace = Pace(speed=speed)
    gap_s = pace.due_s(transactions=1, event_ms=second_ms) - pace.due_s(transactions=0, event_ms=first_ms)
    assert math.isclose(gap_s, (second_ms - first_ms) / 1000 / speed, rel_tol=1e-6, abs_tol=1e-6)


@given(positive, st.integers(0, 10**6))
def test_rate_spaces_transactions_evenly_and_never_drifts(rate: float, count: int) -> None:
    assert math.isclose(Pace(rate=rate).due_s(transactions=count, event_ms=0), count / rate, abs_tol=1e-9)


@given(positive, counts, st.floats(0, 1e6))
def test_what_is_left_and_what_is_late_add_up(rate: float, count: int, elapsed_s: float) -> None:
    pace = Pace(rate=rate)
    due_s = pace.due_s(transactions=count, event_ms=0)
    assert pace.wait_s(transactions=count, event_ms=0, elapsed_s=elapsed_s) == due_s - elapsed_s


@given(counts, counts, st.floats(0, 1e6))
def test_flat_out_never_waits_and_is_never_late(count: int, event_ms: int, elapsed_s: float) -> None:
    assert Pace().wait_s(transactions=count, event_ms=event_ms, elapsed_s=elapsed_s) == 0


@pytest.mark.parametrize(
    ("speed", "rate"), [(0, None), (-1, None), (None, 0), (None, math.inf), (math.nan, None), (1, 1)]
)
def test_a_pace_that_cannot_be_kept_is_refused(speed: float | None, rate: float | None) -> None:
    with pytest.raises(ValueError, match=r"speed|rate"):
        Pace(speed=speed, rate=rate)


@given(st.integers(0, 3_000), st.sampled_from(sorted(UNITS_MS)))
def test_a_duration_is_its_number_times_its_unit(number: int, unit: str) -> None:
    assert duration_ms(f"{number}{unit}") == number * UNITS_MS[unit] <= LONGEST_MS


@pytest.mark.parametrize("text", ["", "7", "d", "-1s", "1 week", "1e3s", "0.5ms", "99999d", "٣s", "1s2m"])
def test_what_is_no_duration_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|milliseconds|ten years") as refused:
        duration_ms(text)
    assert "\n" not in str(refused.value)
