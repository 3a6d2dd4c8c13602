"""What the features of a payment are worked out from: the payment, and what was known of an entity just before it."""

from bisect import bisect_left
from math import sqrt
from typing import NamedTuple

from schemas.fields import DAY_MS, HOUR_MS
from schemas.transaction import Transaction
from streams.detector.habit import (
    AMOUNT,
    CLEARED,
    CLEARED_AMOUNT,
    FRAUDS,
    PAYMENTS,
    PER_HALF_LIFE,
    SQUARES,
    Habit,
    Seen,
    Sums,
    code_of,
)
from streams.detector.window import Timeline

PAYMENT_WINDOWS_MS = (HOUR_MS, DAY_MS, 7 * DAY_MS, 30 * DAY_MS)
FRAUD_WINDOWS_MS = (DAY_MS, 7 * DAY_MS, 30 * DAY_MS)
RANKED_PAYMENTS = 50
MONTH = 2
"""The place of the longest half-life."""


class Payment(NamedTuple):
    """A payment as one entity sees it: with whom it was made, and its amount in minor units of the base currency.

    `tag` names it where the entity tells its payments apart; only such an entity ranks them.
    """

    transaction: Transaction
    amount_base: int | None
    tag: str
    counterparty: str


class Look(NamedTuple):
    """One payment and one entity.

    `exact` are numbers of payments and their amounts in the windows, this payment included, then numbers of known
    frauds; the rest is what was before this payment. `known_days` is for how long the entity has been known, at most
    the 32 days that are remembered. `local_ms` is the time where it was made, UTC where no offset was given.
    """

    payment: Transaction
    amount: int | None
    time_ms: int
    local_ms: int
    exact: tuple[int, ...]
    sums: Sums
    newest_ms: int | None
    known_days: float
    recent_amounts: tuple[int, ...]
    counterparties: Seen
    counterparty: int
    devices: Seen

    def mean(self, half_life: int) -> float | None:
        """Return the usual amount by one of the three half-lives, or None before the first payment."""
        start = half_life * PER_HALF_LIFE
        payments = self.sums[start + PAYMENTS]
        return self.sums[start + AMOUNT] / payments if payments > 1e-6 else None

    def times(self, usual: float | None) -> float | None:
        """Return the amount as a multiple of a usual one, both at least one minor unit."""
        amount = self.amount
        if amount is None or usual is None:
            return None
        return (amount or 1) / (max(1.0, usual))

    def deviations(self) -> float | None:
        """Return by how many standard deviations the amount is over the usual one, 30 days' half-life.

        The deviation is taken to be at least a tenth of the mean: two equal payments are no proof of a rule.
        """
        mean = self.mean(MONTH)
        if self.amount is None or mean is None:
            return None
        start = MONTH * PER_HALF_LIFE
        variance = max(self.sums[start + SQUARES] / self.sums[start + PAYMENTS] - mean * mean, 0.0)
        return (self.amount - mean) / max(sqrt(variance), 0.1 * mean, 1.0)

    def rank(self) -> float | None:
        """Return the share of the last 50 payments that were smaller."""
        if self.amount is None or not self.recent_amounts:
            return None
        return bisect_left(sorted(self.recent_amounts), self.amount) / len(self.recent_amounts)

    def since_last_s(self) -> int | None:
        """Return the seconds since the payment before, or None at the first one and for a late one."""
        if self.newest_ms is None or self.time_ms < self.newest_ms:
            return None
        return (self.time_ms - self.newest_ms) // 1000

    def distinct(self, window_ms: int) -> int:
        """Return with how many counterparties it dealt in a window, this one included; 16 are remembered."""
        number, counterparty, after_ms = 1, self.counterparty, self.time_ms - window_ms
        for code, at_ms in reversed(self.counterparties):
            if at_ms <= after_ms:
                break
            number += code != counterparty and at_ms <= self.time_ms
        return number

    def counterparty_is_new(self) -> bool:
        """Return whether this one is not among the last 16."""
        counterparty = self.counterparty
        for code, _ in self.counterparties:  # noqa: SIM110 - a generator takes twice as long
            if code == counterparty:
                return False
        return True

    def device_is_new(self) -> bool | None:
        """Return whether the device is not among the last four, or None where none was given."""
        device = self.payment.device
        return None if device is None else all(code != code_of(device) for code, _ in self.devices)

    def fraud_rate(self, half_life: int) -> float:
        """Return known frauds over payments, both decayed, as if one honest payment more had been seen."""
        start = half_life * PER_HALF_LIFE
        return self.sums[start + FRAUDS] / (self.sums[start + PAYMENTS] + 1.0)

    def labelled_fraud_share(self, half_life: int) -> float | None:
        """Return known frauds over all labels, both decayed, or None where no label came.

        Where honest payments are labelled too it is sharper than over payments: both are of the same ones.
        """
        start = half_life * PER_HALF_LIFE
        frauds = self.sums[start + FRAUDS]
        labels = frauds + self.sums[start + CLEARED]
        return frauds / (labels + 0.1) if labels > 1e-6 else None

    def cleared_mean(self) -> float | None:
        """Return the usual amount of payments that were said to be no fraud, or None before the first."""
        start = MONTH * PER_HALF_LIFE
        cleared = self.sums[start + CLEARED]
        return self.sums[start + CLEARED_AMOUNT] / cleared if cleared > 1e-6 else None

    def pace(self) -> float | None:
        """Return payments of the last hour over what a usual hour of the last weeks has."""
        known_days = self.known_days
        usual = self.sums[MONTH * PER_HALF_LIFE + PAYMENTS] / (known_days * 24) if known_days >= 1 else 0.0
        return self.exact[0] / usual if usual > 1e-6 else None


def look_at(payment: Payment, payments: Timeline, frauds: Timeline, habit: Habit) -> Look:
    """Return what the entity's features are worked out from; the habit is the one at the payment's time."""
    transaction, amount = payment.transaction, payment.amount_base
    time_ms = transaction.event_time_ms
    paid, oldest_ms = payments.totals(time_ms, PAYMENT_WINDOWS_MS), payments.oldest_ms
    return Look(
        payment=transaction,
        amount=amount,
        time_ms=time_ms,
        local_ms=time_ms + (transaction.utc_offset_minutes or 0) * 60_000,
        exact=(
            *[number + 1 for number, _ in paid],
            *[value + (amount or 0) for _, value in paid],
            *[number for number, _ in frauds.totals(time_ms, FRAUD_WINDOWS_MS)],
        ),
        sums=habit.sums,
        newest_ms=payments.newest_ms,
        known_days=0.0 if oldest_ms is None or oldest_ms > time_ms else (time_ms - oldest_ms) / DAY_MS,
        recent_amounts=payments.last_values(RANKED_PAYMENTS) if payment.tag else (),
        counterparties=habit.counterparties,
        counterparty=code_of(payment.counterparty),
        devices=habit.devices,
    )
