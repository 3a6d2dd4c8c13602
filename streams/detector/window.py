"""A bounded timeline of amounts in event time, with exact counts and sums over any window at a cost that does not grow.

The timeline is cut into segments of at most `SEGMENT_ENTRIES`, each an immutable value with running sums inside and the
totals before it beside it. The count (or sum) up to a time is then two binary searches, and a window is the difference
of two such look-ups: the same cost for one hour and for thirty days, for an event in order and for a late one. An
insertion replaces one segment, so what is written to the state log for one event is one segment, whatever the entity
has seen. (Prefix sums over a chunked array; compare the running aggregates of Railgun, VLDB 2021.)

What is older than `RETENTION_MS` before the newest entry held never counts, whether it is still held or not.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from operator import sub
from typing import NamedTuple

from schemas.fields import DAY_MS
from streams.detector.segment import SEGMENT_ENTRIES, Entry, Segment

RETENTION_MS = 32 * DAY_MS
"""The longest window, 30 days, for events up to 2 days behind the newest: one day late, and one day because a sender's
clock may run a day ahead."""


class Total(NamedTuple):
    """How many entries, and their values added up."""

    number: int
    value: int


Changes = dict[int, Segment | None]
"""Serial -> the segment from now on, or None where it is gone."""


class Timeline:
    """The entries of one kind of one entity.

    `insert` and `remove` change nothing: they return the segments to replace, and `apply` puts them in place. A
    timeline restored from stored segments went through the same `apply`.

    >>> timeline = Timeline()
    >>> timeline.apply(timeline.insert(Entry(1_000, 500, "a")))
    >>> timeline.apply(timeline.insert(Entry(3_000, 200, "b")))
    >>> timeline.apply(timeline.insert(Entry(2_000, 70, "late")))
    >>> timeline.totals(2_500, [2_000])
    [Total(number=2, value=570)]
    >>> timeline.totals(3_000, [2_000])     # (1000, 3000]: the start is open, the end is closed
    [Total(number=2, value=270)]
    """

    __slots__ = ("_before", "_segments", "_serial_next", "_serials", "_start_of", "_starts", "_tagged")

    def __init__(self, segments: Mapping[int, Segment] | None = None) -> None:
        self._serials: list[int] = []
        self._segments: list[Segment] = []
        self._starts: list[int] = []
        self._before: list[Total] = []
        self._start_of: dict[int, int] = {}
        self._tagged: dict[str, int] = {}
        self._serial_next = 0
        # In time order, so that each is appended and the totals before it are known.
        ordered = sorted((segments or {}).items(), key=lambda item: (item[1].times[0], item[1].times[-1]))
        for serial, segment in ordered:
            self.apply({serial: segment})

    @property
    def newest_ms(self) -> int | None:
        """The largest time held, or None when there is none."""
        return self._segments[-1].times[-1] if self._segments else None

    @property
    def oldest_ms(self) -> int | None:
        """The smallest time within retention, to the segment, or None when there is none."""
        newest_ms = self.newest_ms
        if newest_ms is None:
            return None
        return max(self._starts[0], newest_ms - RETENTION_MS)

    def last_values(self, number: int) -> tuple[int, ...]:
        """Return the values of the last entries held, so many where there are, in time order.

        >>> timeline = Timeline({0: Segment((1, 2), (500, 700), ()), 1: Segment((3,), (40,), ())})
        >>> timeline.last_values(2), timeline.last_values(9)
        ((200, 40), (500, 200, 40))
        """
        values: tuple[int, ...] = ()
        for segment in reversed(self._segments):
            sums = (0, *segment.sums)[-(number - len(values) + 1) :]
            values = (*map(sub, sums[1:], sums), *values)
            if len(values) >= number:
                break
        return values

    def find(self, tag: str) -> Entry | None:
        """Return the entry of that name, or None when there is none within retention."""
        time_ms, newest_ms = self._tagged.get(tag), self.newest_ms
        if time_ms is None or newest_ms is None or time_ms <= newest_ms - RETENTION_MS:
            return None
        segment = self._segments[self._place_of(tag, time_ms)]
        at = segment.tags.index(tag)
        return Entry(time_ms, segment.sums[at] - (segment.sums[at - 1] if at else 0), tag)

    def totals(self, at_ms: int, windows_ms: Sequence[int]) -> list[Total]:
        """Return, for each window, count and sum of the entries with `at_ms - window_ms < time <= at_ms`."""
        newest_ms = self.newest_ms
        if newest_ms is None or at_ms <= (floor_ms := newest_ms - RETENTION_MS):
            return [Total(0, 0)] * len(windows_ms)
        starts, segments, before = self._starts, self._segments, self._before
        counts, values = [], []
        for time_ms in (at_ms, *[max(at_ms - window_ms, floor_ms) for window_ms in windows_ms]):
            place = bisect_right(starts, time_ms) - 1
            if place < 0:
                count, value = before[0]
            else:
                count, value = before[place]
                times, sums, _ = segments[place]
                inside = bisect_right(times, time_ms)
                count, value = count + inside, value + sums[inside - 1]
            counts.append(count)
            values.append(value)
        return [
            Total(counts[0] - count, values[0] - value) for count, value in zip(counts[1:], values[1:], strict=True)
        ]

    def insert(self, entry: Entry) -> Changes:
        """Return the changes that add an entry, and that drop what it makes too old.

        An entry that is itself beyond retention changes nothing.
        """
        if not self._segments:
            return {self._serial_next: Segment.of([entry])}
        time_ms, value, tag = entry
        newest_ms = self._segments[-1].times[-1]
        floor_ms = max(time_ms, newest_ms) - RETENTION_MS
        if time_ms <= floor_ms:
            return {}
        changes: Changes = {}
        # Two at most: a segment is made for every 64 entries, so this keeps up, and bounds what one entry writes.
        for serial, segment in zip(self._serials[:2], self._segments[:2], strict=True):
            if segment.times[-1] <= floor_ms:
                changes[serial] = None
        place = max(bisect_right(self._starts, time_ms) - 1, 0)
        serial, segment = self._serials[place], self._segments[place]
        at_end = time_ms >= segment.times[-1]
        if serial in changes or (at_end and len(segment.times) >= SEGMENT_ENTRIES):
            changes[self._serial_next] = Segment.of([entry])
        elif at_end and segment.times[0] > floor_ms:
            tags = (*segment.tags, tag) if tag else ()
            changes[serial] = Segment((*segment.times, time_ms), (*segment.sums, segment.sums[-1] + value), tags)
        else:
            entries = [held for held in segment.entries() if held.time_ms > floor_ms]
            entries.insert(bisect_right(entries, time_ms, key=lambda held: held.time_ms), entry)
            half = len(entries) if len(entries) <= SEGMENT_ENTRIES else len(entries) // 2
            changes[serial] = Segment.of(entries[:half])
            if entries[half:]:
                changes[self._serial_next] = Segment.of(entries[half:])
        return changes

    def remove(self, tag: str) -> Changes:
        """Return the changes that take the entry of that name away; none when it is not held."""
        time_ms = self._tagged.get(tag)
        if time_ms is None:
            return {}
        place = self._place_of(tag, time_ms)
        entries = [entry for entry in self._segments[place].entries() if entry.tag != tag]
        return {self._serials[place]: Segment.of(entries) if entries else None}

    def revalue(self, entry: Entry) -> Changes:
        """Return the changes that give the entry of this name and time, which is held, another value."""
        place = self._place_of(entry.tag, entry.time_ms)
        entries = self._segments[place].entries()
        entries[self._segments[place].tags.index(entry.tag)] = entry
        return {self._serials[place]: Segment.of(entries)}

    def _place_of(self, tag: str, time_ms: int) -> int:
        place = bisect_right(self._starts, time_ms) - 1
        while tag not in self._segments[place].tags:  # several segments may hold one and the same time
            place -= 1
        return place

    def apply(self, changes: Mapping[int, Segment | None]) -> None:
        """Put the segments in place.

        The totals before a segment are only recomputed behind a change, which is at or near the end.
        """
        behind = len(self._segments)
        for serial, segment in changes.items():
            place = self._place(serial)
            if place is None:
                if segment is not None:
                    behind = min(behind, self._add(serial, segment))
            elif segment is None:
                self._retag(self._segments[place], None)
                for column in (self._serials, self._segments, self._starts, self._before):
                    del column[place]
                del self._start_of[serial]
                # The next serial follows from the segments held, so that one restored from them numbers alike.
                if serial == self._serial_next - 1:
                    self._serial_next = max(self._serials, default=-1) + 1
                # Totals before a segment may keep what is gone from the front: only differences are read.
                behind = min(behind, place) if place else behind - 1
            else:
                self._retag(self._segments[place], segment)
                self._segments[place] = segment
                self._starts[place] = self._start_of[serial] = segment.times[0]
                behind = min(behind, place + 1)
        for place in range(max(behind, 1), len(self._segments)):
            before, segment = self._before[place - 1], self._segments[place - 1]
            self._before[place] = Total(before.number + len(segment.times), before.value + segment.sums[-1])

    def _place(self, serial: int) -> int | None:
        start_ms = self._start_of.get(serial)
        if start_ms is None:
            return None
        place = bisect_right(self._starts, start_ms) - 1
        while self._serials[place] != serial:
            place -= 1
        return place

    def _add(self, serial: int, segment: Segment) -> int:
        place = bisect_right(self._starts, segment.times[0])
        # Of segments that begin at one time, the one that ends first comes first.
        while (
            place
            and self._starts[place - 1] == segment.times[0]
            and self._segments[place - 1].times[-1] > segment.times[-1]
        ):
            place -= 1
        self._serials.insert(place, serial)
        self._segments.insert(place, segment)
        self._starts.insert(place, segment.times[0])
        self._before.insert(place, self._before[0] if self._before else Total(0, 0))
        self._start_of[serial] = segment.times[0]
        self._serial_next = max(self._serial_next, serial + 1)
        self._retag(None, segment)
        return place

    def _retag(self, old: Segment | None, new: Segment | None) -> None:
        if old is not None and new is not None and new.tags[:-1] == old.tags:
            if new.tags:
                self._tagged[new.tags[-1]] = new.times[-1]
            return
        for tag, time_ms in zip(old.tags, old.times, strict=False) if old else ():
            if self._tagged.get(tag) == time_ms:
                del self._tagged[tag]
        self._tagged.update(zip(new.tags, new.times, strict=False) if new else ())
