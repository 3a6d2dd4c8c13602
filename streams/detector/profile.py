"""What is remembered of an entity: its payments and the frauds known of it, over 30 days of event time, and its habit.

One code for every kind of entity; a `Kind` says what differs. Methods named after events (`pay`, `report`) change
nothing: they return what was seen and the changes that would follow; `apply` puts changes in place. Changes are pieces
of state, each a key and a value of the state log, so a restored profile is built by the same `apply` as a live one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, cast

from schemas.fields import Features
from schemas.label import Label
from streams.detector.features import Of, features_of
from streams.detector.habit import Habit
from streams.detector.look import Payment, look_at
from streams.detector.segment import Entry, Segment
from streams.detector.window import RETENTION_MS, Timeline

TimelineName = Literal["payments", "frauds", "cleared", "late"]
TIMELINES: tuple[TimelineName, ...] = ("payments", "frauds", "cleared", "late")
"""payments: amounts, minor units of the base currency. frauds: known frauds by the time of their report; the value is
the label's revision. cleared: labels that say no fraud, likewise. late: names of payments too late for every window, by
the time of the newest payment when they came."""

PieceName = TimelineName | Literal["habit"]
Piece = Segment | Habit
ProfileChanges = dict[PieceName, Mapping[int, Piece | None]]
"""Name of the part -> serial number -> the piece from now on, or None where it is gone. A habit is one piece, 0."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of entity, and the groups of features that it tells.

    `keeps_ids` is set where payments and labels are told apart by id, so that a repeated one is known.
    """

    tells: tuple[Of, ...]
    keeps_ids: bool


CARD = Kind(("payment", "card"), keeps_ids=True)
MERCHANT = Kind(("merchant",), keeps_ids=False)


_NOTHING = Timeline()
"""What a part without entries is read from. Never changed: most entities have payments and nothing else."""


class Seen(NamedTuple):
    """What a profile says to an event."""

    duplicate: bool = False
    late_ms: int = 0
    features: Features = {}  # noqa: RUF012 - never changed
    changes: ProfileChanges = {}  # noqa: RUF012


class Profile:
    """One entity. Holds at most 32 days of entries, in segments of 64, and one habit.

    >>> from schemas.transaction import Transaction
    >>> merchant = Profile(MERCHANT)
    >>> for minute in range(4):
    ...     payment = Transaction(transaction_id=f"tx-{minute}", card="card_a", merchant="mer_b", amount_minor=500,
    ...                           currency="EUR", event_time_ms=1_600_000_000_000 + minute * 60_000)
    ...     seen = merchant.pay(Payment(payment, 500, "", "card_a"))
    ...     merchant.apply(seen.changes)
    >>> seen.features["merchant_amount_minor_1h"]
    2000
    """

    __slots__ = ("_habit", "_kind", "_timelines")

    def __init__(self, kind: Kind, pieces: Mapping[PieceName, Mapping[int, Piece]] | None = None) -> None:
        self._kind = kind
        self._timelines: dict[PieceName, Timeline] = {}
        self._habit = Habit()
        for name, held in (pieces or {}).items():
            if name == "habit":
                self.apply({name: held})
            else:
                segments = {serial: piece for serial, piece in held.items() if isinstance(piece, Segment)}
                self._timelines[name] = Timeline(segments)

    def _timeline(self, name: TimelineName) -> Timeline:
        return self._timelines.get(name, _NOTHING)

    def pay(self, payment: Payment) -> Seen:
        """Return the features of a payment, itself included, and what remembering it changes."""
        payments, late = self._timeline("payments"), self._timeline("late")
        tag = payment.tag if self._kind.keeps_ids else ""
        if tag and (payments.find(tag) or late.find(tag)):
            return Seen(duplicate=True)
        time_ms = payment.transaction.event_time_ms
        late_ms = max(0, (payments.newest_ms or time_ms) - time_ms)
        habit = self._habit.by(time_ms)
        look = look_at(payment, payments, self._timeline("frauds"), habit)
        features = features_of(self._kind.tells, look)
        if late_ms >= RETENTION_MS:
            inserted = late.insert(Entry(time_ms + late_ms, 0, tag)) if tag else {}
            return Seen(late_ms=late_ms, features=features, changes={"late": inserted})
        return Seen(
            late_ms=late_ms,
            features=features,
            changes={
                "payments": payments.insert(Entry(time_ms, payment.amount_base or 0, tag)),
                "habit": {0: self._after(habit, payment)},
            },
        )

    def _after(self, habit: Habit, payment: Payment) -> Habit:
        transaction, amount = payment.transaction, payment.amount_base
        if amount is not None:
            habit = habit.paid(transaction.event_time_ms, amount)
        if self._kind.keeps_ids:
            habit = habit.meet(transaction.event_time_ms, payment.counterparty, transaction.device)
        return habit

    def report(self, label: Label) -> Seen:
        """Return what a label changes. A repeated or older revision is a duplicate.

        An entity that keeps no ids is told each revision once; of labels that say no fraud it remembers none.
        """
        tag = label.transaction_id if self._kind.keeps_ids else f"{label.card}|{label.transaction_id}"
        frauds, cleared = self._timeline("frauds"), self._timeline("cleared")
        known_fraud, known_cleared = frauds.find(tag), cleared.find(tag)
        known = known_fraud or known_cleared
        if known and label.revision <= known.value:
            return Seen(duplicate=True)
        changes: ProfileChanges = {}
        habit = self._habit
        entry = Entry(label.reported_at_ms, label.revision, tag)
        if known_fraud:
            habit = habit.reported(known_fraud.time_ms, -1.0)
        if label.verdict == "fraud":
            if known_cleared:
                changes["cleared"] = cleared.remove(tag)
                habit = self._cleared(habit, known_cleared, -1.0)
            changes["frauds"] = frauds.move(entry) if known_fraud else frauds.insert(entry)
            habit = habit.reported(label.reported_at_ms, 1.0)
        else:
            if known_fraud:
                changes["frauds"] = frauds.remove(tag)
            if self._kind.keeps_ids:
                changes["cleared"] = cleared.move(entry) if known_cleared else cleared.insert(entry)
            if known_cleared:
                habit = self._cleared(habit, known_cleared, -1.0)
            habit = self._cleared(habit, entry, 1.0)
        if habit is not self._habit:
            changes["habit"] = {0: habit}
        return Seen(changes=changes)

    def _cleared(self, habit: Habit, label: Entry, number: float) -> Habit:
        """Return the habit with a payment cleared, or not any more; a card must still know what was paid."""
        paid = self._timeline("payments").find(label.tag)
        if paid is None and self._kind.keeps_ids:
            return habit
        return habit.cleared(label.time_ms, number, paid.value if paid else 0)

    def apply(self, changes: Mapping[PieceName, Mapping[int, Piece | None]]) -> None:
        """Put changes in place."""
        for name, pieces in changes.items():
            if name == "habit":
                habit = pieces[0]
                assert isinstance(habit, Habit)
                self._habit = habit
            else:
                timeline = self._timelines.get(name) or self._timelines.setdefault(name, Timeline())
                timeline.apply(cast("Mapping[int, Segment | None]", pieces))
