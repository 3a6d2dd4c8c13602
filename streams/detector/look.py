"""What the features of a payment are worked out from: the payment, and what was known of an entity just before it."""

from bisect import bisect_left
from math import sqrt
from typing import NamedTuple

from schemas.fields import DAY_MS, HOUR_MS
from schemas.transaction import Transaction
from streams.detector.habit import Habit, Seen, Sums, code_of
from streams.detector.window import Timeline

PAYMENT_WINDOWS_MS = (HOUR_MS, DAY_MS, 7 * DAY_MS, 30 * DAY_MS)
FRAUD_WINDOWS_MS = (DAY_MS, 7 * DAY_MS, 30 * DAY_MS)
RANKED_PAYMENTS = 50


class Payment(NamedTuple):
    """A payment as one entity sees it: `name` is whom it was made with, `amount_base` minor units of the base currency.

    `tag` names it where the entity tells its payments apart.
    """

    transaction: Transaction
    amount_base: int | None
    tag: str
    counterparty: str


class Look(NamedTuple):
    """One payment and one entity.

    `exact` are numbers of payments and their amounts in the windows, this payment included, then numbers of known
    frauds; the rest is what was before this payment.
    """

    payment: Transaction
    amount: int | None
    time_ms: int
    exact: tuple[int, ...]
    sums: tuple[Sums, ...]
    newest_ms: int | None
    oldest_ms: int | None
    recent_amounts: tuple[int, ...]
    counterparties: Seen
    counterparty: int
    devices: Seen

    def mean(self, half_life: int) -> float | None:
        """Return the usual amount by one of the three half-lives, or None before the first payment."""
        sums = self.sums[half_life]
        return sums.amount / sums.payments if sums.payments > 1e-6 else None

    def times(self, usual: float | None) -> float | None:
        """Return the amount as a multiple of a usual one, both at least one minor unit."""
        return None if self.amount is None or usual is None else max(self.amount, 1) / max(usual, 1.0)

    def deviations(self) -> float | None:
        """Return by how many standard deviations the amount is over the usual one, 30 days' half-life.

        The deviation is taken to be at least a tenth of the mean: two equal payments are no proof of a rule.
        """
        mean, sums = self.mean(2), self.sums[2]
        if self.amount is None or mean is None:
            return None
        variance = max(sums.squares / sums.payments - mean * mean, 0.0)
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

    def known_days(self) -> float:
        """Return for how long the entity has been known, at most the 32 days that are remembered."""
        return max(0, self.time_ms - self.oldest_ms) / DAY_MS if self.oldest_ms is not None else 0.0

    def distinct(self, window_ms: int) -> int:
        """Return with how many counterparties it dealt in a window, this one included; 16 are remembered."""
        within = {code for code, at_ms in self.counterparties if self.time_ms - window_ms < at_ms <= self.time_ms}
        return len(within | {self.counterparty})

    def counterparty_is_new(self) -> bool:
        """Return whether this one is not among the last 16."""
        return all(code != self.counterparty for code, _ in self.counterparties)

    def device_is_new(self) -> bool | None:
        """Return whether the device is not among the last four, or None where none was given."""
        device = self.payment.device
        return None if device is None else all(code != code_of(device) for code, _ in self.devices)

    def fraud_rate(self, half_life: int) -> float:
        """Return known frauds over payments, both decayed, as if one honest payment more had been seen."""
        sums = self.sums[half_life]
        return min(1.0, sums.frauds / (sums.payments + 1.0))

    def labelled_fraud_share(self, half_life: int) -> float | None:
        """Return known frauds over all labels, both decayed, or None where no label came: sharper than over payments,

        where honest payments are labelled too, because both are of the same payments.
        """
        sums = self.sums[half_life]
        labels = sums.frauds + sums.cleared
        return min(1.0, sums.frauds / (labels + 0.1)) if labels > 1e-6 else None

    def pace(self) -> float | None:
        """Return payments of the last hour over what a usual hour of the last weeks has."""
        known_days = self.known_days()
        usual = self.sums[2].payments / (known_days * 24) if known_days >= 1 else 0.0
        return self.exact[0] / usual if usual > 1e-6 else None


def look_at(payment: Payment, payments: Timeline, frauds: Timeline, habit: Habit) -> Look:
    """Return what the entity's features are worked out from; the habit is the one at the payment's time."""
    transaction, amount = payment.transaction, payment.amount_base
    time_ms = transaction.event_time_ms
    paid = payments.totals(time_ms, PAYMENT_WINDOWS_MS)
    return Look(
        payment=transaction,
        amount=amount,
        time_ms=time_ms,
        exact=(
            *[number + 1 for number, _ in paid],
            *[value + (amount or 0) for _, value in paid],
            *[number for number, _ in frauds.totals(time_ms, FRAUD_WINDOWS_MS)],
        ),
        sums=habit.sums,
        newest_ms=payments.newest_ms,
        oldest_ms=payments.oldest_ms,
        recent_amounts=payments.last_values(RANKED_PAYMENTS),
        counterparties=habit.counterparties,
        counterparty=code_of(payment.counterparty),
        devices=habit.devices,
    )
