"""A timeline against a brute-force list: any order, ties, late entries, boundaries, removals, restores."""

import time

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.fields import DAY_MS, HOUR_MS
from streams.detector.segment import SEGMENT_ENTRIES, Entry, Segment
from streams.detector.window import RETENTION_MS, Timeline, Total

WINDOWS_MS = (HOUR_MS, DAY_MS, 7 * DAY_MS, 30 * DAY_MS)

# Coarse steps make ties and exact window boundaries common; the span goes beyond retention.
_times = st.one_of(
    st.integers(0, 80).map(lambda step: 10**9 + step * DAY_MS // 2),
    st.integers(0, 100).map(lambda step: 10**9 + step * HOUR_MS),
    st.integers(10**9, 10**9 + 40 * DAY_MS),
)
_steps = st.lists(
    st.tuples(_times, st.integers(0, 10**6), st.sampled_from(["insert"] * 6 + ["remove", "restore"])), max_size=250
)


class BruteForce:
    """Every entry in a list; a window is a scan."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.newest_ms: int | None = None

    def insert(self, entry: Entry) -> None:
        newest_ms = max(entry.time_ms, max((held.time_ms for held in self.entries), default=entry.time_ms))
        if entry.time_ms > newest_ms - RETENTION_MS:
            self.entries.append(entry)

    def total(self, at_ms: int, window_ms: int) -> Total:
        newest_ms = max((entry.time_ms for entry in self.entries), default=0)
        counted = [
            entry.value
            for entry in self.entries
            if at_ms - window_ms < entry.time_ms <= at_ms and entry.time_ms > newest_ms - RETENTION_MS
        ]
        return Total(len(counted), sum(counted))


@settings(max_examples=150, deadline=None)
@given(_steps, st.booleans())
def test_timeline_equals_brute_force(steps: list[tuple[int, int, str]], crowded: bool) -> None:
    """Law: at every step every window equals a scan over all entries, and every name is found until it is too old."""
    timeline, oracle = Timeline(), BruteForce()
    stored: dict[int, Segment] = {}
    for number, (time_ms, value, what) in enumerate(steps):
        at_ms = 10**9 + (time_ms - 10**9) // 50 if crowded else time_ms
        changes: dict[int, Segment | None] = {}
        if what == "insert":
            entry = Entry(at_ms, value, f"n{number}")
            changes = timeline.insert(entry)
            oracle.insert(entry)
        elif what == "remove" and oracle.entries:
            entry = oracle.entries[value % len(oracle.entries)]
            newest_ms = max(held.time_ms for held in oracle.entries)
            # Without its newest entry a timeline forgets how far time had come; nothing within 30 days depends on it.
            if newest_ms - RETENTION_MS < entry.time_ms < newest_ms:
                changes = timeline.remove(entry.tag)
                oracle.entries.remove(entry)
        else:
            timeline = Timeline({serial: Segment.decode(segment.encode()) for serial, segment in stored.items()})
        timeline.apply(changes)
        for serial, segment in changes.items():
            if segment is None:
                del stored[serial]
            else:
                stored[serial] = segment
        assert [oracle.total(at_ms, window_ms) for window_ms in WINDOWS_MS] == timeline.totals(at_ms, WINDOWS_MS)
        assert all(len(segment.times) <= SEGMENT_ENTRIES for segment in stored.values())
        for entry in oracle.entries[-3:]:
            newest_ms = max(held.time_ms for held in oracle.entries)
            assert timeline.find(entry.tag) == (entry if entry.time_ms > newest_ms - RETENTION_MS else None)


def test_planning_changes_nothing() -> None:
    """Law: insert and remove return changes and leave the timeline as it was."""
    timeline = Timeline()
    timeline.apply(timeline.insert(Entry(1_000, 5, "a")))
    before = timeline.totals(5_000, WINDOWS_MS)
    timeline.insert(Entry(900, 7, "b"))
    timeline.remove("a")
    assert before == timeline.totals(5_000, WINDOWS_MS)
    assert timeline.find("b") is None


def test_cost_does_not_grow_with_the_window() -> None:
    """Law: what one entry writes is bounded, and a thousand times the history does not make it ten times slower."""
    timeline, written_max, seconds = Timeline(), 0, []
    for block in range(100):
        started = time.perf_counter()
        for step in range(1_000):
            at_ms = 10**9 + (block * 1_000 + step) * 25_000  # 100,000 entries in 29 days
            changes = timeline.insert(Entry(at_ms, step))
            timeline.apply(changes)
            timeline.totals(at_ms, WINDOWS_MS)
            if step % 100 == 0:
                written_max = max(written_max, sum(len(piece.encode()) for piece in changes.values() if piece))
        seconds.append(time.perf_counter() - started)
    assert written_max <= 10_000
    assert min(seconds[-10:]) < 3 * min(seconds[1:11])
