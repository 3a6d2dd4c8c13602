"""The profiles of one task, and their pieces in the state log.

A piece is one segment of one timeline of one entity: its key is `entity/timeline/serial`, its value the segment's
bytes. A restored entity stays bytes until it is first needed, so that a restart costs one read of the log and no more.
"""

from collections import defaultdict
from collections.abc import Mapping

from streams.detector.profile import TIMELINES, Kind, Profile, ProfileChanges, TimelineName
from streams.detector.window import Segment

_LETTER_OF: dict[TimelineName, str] = {name: name[0] for name in TIMELINES}
_TIMELINE_OF: dict[str, TimelineName] = {letter: name for name, letter in _LETTER_OF.items()}


class State:
    """All that one task remembers.

    >>> from streams.detector.profile import CARD
    >>> state = State(CARD)
    >>> state.apply("card_a", state.profile("card_a").pay(1_600_000_000_000, 500, "tx-1").changes)
    >>> pieces = state.take_changed_pieces()
    >>> list(pieces)
    [b'card_a/p/0']
    >>> restored = State(CARD)
    >>> for key, value in pieces.items():
    ...     restored.restore(key, value)
    >>> restored.profile("card_a").pay(1_600_000_000_000, 500, "tx-1").duplicate
    True
    """

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._profiles: dict[str, Profile] = {}
        self._restored: defaultdict[str, dict[tuple[TimelineName, int], bytes]] = defaultdict(dict)
        self._changed: dict[tuple[str, TimelineName, int], Segment | None] = {}

    def profile(self, entity: str) -> Profile:
        """Return what is remembered of an entity, empty where nothing is."""
        profile = self._profiles.get(entity)
        if profile is None:
            segments: dict[TimelineName, dict[int, Segment]] = {name: {} for name in TIMELINES}
            for (timeline, serial), encoded in self._restored.get(entity, {}).items():
                segments[timeline][serial] = Segment.decode(encoded)
            profile = self._profiles[entity] = Profile(self._kind, segments)
            # Only now: an entity whose pieces cannot be read must fail every time, not pass for one without a history.
            self._restored.pop(entity, None)
        return profile

    def apply(self, entity: str, changes: ProfileChanges) -> None:
        """Put an entity's changes in place and remember which pieces they touch."""
        for timeline, segments in changes.items():
            for serial, segment in segments.items():
                self._changed[entity, timeline, serial] = segment
        self.profile(entity).apply(changes)

    def take_changed_pieces(self) -> Mapping[bytes, bytes | None]:
        """Return the pieces touched since the last call, as the state log wants them; None is a tombstone."""
        pieces = {
            f"{entity}/{_LETTER_OF[timeline]}/{serial}".encode(): segment.encode() if segment else None
            for (entity, timeline, serial), segment in self._changed.items()
        }
        self._changed = {}
        return pieces

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Take one record of the state log, in its order. Raises ValueError when the key is not a piece's."""
        entity, letter, serial = key.decode().rsplit("/", 2)
        piece = (_TIMELINE_OF[letter], int(serial))
        if value is None:
            self._restored[entity].pop(piece, None)
        else:
            self._restored[entity][piece] = value

    @property
    def entities(self) -> int:
        """How many entities are remembered."""
        return len(self._profiles) + len(self._restored)
