"""What an entity usually does, in constant space: decayed sums of its payments and labels, and whom it dealt with last.

One value per entity, written as one piece of state. Sums are kept for three half-lives; a late event adds what would be
left of it by now.
"""

import struct
from itertools import chain
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


class Sums(NamedTuple):
    """Decayed sums of one half-life; amounts are in minor units of the base currency.

    Payments, their amounts and the squares of them; known frauds; payments said to be none, and their amounts.
    """

    payments: float = 0.0
    amount: float = 0.0
    squares: float = 0.0
    frauds: float = 0.0
    cleared: float = 0.0
    cleared_amount: float = 0.0


Seen = tuple[tuple[int, int], ...]
"""(CRC-32 of a name, when it was last met), the newest last."""


class Habit(NamedTuple):
    """The sums, as of `at_ms`, and the last counterparties and devices met.

    >>> habit = Habit().paid(0, 500).paid(7 * 86_400_000, 100)
    >>> habit.sums[1].payments, habit.sums[1].amount
    (1.5, 350.0)
    >>> Habit.decode(habit.encode()) == habit
    True
    """

    at_ms: int = 0
    sums: tuple[Sums, ...] = (Sums(),) * len(HALF_LIVES_MS)
    counterparties: Seen = ()
    devices: Seen = ()

    def by(self, time_ms: int) -> "Habit":
        """Return the habit with its sums decayed to a time; itself where that is past."""
        at_ms = self.at_ms
        if time_ms <= at_ms:
            return self
        decayed = []
        for half_life_ms, sums in zip(HALF_LIVES_MS, self.sums, strict=True):
            factor = decay(at_ms, time_ms, half_life_ms)
            payments, amount, squares, frauds, cleared, cleared_amount = sums
            decayed.append(
                Sums(
                    payments * factor,
                    amount * factor,
                    squares * factor,
                    frauds * factor,
                    cleared * factor,
                    cleared_amount * factor,
                )
            )
        return Habit(time_ms, tuple(decayed), self.counterparties, self.devices)

    def paid(self, time_ms: int, amount: float) -> "Habit":
        """Return the habit with a payment."""
        return self._add(time_ms, 1.0, amount, amount * amount)

    def reported(self, time_ms: int, number: float) -> "Habit":
        """Return the habit with a known fraud, or with one taken back (-1)."""
        return self._add(time_ms, frauds=number)

    def cleared(self, time_ms: int, number: float, amount: float) -> "Habit":
        """Return the habit with a payment said to be no fraud, or with that taken back (-1)."""
        return self._add(time_ms, cleared=number, cleared_amount=number * amount)

    def _add(
        self,
        time_ms: int,
        payments: float = 0.0,
        amount: float = 0.0,
        squares: float = 0.0,
        frauds: float = 0.0,
        cleared: float = 0.0,
        cleared_amount: float = 0.0,
    ) -> "Habit":
        habit = self.by(time_ms)
        added = []
        for half_life_ms, before in zip(HALF_LIVES_MS, habit.sums, strict=True):
            left = decay(time_ms, habit.at_ms, half_life_ms)
            added.append(
                Sums(
                    before.payments + payments * left,
                    before.amount + amount * left,
                    before.squares + squares * left,
                    # What is taken back was added in other roundings.
                    max(0.0, before.frauds + frauds * left),
                    max(0.0, before.cleared + cleared * left),
                    max(0.0, before.cleared_amount + cleared_amount * left),
                )
            )
        return Habit(habit.at_ms, tuple(added), habit.counterparties, habit.devices)

    def meet(self, time_ms: int, counterparty: str, device: str | None) -> "Habit":
        """Return the habit with whom it dealt with now."""
        counterparties = _met(self.counterparties, counterparty, time_ms, COUNTERPARTIES_MAX)
        devices = _met(self.devices, device, time_ms, DEVICES_MAX) if device else self.devices
        return Habit(self.at_ms, self.sums, counterparties, devices)

    def encode(self) -> bytes:
        """Return the piece of state."""
        seen = (*self.counterparties, *self.devices)
        head = _HEADER.pack(
            _FORMAT, self.at_ms, *chain.from_iterable(self.sums), len(self.counterparties), len(self.devices)
        )
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
        sums = tuple(Sums(*values[start : start + 6]) for start in range(0, len(values), 6))
        return cls(at_ms, sums, seen[:counterparties], seen[counterparties:])


def code_of(name: str) -> int:
    """Return the number under which a name is remembered: four bytes; of 16 names two share one in 36 million."""
    return crc32(name.encode())


def _met(seen: Seen, name: str, time_ms: int, most: int) -> Seen:
    code = code_of(name)
    for known in seen:
        if known[0] == code:
            return (*[each for each in seen if each is not known], (code, max(known[1], time_ms)))
    return (*seen, (code, time_ms))[-most:]
