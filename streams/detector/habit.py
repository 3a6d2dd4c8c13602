"""What an entity usually does, in constant space: decayed sums of its payments and labels, and whom it dealt with last.

One value per entity, written as one piece of state. Sums are kept for three half-lives; a late event adds what would be
left of it by now.
"""

import struct
from operator import add, mul
from typing import NamedTuple
from zlib import crc32

from schemas.fields import DAY_MS
from streams.detector.decay import decay

HALF_LIVES_MS = (DAY_MS, 7 * DAY_MS, 30 * DAY_MS)
COUNTERPARTIES_MAX = 16
DEVICES_MAX = 4

_FORMAT = 1
_HEADER = struct.Struct("<Bq18dBB")
_SEEN = struct.Struct("<Iq")


Sums = tuple[float, ...]
"""For each half-life in turn: payments, their amounts, the squares of those; known frauds; payments said to be none,
and their amounts. Amounts are in minor units of the base currency."""

PAYMENTS, AMOUNT, SQUARES, FRAUDS, CLEARED, CLEARED_AMOUNT = range(6)
PER_HALF_LIFE = 6

Seen = tuple[tuple[int, int], ...]
"""(CRC-32 of a name, when it was last met), ordered by that time."""


class Habit(NamedTuple):
    """The sums, as of `at_ms`, and the last counterparties and devices met.

    >>> habit = Habit().paid(0, 500).paid(7 * 86_400_000, 100)
    >>> habit.sums[PER_HALF_LIFE + PAYMENTS], habit.sums[PER_HALF_LIFE + AMOUNT]
    (1.5, 350.0)
    >>> Habit.decode(habit.encode()) == habit
    True
    """

    at_ms: int = 0
    sums: Sums = (0.0,) * PER_HALF_LIFE * len(HALF_LIVES_MS)
    counterparties: Seen = ()
    devices: Seen = ()

    def by(self, time_ms: int) -> "Habit":
        """Return the habit with its sums decayed to a time; itself where that is past."""
        at_ms = self.at_ms
        if time_ms <= at_ms:
            return self
        sums = tuple(map(mul, self.sums, _factors(at_ms, time_ms)))
        return Habit(time_ms, sums, self.counterparties, self.devices)

    def paid(self, time_ms: int, amount: float) -> "Habit":
        """Return the habit with a payment."""
        return self._add(time_ms, (1.0, amount, amount * amount, 0.0, 0.0, 0.0))

    def reported(self, time_ms: int, number: float) -> "Habit":
        """Return the habit with a known fraud, or with one taken back (-1)."""
        return self._add(time_ms, (0.0, 0.0, 0.0, number, 0.0, 0.0))

    def cleared(self, time_ms: int, number: float, amount: float) -> "Habit":
        """Return the habit with a payment said to be no fraud, or with that taken back (-1)."""
        return self._add(time_ms, (0.0, 0.0, 0.0, 0.0, number, number * amount))

    def _add(self, time_ms: int, what: Sums) -> "Habit":
        habit = self.by(time_ms)
        added = what * len(HALF_LIVES_MS)
        if time_ms < habit.at_ms:
            added = tuple(map(mul, added, _factors(time_ms, habit.at_ms)))
        sums = tuple(map(add, habit.sums, added))
        if what[FRAUDS] < 0 or what[CLEARED] < 0:
            # What is taken back was added in other roundings.
            sums = tuple([max(0.0, value) for value in sums])
        return Habit(habit.at_ms, sums, habit.counterparties, habit.devices)

    def meet(self, time_ms: int, counterparty: str, device: str | None) -> "Habit":
        """Return the habit with whom it dealt with now."""
        counterparties = _met(self.counterparties, counterparty, time_ms, COUNTERPARTIES_MAX)
        devices = _met(self.devices, device, time_ms, DEVICES_MAX) if device else self.devices
        return Habit(self.at_ms, self.sums, counterparties, devices)

    def encode(self) -> bytes:
        """Return the piece of state."""
        seen = (*self.counterparties, *self.devices)
        head = _HEADER.pack(_FORMAT, self.at_ms, *self.sums, len(self.counterparties), len(self.devices))
        return head + b"".join(_SEEN.pack(*each) for each in seen)

    @classmethod
    def decode(cls, encoded: bytes) -> "Habit":
        """Return the habit in the bytes. Raises ValueError when they are not one."""
        if not encoded or encoded[0] != _FORMAT:
            raise ValueError(f"not a habit of format {_FORMAT}: {encoded[:1]!r}")
        try:
            _, at_ms, *values, counterparties, devices = _HEADER.unpack_from(encoded)
            seen = tuple(_SEEN.iter_unpack(encoded[_HEADER.size :]))
        except struct.error as error:
            raise ValueError(f"habit of format {_FORMAT}: {error}") from None
        if len(seen) != counterparties + devices:
            raise ValueError(f"habit of format {_FORMAT} is cut short")
        return cls(at_ms, tuple(values), seen[:counterparties], seen[counterparties:])


def _factors(from_ms: int, to_ms: int) -> Sums:
    day, week, month = HALF_LIVES_MS
    return (
        (decay(from_ms, to_ms, day),) * PER_HALF_LIFE
        + (decay(from_ms, to_ms, week),) * PER_HALF_LIFE
        + (decay(from_ms, to_ms, month),) * PER_HALF_LIFE
    )


def code_of(name: str) -> int:
    """Return the number under which a name is remembered: four bytes; of 16 names two share one in 36 million."""
    return crc32(name.encode())


def _met(seen: Seen, name: str, time_ms: int, most: int) -> Seen:
    code = code_of(name)
    for known in seen:
        if known[0] == code:
            seen = tuple([each for each in seen if each is not known])
            time_ms = max(time_ms, known[1])
            break
    if seen and seen[-1][1] > time_ms:
        return tuple(sorted((*seen, (code, time_ms)), key=_when)[-most:])
    return (*seen, (code, time_ms))[-most:]


def _when(seen: tuple[int, int]) -> int:
    return seen[1]
