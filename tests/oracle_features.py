"""Every feature, worked out anew from everything that happened: plain logs, scans, direct sums.

Nothing is shared with the windows, the habits, the feature table or the grids of the detector. Where a feature goes by
what is still held of what is too old to count (`LOOSE`), it is not told once an entity has a history beyond retention.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from math import floor, sqrt
from typing import Any, Literal

import numpy as np
from iso4217 import Currency

from schemas.fields import DAY_MS, HOUR_MS, FraudVerdict
from schemas.label import Label, VerdictChange
from schemas.transaction import Transaction
from tests.oracle_ledger import RETENTION_MS, Ledger, Standing
from tests.oracle_log import Log

WINDOWS_MS = {"1h": HOUR_MS, "24h": DAY_MS, "7d": 7 * DAY_MS, "30d": 30 * DAY_MS}
HALF_LIVES_MS = {"1d": DAY_MS, "7d": 7 * DAY_MS, "30d": 30 * DAY_MS}
CHANNELS = ("pos", "ecommerce", "moto", "atm", "recurring", "unknown")
ENTRY_MODES = ("chip", "contactless", "magstripe", "manual", "credential_on_file", "unknown")
LOOSE = ("known_days", "pace", "amount_rank")

Features = Mapping[str, float]


def exact_base_amount(transaction: Transaction, rates: Mapping[str, Any]) -> Fraction | None:
    """Return the amount in minor units of the base currency before rounding, by a rate table's JSON."""
    currency, base = transaction.currency, rates["base"]
    if currency == base:
        return min(Fraction(transaction.amount_minor), Fraction(10**13))
    if currency not in rates["units_per_base"]:
        return None
    minor_units = [Fraction(10) ** (Currency(code).exponent or 0) for code in (currency, base)]
    in_base = (
        transaction.amount_minor / minor_units[0] / Fraction(str(rates["units_per_base"][currency])) * minor_units[1]
    )
    return min(in_base, Fraction(10**13))


def is_rounded(exact: Fraction | None, amount: float | None) -> bool:
    """Return whether an amount is the exact one rounded; at half a unit floats may go either way."""
    if exact is None or amount is None:
        return exact is None and amount is None
    return amount == int(amount) and abs(Fraction(amount) - exact) <= Fraction(1, 2) + exact / 10**9


def differences(
    expected: Features, actual: Features, loose: frozenset[str] = frozenset()
) -> dict[str, tuple[object, object]]:
    """Return which features differ: whole numbers at all, fractions by more than their last decimal."""
    names = (expected.keys() | actual.keys()) - loose
    pairs = {name: (expected.get(name), actual.get(name)) for name in sorted(names)}
    return {name: pair for name, pair in pairs.items() if not _same(*pair)}


def _same(expected: float | None, actual: float | None) -> bool:
    if expected is None or actual is None or isinstance(expected, int):
        return expected == actual
    return abs(expected - actual) <= 1.5e-4 + 1e-9 * abs(expected)


def payment_features(transaction: Transaction, amount: int | None) -> dict[str, float]:
    """Return what the payment says by itself."""
    local = datetime.fromtimestamp(transaction.event_time_ms // 1000, UTC)
    local += timedelta(minutes=transaction.utc_offset_minutes or 0)
    told: dict[str, float | None] = {
        "amount_minor": amount,
        "hour": local.hour,
        "is_night": int(local.hour < 6),
        "is_weekend": int(local.weekday() >= 5),
        "channel": None if transaction.channel == "unknown" else CHANNELS.index(transaction.channel),
        "entry_mode": None if transaction.entry_mode == "unknown" else ENTRY_MODES.index(transaction.entry_mode),
        "trade": None if transaction.mcc is None else int(transaction.mcc[:2]),
    }
    home = transaction.issuer_country
    for name, country in (
        ("merchant_abroad", transaction.merchant_country),
        ("ip_abroad", transaction.ip_country),
        ("shipped_abroad", transaction.shipping_country),
    ):
        told[name] = None if home is None or country is None else int(home != country)
    return {f"payment_{name}": value for name, value in told.items() if value is not None}


class Entity:
    """One card or merchant: all that ever happened to it."""

    def __init__(self, kind: Literal["card", "merchant"]) -> None:
        self.kind = kind
        self.payments = Log()  # an amount without a rate is 0
        self.late: list[tuple[int, str]] = []
        self.priced = Log()  # those with a rate
        self.met: list[tuple[str, int]] = []
        self.devices: list[tuple[str, int]] = []
        self.ledger = Ledger()
        self.fraud_at = Log()
        self.cleared_at = Log()
        self.newest_ms: int | None = None
        self.oldest_ms: int | None = None
        self.as_of_ms = 0

    @property
    def is_long(self) -> bool:
        """Whether something that was remembered is too old to count by now."""
        return self.oldest_ms is not None and self.oldest_ms <= (self.newest_ms or 0) - RETENTION_MS

    @property
    def loose(self) -> frozenset[str]:
        """Features that are not told here."""
        return frozenset(f"{self.kind}_{name}" for name in LOOSE) if self.is_long else frozenset()

    def knows(self, transaction_id: str) -> bool:
        """Whether a payment of that id was seen within retention."""
        newest_late_ms = max((each[0] for each in self.late), default=0)
        return self._paid(transaction_id) is not None or any(
            name == transaction_id and at_ms > newest_late_ms - RETENTION_MS for at_ms, name in self.late
        )

    def _paid(self, transaction_id: str) -> int | None:
        floor_ms = (self.newest_ms or 0) - RETENTION_MS
        paid = self.payments
        found = [number for number, tag in enumerate(paid.tags) if tag == transaction_id]
        within = [int(paid.amounts[number]) for number in found if paid.at_ms[number] > floor_ms]
        return within[-1] if within else None

    def pay(self, transaction: Transaction, amount: int | None) -> int:
        """Remember a payment and return how late it was; one that is too late for every window is only known."""
        time_ms, newest_ms = transaction.event_time_ms, self.newest_ms
        late_ms = max(0, newest_ms - time_ms) if newest_ms is not None else 0
        if late_ms >= RETENTION_MS:
            self.late.append((time_ms + late_ms, transaction.transaction_id))
            return late_ms
        self.payments.append(time_ms, transaction.transaction_id, amount or 0)
        self.newest_ms = max(time_ms, newest_ms or time_ms)
        self.oldest_ms = min(time_ms, time_ms if self.oldest_ms is None else self.oldest_ms)
        self.as_of_ms = max(self.as_of_ms, time_ms)
        if amount is not None:
            self.priced.append(time_ms, transaction.transaction_id, amount)
        if self.kind == "card":
            _meet(self.met, transaction.merchant, time_ms, 16)
            if transaction.device:
                _meet(self.devices, transaction.device, time_ms, 4)
        return late_ms

    def report(self, label: Label) -> tuple[bool, VerdictChange | None]:
        """Remember what is said at a card; return whether it was news, and the change of the verdict that counts."""
        is_news, change = self.ledger.report(label)
        if change:
            self._turn(label.transaction_id, self._paid(label.transaction_id), label.reported_at_ms, change)
        return is_news, change

    def follow(self, label: Label, change: VerdictChange) -> bool:
        """Take a change of the verdict that counts at a merchant; return whether it was news."""
        tag = f"{label.card}|{label.transaction_id}"
        if change.verdict == "fraud" and self.ledger.known(tag):
            return False
        self.ledger.standing.pop(tag, None)
        if change.verdict == "fraud":
            self.ledger.standing[tag] = Standing("fraud", label.reported_at_ms)
        self._turn(tag, 0, label.reported_at_ms, change)
        return True

    def _turn(self, tag: str, paid: int | None, now_ms: int, change: VerdictChange) -> None:
        logs: dict[FraudVerdict, Log] = {"fraud": self.fraud_at, "legitimate": self.cleared_at}
        if change.before and (change.before == "fraud" or paid is not None):
            logs[change.before].remove(change.before_since_ms or 0, tag)
        if change.verdict and (change.verdict == "fraud" or paid is not None):
            logs[change.verdict].append(now_ms, tag, paid or 0)
            self.as_of_ms = max(self.as_of_ms, now_ms)

    def features(self, transaction: Transaction, amount: int | None) -> dict[str, float]:
        """Return what the entity says to a payment that it does not remember yet."""
        told = self._windows(transaction.event_time_ms, amount)
        told |= self._decayed(transaction.event_time_ms, amount, told["count_1h"] or 0)
        if self.kind == "card":
            told |= self._of_the_card(transaction, amount)
        named = {f"{self.kind}_{name}": value for name, value in told.items() if value is not None}
        return {name: value for name, value in named.items() if name not in self.loose}

    def _windows(self, time_ms: int, amount: int | None) -> dict[str, float | None]:
        told: dict[str, float | None] = {}
        floor_ms = (self.newest_ms or 0) - RETENTION_MS
        reported = self.ledger.since_ms("fraud")
        newest_label_ms = max(reported, default=0)
        at_ms, paid = self.payments.at_ms, self.payments.amounts
        for name, window_ms in WINDOWS_MS.items():
            start_ms = max(time_ms - window_ms, floor_ms)
            inside = paid[(start_ms < at_ms) & (at_ms <= time_ms)]
            told[f"count_{name}"] = len(inside) + 1
            told[f"amount_minor_{name}"] = int(inside.sum()) + (amount or 0)
            if name != "1h":
                start_ms = max(time_ms - window_ms, newest_label_ms - RETENTION_MS)
                told[f"known_frauds_{name}"] = sum(start_ms < each <= time_ms for each in reported)
        return told

    def _decayed(self, time_ms: int, amount: int | None, in_the_hour: float) -> dict[str, float | None]:
        at_ms, told = max(self.as_of_ms, time_ms), dict[str, float | None]()
        for name, half_life_ms in HALF_LIVES_MS.items():
            paid = _left(self.priced, at_ms, half_life_ms)
            frauds = float(_left(self.fraud_at, at_ms, half_life_ms).sum())
            cleared = _left(self.cleared_at, at_ms, half_life_ms)
            payments, honest = float(paid.sum()), float(cleared.sum())
            mean = float(paid @ self.priced.amounts) / payments if payments > 1e-6 else None
            told[f"decayed_count_{name}"] = _clipped(payments, 0, 1e9)
            if name != "1d":
                told[f"amount_times_mean_{name}"] = _times(amount, mean)
            if self.kind == "merchant":
                told[f"fraud_rate_{name}"] = _clipped(frauds / (payments + 1), 0, 1)
                share = frauds / (frauds + honest + 0.1) if frauds + honest > 1e-6 else None
                told[f"labelled_fraud_share_{name}"] = share if share is None else _clipped(share, 0, 1)
            elif name != "1d":
                told[f"decayed_frauds_{name}"] = _clipped(frauds, 0, 1e9)
        told["amount_mean_30d"] = mean if mean is None else _clipped(mean, 0, 1e15)
        days = max(0, time_ms - (time_ms if self.oldest_ms is None else self.oldest_ms)) / DAY_MS
        told["known_days"] = _clipped(days, 0, 32)
        if days >= 1 and payments / (days * 24) > 1e-6:
            told["pace"] = _clipped(in_the_hour / (payments / (days * 24)), 0, 1e6)
        if self.kind == "card":
            usual = float(cleared @ self.cleared_at.amounts) / honest if honest > 1e-6 else None
            told["amount_times_cleared"] = _times(amount, usual)
            told["amount_deviations"] = _deviations(amount, mean, paid, self.priced.amounts)
        return told

    def _of_the_card(self, transaction: Transaction, amount: int | None) -> dict[str, float | None]:
        time_ms, newest_ms = transaction.event_time_ms, self.newest_ms
        # In order of time, and of two at one time in order of arrival.
        in_order = np.argsort(self.payments.at_ms, kind="stable")
        last = [int(paid) for paid in self.payments.amounts[in_order][-50:]]
        told: dict[str, float | None] = {
            "amount_rank": None if amount is None or not last else _clipped(_share_below(last, amount), 0, 1),
            "merchant_is_new": int(all(name != transaction.merchant for name, _ in self.met)),
            "device_is_new": None,
            "seconds_since_last": None,
        }
        if transaction.device is not None:
            told["device_is_new"] = int(all(name != transaction.device for name, _ in self.devices))
        if newest_ms is not None and time_ms >= newest_ms:
            told["seconds_since_last"] = min((time_ms - newest_ms) // 1000, 32 * 86_400)
        for window in ("1h", "24h"):
            start_ms = time_ms - WINDOWS_MS[window]
            within = {name for name, at_ms in self.met if start_ms < at_ms <= time_ms}
            told[f"merchants_{window}"] = len(within | {transaction.merchant})
        return told


def _meet(met: list[tuple[str, int]], name: str, time_ms: int, most: int) -> None:
    before = [at_ms for known, at_ms in met if known == name]
    met[:] = [each for each in met if each[0] != name]
    met.append((name, max([time_ms, *before])))
    met.sort(key=lambda each: each[1])
    del met[:-most]


def _left(log: Log, to_ms: int, half_life_ms: int) -> "np.ndarray[Any, Any]":
    """Return what is left of each one: time goes in 1024 ticks a half-life, counted from 1970."""
    ticks = to_ms * 1024 // half_life_ms - log.at_ms * 1024 // half_life_ms
    return np.exp2(-ticks / 1024)


def _clipped(value: float, low: float, high: float) -> float:
    return floor(min(max(value, low), high) * 10_000 + 0.5) / 10_000


def _times(amount: int | None, usual: float | None) -> float | None:
    return None if amount is None or usual is None else _clipped(max(amount, 1) / max(usual, 1.0), 0, 1e6)


def _deviations(
    amount: int | None, mean: float | None, left: "np.ndarray[Any, Any]", paid: "np.ndarray[Any, Any]"
) -> float | None:
    if amount is None or mean is None:
        return None
    variance = float(left @ (paid - mean) ** 2) / float(left.sum())
    return _clipped((amount - mean) / max(sqrt(variance), 0.1 * mean, 1.0), -50, 50)


def _share_below(values: list[int], amount: int) -> float:
    return sum(value < amount for value in values) / len(values)
