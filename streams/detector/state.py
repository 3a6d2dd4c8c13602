"""The profiles of one task, and their pieces in the state log.

A piece is an entity's habit, or one segment of one of its timelines: its key is `entity/part/serial`, its value the
piece's bytes. All pieces are held as the state log holds them, so a restore is one read of the log and no more; a
profile is made of its pieces when it is needed, and the ones used last are kept ready.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from streams.detector.habit import Habit
from streams.detector.profile import TIMELINES, Kind, Piece, PieceName, Profile, ProfileChanges
from streams.detector.segment import Segment

PROFILES_READY = 4_096

_PIECES: tuple[PieceName, ...] = (*TIMELINES, "habit")
_LETTER_OF: dict[PieceName, str] = {name: name[0] for name in _PIECES}
_NAME_OF: dict[bytes, PieceName] = {letter.encode(): name for name, letter in _LETTER_OF.items()}
_FIRSTS = tuple(f"/{letter}/0".encode() for letter in _LETTER_OF.values())
_HABIT = b"/h/0"


class Size(NamedTuple):
    """How much a task remembers, as it is in a compacted state log: bytes are those of keys and values.

    `entities` are those with a habit: all that paid, were paid, or were defrauded. `largest_bytes` is the most that one
    entity has taken since the log began, as far as it was seen ready.
    """

    entities: int = 0
    pieces: int = 0
    bytes: int = 0
    largest_bytes: int = 0


class _Ready:
    """A profile in use, and the bytes of its pieces."""

    __slots__ = ("bytes", "profile")

    def __init__(self, profile: Profile, size: int) -> None:
        self.profile = profile
        self.bytes = size


class State:
    """All that one task remembers.

    Parameters
    ----------
    profiles_ready : so many profiles are kept ready between two batches; any other is made of its pieces anew, which
        changes no result.

    >>> from schemas.transaction import Transaction
    >>> from streams.detector.look import Payment
    >>> from streams.detector.profile import CARD
    >>> payment = Payment(Transaction(transaction_id="tx-1", card="card_a", merchant="mer_b", amount_minor=500,
    ...                               currency="EUR", event_time_ms=1_600_000_000_000), 500, "tx-1", "mer_b")
    >>> state = State(CARD)
    >>> state.apply("card_a", state.profile("card_a").pay(payment).changes)
    >>> pieces = state.take_changed_pieces()
    >>> list(pieces)
    [b'card_a/p/0', b'card_a/h/0']
    >>> restored = State(CARD)
    >>> for key, value in pieces.items():
    ...     restored.restore(key, value)
    >>> restored.profile("card_a").pay(payment).duplicate
    True
    >>> restored.size.entities, restored.size.pieces
    (1, 2)
    """

    def __init__(self, kind: Kind, profiles_ready: int = PROFILES_READY) -> None:
        self._kind = kind
        self._profiles_ready = profiles_ready
        # Bytes to bytes and nothing deeper: a million entities are two objects a piece, which the garbage collector
        # never looks at.
        self._pieces: dict[bytes, bytes] = {}
        # Most entities have one piece of a part, with serial 0. Only what they have beyond that must be looked up.
        self._further: defaultdict[bytes, set[bytes]] = defaultdict(set)
        self._ready: OrderedDict[str, _Ready] = OrderedDict()
        self._changed: dict[tuple[str, PieceName, int], Piece | None] = {}
        self._entities = self._bytes = 0
        self.largest_bytes = 0

    def profile(self, entity: str) -> Profile:
        """Return what is remembered of an entity, empty where nothing is."""
        ready = self._ready.get(entity)
        if ready is None:
            ready = self._ready[entity] = self._made(entity.encode())
        else:
            self._ready.move_to_end(entity)
        return ready.profile

    def _made(self, entity: bytes) -> _Ready:
        size = 0
        pieces: defaultdict[PieceName, dict[int, Piece]] = defaultdict(dict)
        for key in (*[entity + first for first in _FIRSTS], *self._further.get(entity, ())):
            encoded = self._pieces.get(key)
            if encoded is not None:
                size += len(key) + len(encoded)
                _, letter, serial = key.rsplit(b"/", 2)
                name = _NAME_OF[letter]
                pieces[name][int(serial)] = Habit.decode(encoded) if name == "habit" else Segment.decode(encoded)
        return _Ready(Profile(self._kind, pieces), size)

    def apply(self, entity: str, changes: ProfileChanges) -> None:
        """Put an entity's changes in place and remember which pieces they touch."""
        for name, pieces in changes.items():
            for serial, piece in pieces.items():
                self._changed[entity, name, serial] = piece
        self.profile(entity).apply(changes)

    def take_changed_pieces(self) -> Mapping[bytes, bytes | None]:
        """Return the pieces touched since the last call, as the state log wants them; None is a tombstone.

        What is not in use any more is let go of here, where no profile knows more than its pieces do.
        """
        pieces: dict[bytes, bytes | None] = {}
        for (entity, name, serial), piece in self._changed.items():
            key = f"{entity}/{_LETTER_OF[name]}/{serial}".encode()
            pieces[key] = encoded = piece.encode() if piece else None
            ready = self._ready[entity]
            before = self._bytes
            self.restore(key, encoded)
            ready.bytes += self._bytes - before
            self.largest_bytes = max(self.largest_bytes, ready.bytes)
        self._changed = {}
        while len(self._ready) > self._profiles_ready:
            self._ready.popitem(last=False)
        return pieces

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Take one record of the state log, in its order. Raises ValueError when the key is not a piece's."""
        old = self._pieces.get(key)
        if old is not None:
            self._bytes -= len(key) + len(old)
        if value is not None:
            self._pieces[key] = value
            self._bytes += len(key) + len(value)
        elif old is not None:
            del self._pieces[key]
        if not key.endswith(_FIRSTS):
            self._index(key, is_held=value is not None)
        elif key.endswith(_HABIT):
            self._entities += (value is not None) - (old is not None)

    def _index(self, key: bytes, *, is_held: bool) -> None:
        entity, letter, serial = key.rsplit(b"/", 2)
        if letter not in _NAME_OF or not serial.isdigit():
            raise ValueError(f"not the key of a piece of state: {key!r}")
        if is_held:
            self._further[entity].add(key)
        else:
            self._further[entity].discard(key)
            if not self._further[entity]:
                del self._further[entity]

    @property
    def size(self) -> Size:
        """How much is remembered."""
        return Size(self._entities, len(self._pieces), self._bytes, self.largest_bytes)
