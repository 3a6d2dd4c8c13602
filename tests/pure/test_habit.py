"""Decayed sums against direct sums over everything that happened, and their bytes."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.fields import DAY_MS
from streams.detector.decay import decay
from streams.detector.habit import COUNTERPARTIES_MAX, DEVICES_MAX, HALF_LIVES_MS, PER_HALF_LIFE, Habit, code_of

START_MS = 1_600_000_000_000
_times = st.integers(0, 90 * 24).map(lambda hours: START_MS + hours * DAY_MS // 24)
_amounts = st.integers(0, 10**7)
_events = st.lists(
    st.tuples(st.sampled_from(["paid", "reported", "cleared", "by"]), _times, _amounts, st.integers(0, 30)), max_size=60
)


def _habit(events: list[tuple[str, int, int, int]]) -> Habit:
    habit = Habit()
    for what, time_ms, amount, name in events:
        if what == "paid":
            habit = habit.paid(time_ms, amount).meet(time_ms, f"mer_{name}", f"dev_{name % 7}" if name % 3 else None)
        elif what == "reported":
            habit = habit.reported(time_ms, 1.0)
        elif what == "cleared":
            habit = habit.cleared(time_ms, 1.0, amount)
        else:
            habit = habit.by(time_ms)
    return habit


@given(_events)
def test_sums_equal_direct_sums(events: list[tuple[str, int, int, int]]) -> None:
    """Law: each sum is what all events together leave at the newest time, whatever order they came in."""
    habit = _habit(events)
    now_ms = max((each[1] for each in events), default=0)
    assert habit.at_ms == now_ms
    for place, half_life_ms in enumerate(HALF_LIVES_MS):
        expected = [0.0] * PER_HALF_LIFE
        for what, time_ms, amount, _ in events:
            left = 2.0 ** -((now_ms * 1024 // half_life_ms - time_ms * 1024 // half_life_ms) / 1024)
            added = {"paid": (1, amount, amount**2, 0, 0, 0), "reported": (0, 0, 0, 1, 0, 0)}
            added |= {"cleared": (0, 0, 0, 0, 1, amount), "by": (0,) * 6}
            expected = [total + left * value for total, value in zip(expected, added[what], strict=True)]
        sums = habit.sums[place * PER_HALF_LIFE : (place + 1) * PER_HALF_LIFE]
        assert sums == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(_events)
def test_bytes_hold_all_of_it(events: list[tuple[str, int, int, int]]) -> None:
    """Law: a habit is the same to the last bit after encode and decode."""
    habit = _habit(events)
    assert Habit.decode(habit.encode()) == habit


@given(_events)
def test_what_was_met_is_bounded_and_in_order(events: list[tuple[str, int, int, int]]) -> None:
    """Law: at most 16 counterparties and 4 devices, each once, by the time they were last met, the newest kept."""
    habit = _habit(events)
    for seen, most in ((habit.counterparties, COUNTERPARTIES_MAX), (habit.devices, DEVICES_MAX)):
        assert len(seen) <= most
        assert len({code for code, _ in seen}) == len(seen)
        assert all(one[1] <= other[1] for one, other in pairwise(seen))
    last: dict[int, int] = {}
    for what, time_ms, _, name in events:
        if what == "paid":
            last[code_of(f"mer_{name}")] = max(time_ms, last.get(code_of(f"mer_{name}"), 0))
    newest = sorted(last.values())[-COUNTERPARTIES_MAX:]
    if len(last) <= COUNTERPARTIES_MAX:
        assert [at_ms for _, at_ms in habit.counterparties] == newest


@given(_events, st.data())
def test_half_a_habit_is_refused(events: list[tuple[str, int, int, int]], data: st.DataObject) -> None:
    """Law: bytes that are cut short, or of another format, are no habit: never one with less in it."""
    encoded = _habit(events).encode()
    cut = data.draw(st.integers(0, len(encoded) - 1))
    for wrong in (encoded[:cut], b"\x02" + encoded[1:], encoded + b"\x00" * 12):
        with pytest.raises(ValueError, match="habit"):
            Habit.decode(wrong)


def test_what_is_taken_back_leaves_nothing() -> None:
    """Law: a fraud and a clearance that are taken back leave at most a rounding, and never less than nothing."""
    habit = Habit().paid(START_MS, 100)
    for step in range(50):
        at_ms = START_MS + step * 1_234_567
        habit = habit.reported(at_ms, 1.0).cleared(at_ms, 1.0, 999)
        habit = habit.by(at_ms + 99_999_999).reported(at_ms, -1.0).cleared(at_ms, -1.0, 999)
    for place in range(len(HALF_LIVES_MS)):
        frauds, cleared, amount = habit.sums[place * PER_HALF_LIFE + 3 : (place + 1) * PER_HALF_LIFE]
        assert (0 <= frauds < 1e-9, 0 <= cleared < 1e-9, 0 <= amount < 1e-6) == (True, True, True)


@given(st.tuples(_times, _times, _times).map(sorted), st.sampled_from(HALF_LIVES_MS))
def test_decay_in_two_goes_is_decay_in_one(times_ms: list[int], half_life_ms: int) -> None:
    """Law: decay depends on where time was and is, not on how often it was looked at."""
    first, second, third = times_ms
    whole = decay(first, third, half_life_ms)
    parts = decay(first, second, half_life_ms) * decay(second, third, half_life_ms)
    assert parts == pytest.approx(whole, rel=1e-12)
    assert 0 <= whole <= 1
