"""What is remembered of an entity: its payments and the frauds known of it, over 30 days of event time.

One code for every kind of entity; a `Kind` says what differs. Methods named after events (`pay`, `report`) change
nothing: they return what was seen and the changes that would follow; `apply` puts changes in place. Changes are pieces
of state, each a key and a value of the state log, so a restored profile is built by the same `apply` as a live one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from schemas.fields import Features
from schemas.label import Label
from streams.detector.features import features_of
from streams.detector.window import RETENTION_MS, Changes, Entry, Segment, Timeline

TimelineName = Literal["payments", "frauds", "retracted", "late"]
TIMELINES: tuple[TimelineName, ...] = ("payments", "frauds", "retracted", "late")
"""payments: amounts. frauds: known frauds by the time of their report; the value is the label's revision. retracted:
labels that must not count but not be forgotten either. late: names of payments too late for every window, by the time
of the newest payment when they came."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of entity. Its name begins the names of its features.

    `keeps_ids` is set where payments are told apart by id, so that a repeated one is known.
    """

    name: str
    keeps_ids: bool


CARD = Kind("card", keeps_ids=True)
MERCHANT = Kind("merchant", keeps_ids=False)

ProfileChanges = dict[TimelineName, Changes]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a profile says to an event."""

    duplicate: bool = False
    late_ms: int = 0
    features: Features = field(default_factory=dict)
    changes: ProfileChanges = field(default_factory=dict)


class Profile:
    """One entity. Holds at most 32 days of entries, in segments of 64.

    >>> merchant = Profile(MERCHANT)
    >>> for minute in range(3):
    ...     merchant.apply(merchant.pay(1_600_000_000_000 + minute * 60_000, 500, "").changes)
    >>> merchant.pay(1_600_000_180_000, 500, "").features["merchant_amount_minor_1h"]
    2000
    """

    __slots__ = ("_kind", "_timelines")

    def __init__(self, kind: Kind, segments: Mapping[TimelineName, Mapping[int, Segment]] | None = None) -> None:
        self._kind = kind
        self._timelines = {name: Timeline((segments or {}).get(name)) for name in TIMELINES}

    def pay(self, time_ms: int, amount_minor: int, transaction_id: str) -> Seen:
        """Return the features of a payment, itself included, and what remembering it changes."""
        payments, frauds = self._timelines["payments"], self._timelines["frauds"]
        tag = transaction_id if self._kind.keeps_ids else ""
        if tag and (payments.find(tag) or self._timelines["late"].find(tag)):
            return Seen(duplicate=True)
        late_ms = max(0, (payments.newest_ms or time_ms) - time_ms)
        features = features_of(self._kind.name, payments, frauds, time_ms, amount_minor)
        if late_ms < RETENTION_MS:
            return Seen(
                late_ms=late_ms,
                features=features,
                changes={"payments": payments.insert(Entry(time_ms, amount_minor, tag))},
            )
        late = self._timelines["late"].insert(Entry(time_ms + late_ms, 0, tag)) if tag else {}
        return Seen(late_ms=late_ms, features=features, changes={"late": late})

    def report(self, label: Label) -> Seen:
        """Return what a label changes. A repeated or older revision is a duplicate."""
        tag = f"{label.card}|{label.transaction_id}"
        frauds, retracted = self._timelines["frauds"], self._timelines["retracted"]
        known_fraud, known_retracted = frauds.find(tag), retracted.find(tag)
        known = known_fraud or known_retracted
        if known and label.revision <= known.value:
            return Seen(duplicate=True)
        changes: ProfileChanges = {}
        entry = Entry(label.reported_at_ms, label.revision, tag)
        if label.verdict == "fraud":
            if known_retracted:
                changes["retracted"] = retracted.remove(tag)
            changes["frauds"] = frauds.move(entry) if known_fraud else frauds.insert(entry)
        elif known or label.revision:
            if known_fraud:
                changes["frauds"] = frauds.remove(tag)
            changes["retracted"] = retracted.move(entry) if known_retracted else retracted.insert(entry)
        return Seen(changes=changes)

    def apply(self, changes: Mapping[TimelineName, Mapping[int, Segment | None]]) -> None:
        """Put changes in place."""
        for name, segments in changes.items():
            self._timelines[name].apply(segments)
