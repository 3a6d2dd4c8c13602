"""The profiles of one task, and their pieces in the state log.

A piece is an entity's habit, or one segment of one of its timelines: its key is `entity/part/serial`, its value the
piece's bytes. A restored entity stays bytes until it is first needed, so that a restart costs one read of the log and
no more.
"""

from collections import defaultdict
from collections.abc import Mapping

from streams.detector.habit import Habit
from streams.detector.profile import TIMELINES, Kind, Piece, PieceName, Profile, ProfileChanges
from streams.detector.segment import Segment

_PIECES: tuple[PieceName, ...] = (*TIMELINES, "habit")
_LETTER_OF: dict[PieceName, str] = {name: name[0] for name in _PIECES}
_NAME_OF: dict[str, PieceName] = {letter: name for name, letter in _LETTER_OF.items()}


class State:
    """All that one task remembers.

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
    """

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._profiles: dict[str, Profile] = {}
        self._restored: defaultdict[str, dict[tuple[PieceName, int], bytes]] = defaultdict(dict)
        self._changed: dict[tuple[str, PieceName, int], Piece | None] = {}

    def profile(self, entity: str) -> Profile:
        """Return what is remembered of an entity, empty where nothing is."""
        profile = self._profiles.get(entity)
        if profile is None:
            pieces: defaultdict[PieceName, dict[int, Piece]] = defaultdict(dict)
            for (name, serial), encoded in self._restored.get(entity, {}).items():
                pieces[name][serial] = Habit.decode(encoded) if name == "habit" else Segment.decode(encoded)
            profile = self._profiles[entity] = Profile(self._kind, pieces)
            # Only now: an entity whose pieces cannot be read must fail every time, not pass for one without a history.
            self._restored.pop(entity, None)
        return profile

    def apply(self, entity: str, changes: ProfileChanges) -> None:
        """Put an entity's changes in place and remember which pieces they touch."""
        for name, pieces in changes.items():
            for serial, piece in pieces.items():
                self._changed[entity, name, serial] = piece
        self.profile(entity).apply(changes)

    def take_changed_pieces(self) -> Mapping[bytes, bytes | None]:
        """Return the pieces touched since the last call, as the state log wants them; None is a tombstone."""
        pieces = {
            f"{entity}/{_LETTER_OF[name]}/{serial}".encode(): piece.encode() if piece else None
            for (entity, name, serial), piece in self._changed.items()
        }
        self._changed = {}
        return pieces

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Take one record of the state log, in its order. Raises ValueError when the key is not a piece's."""
        entity, letter, serial = key.decode().rsplit("/", 2)
        piece = (_NAME_OF[letter], int(serial))
        if value is None:
            self._restored[entity].pop(piece, None)
        else:
            self._restored[entity][piece] = value

    @property
    def entities(self) -> int:
        """How many entities are remembered."""
        return len(self._profiles) + len(self._restored)
