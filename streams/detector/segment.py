"""Entries of a timeline next to one another, as one immutable value and one record of the state log."""

import struct
from array import array
from collections.abc import Sequence
from itertools import accumulate
from operator import sub
from typing import NamedTuple

SEGMENT_ENTRIES = 64
_HEADER = struct.Struct("<BH")
_FORMAT = 1
_TAG_SEPARATOR = "\n"


class Entry(NamedTuple):
    """Something that happened to an entity: when, how much, and a name where it must be found again."""

    time_ms: int
    value: int
    tag: str = ""


class Segment(NamedTuple):
    """Entries next to one another in time order. `sums[i]` is the value of entries 0 to i together.

    `tags` names each entry, or is empty where entries need no name.
    """

    times: tuple[int, ...]
    sums: tuple[int, ...]
    tags: tuple[str, ...]

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> "Segment":
        """Return the segment of entries that are in time order."""
        times, values, tags = zip(*entries, strict=True)
        return cls(times, tuple(accumulate(values)), tags if any(tags) else ())

    def entries(self) -> list[Entry]:
        """Return the entries in time order.

        >>> Segment((5, 9), (100, 350), ()).entries()[1]
        Entry(time_ms=9, value=250, tag='')
        """
        values = (after - before for before, after in zip((0, *self.sums[:-1]), self.sums, strict=True))
        return list(map(Entry, self.times, values, self.tags or ("",) * len(self.times)))

    def encode(self) -> bytes:
        """Return the segment's bytes: format, length, times, values, tags.

        >>> segment = Segment((5, 9), (100, 350), ("a", "b"))
        >>> Segment.decode(segment.encode()) == segment
        True
        """
        values = array("q", map(sub, self.sums, (0, *self.sums[:-1])))
        body = array("q", self.times).tobytes() + values.tobytes() + _TAG_SEPARATOR.join(self.tags).encode()
        return _HEADER.pack(_FORMAT, len(self.times)) + body

    @classmethod
    def decode(cls, encoded: bytes) -> "Segment":
        """Return the segment in the bytes. Raises ValueError when they are not one."""
        if len(encoded) < _HEADER.size or (version := encoded[0]) != _FORMAT:
            raise ValueError(f"not a segment of format {_FORMAT}: {encoded[:1]!r}")
        _, entries = _HEADER.unpack_from(encoded)
        start, size = _HEADER.size, 8 * entries
        if not entries or len(encoded) < start + 2 * size:
            raise ValueError(f"segment of format {version} is cut short")
        times, values = array("q", encoded[start : start + size]), array("q", encoded[start + size : start + 2 * size])
        tags = encoded[start + 2 * size :].decode()
        return cls(tuple(times), tuple(accumulate(values)), tuple(tags.split(_TAG_SEPARATOR)) if tags else ())
