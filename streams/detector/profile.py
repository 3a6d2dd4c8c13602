"""What is remembered of an entity: its payments and the frauds known of it, over 30 days of event time, and its habit.

One code for every kind of entity; a `Kind` says what differs. Methods named after events (`pay`, `report`) change
nothing: they return what was seen and the changes that would follow; `apply` puts changes in place. Changes are pieces
of state, each a key and a value of the state log, so a restored profile is built by the same `apply` as a live one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, cast

from schemas.fields import Features, FraudVerdict
from schemas.label import Label, VerdictChange
from streams.detector.features import Of, features_of
from streams.detector.habit import Habit
from streams.detector.ledger import counting, said_with
from streams.detector.look import Payment, look_at
from streams.detector.segment import Entry, Segment
from streams.detector.window import RETENTION_MS, Timeline

TimelineName = Literal["payments", "frauds", "cleared", "undecided", "late"]
TIMELINES: tuple[TimelineName, ...] = ("payments", "frauds", "cleared", "undecided", "late")
"""payments: amounts, minor units of the base currency. frauds, cleared: payments whose verdict that counts is fraud or
legitimate, by the time when that became known; undecided: of which something was said, and neither counts. A payment is
in one of the three, and the value is its ledger (`streams/detector/ledger.py`); where no ids are kept, frauds has
known frauds alone. late: names of payments too late for every window, by the time of the newest payment when they
came."""

PieceName = TimelineName | Literal["habit"]
Piece = Segment | Habit
ProfileChanges = dict[PieceName, Mapping[int, Piece | None]]
"""Name of the part -> serial number -> the piece from now on, or None where it is gone. A habit is one piece, 0."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of entity, and the groups of features that it tells.

    `keeps_ids` is set where payments and labels are told apart by id, so that a repeated one is known, and where it is
    known who has said what of a payment. Other entities follow what such a one says.
    """

    tells: tuple[Of, ...]
    keeps_ids: bool


CARD = Kind(("payment", "card"), keeps_ids=True)
MERCHANT = Kind(("merchant",), keeps_ids=False)


_NOTHING = Timeline()
"""What a part without entries is read from. Never changed: most entities have payments and nothing else."""


_TIMELINE_OF: Mapping[FraudVerdict | None, TimelineName] = {
    "fraud": "frauds",
    "legitimate": "cleared",
    None: "undecided",
}
_VERDICT_OF: Mapping[TimelineName, FraudVerdict | None] = {name: verdict for verdict, name in _TIMELINE_OF.items()}


class Seen(NamedTuple):
    """What a profile says to an event. `verdict` is given where a label changed the one that counts."""

    duplicate: bool = False
    late_ms: int = 0
    features: Features = {}  # noqa: RUF012 - never changed
    changes: ProfileChanges = {}  # noqa: RUF012
    verdict: VerdictChange | None = None


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
        """Return what a label changes where ids are kept. A repeated or older revision of its source is a duplicate."""
        tag = label.transaction_id
        name, known = self._ledger_of(tag)
        said = said_with(known.value if known else 0, label)
        if said is None:
            return Seen(duplicate=True)
        verdict, source = counting(said)
        now = _TIMELINE_OF[verdict]
        if known and now == name:
            return Seen(changes={name: self._timeline(name).revalue(known._replace(value=said))})
        changes: ProfileChanges = {now: self._timeline(now).insert(Entry(label.reported_at_ms, said, tag))}
        if known:
            changes[name] = self._timeline(name).remove(tag)
        elif verdict is None:
            return Seen(changes=changes)
        before = _VERDICT_OF[name] if known else None
        change = VerdictChange.of_valid(
            verdict=verdict,
            verdict_of=None if source == label.source else source,
            before=before,
            before_since_ms=known.time_ms if known and before else None,
        )
        habit = self._turned(tag, label.reported_at_ms, change)
        if habit is not self._habit:
            changes["habit"] = {0: habit}
        return Seen(changes=changes, verdict=change)

    def follow(self, label: Label, change: VerdictChange) -> Seen:
        """Return what changes where no ids are kept, when the verdict that counts for a payment has changed.

        Frauds are named, so that one can be taken back; one that is known already changes nothing.
        """
        tag, frauds = f"{label.card}|{label.transaction_id}", self._timeline("frauds")
        if change.verdict == "fraud" and frauds.find(tag):
            return Seen(duplicate=True)
        changes: ProfileChanges = {"habit": {0: self._turned(tag, label.reported_at_ms, change)}}
        if change.verdict == "fraud":
            changes["frauds"] = frauds.insert(Entry(label.reported_at_ms, 0, tag))
        elif change.before == "fraud":
            changes["frauds"] = frauds.remove(tag)
        return Seen(changes=changes)

    def _ledger_of(self, tag: str) -> tuple[TimelineName, Entry | None]:
        """Return where a payment's ledger is, and the ledger."""
        for name in _VERDICT_OF:
            timeline = self._timelines.get(name)
            known = timeline and timeline.find(tag)
            if known:
                return name, known
        return "undecided", None

    def _turned(self, tag: str, now_ms: int, change: VerdictChange) -> Habit:
        """Return the habit when another verdict counts: what counted before is taken back."""
        habit = self._habit
        if change.before and change.before_since_ms is not None:
            habit = self._told(habit, change.before, change.before_since_ms, tag, -1.0)
        return self._told(habit, change.verdict, now_ms, tag, 1.0) if change.verdict else habit

    def _told(self, habit: Habit, verdict: FraudVerdict, time_ms: int, tag: str, number: float) -> Habit:
        """Return the habit with one more fraud or payment cleared, or one less; a card must know what was paid."""
        if verdict == "fraud":
            return habit.reported(time_ms, number)
        paid = self._timeline("payments").find(tag)
        if paid is None and self._kind.keeps_ids:
            return habit
        return habit.cleared(time_ms, number, paid.value if paid else 0)

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
