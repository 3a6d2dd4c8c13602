"""The features that were stored when payments were decided: how they are asked for, and which belong to a label."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.fields import DAY_MS
from schemas.label import Label

APART_MS_MAX = DAY_MS
"""How far the time of a payment may lie from what its label says: an id may be used again a month later."""

LOOK_UP = """
SELECT
    card, transaction_id, toUnixTimestamp64Milli(event_time) AS event_time_ms,
    features, probability, model_version, record_partition, record_offset
FROM v_predictions
WHERE event_time >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
    AND event_time <= fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC')
    AND (card, transaction_id) IN (SELECT arrayJoin(arrayZip({cards:Array(String)}, {ids:Array(String)})))
"""
"""Its columns are card, id and the fields of `Stored`. The times bound what is read: rows lie by hour."""

NEWEST = """
SELECT transaction_id, card, merchant, toUnixTimestamp64Milli(event_time) AS event_time_ms, features, code_version,
    record_partition, record_offset
FROM predictions
WHERE {of:Identifier} = {key:String}
    AND event_time <= fromUnixTimestamp64Milli({as_of_ms:Int64}, 'UTC')
    AND decided_at <= fromUnixTimestamp64Milli({as_of_ms:Int64}, 'UTC')
ORDER BY predictions.event_time DESC, record_offset
LIMIT 1
"""
"""The newest payment of a card or merchant that was attempted, and decided, at a time or before. A payment dated ahead
of its decision is not taken before its own time has come."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What is taken from a stored prediction."""

    event_time_ms: int
    features: Mapping[str, float]
    probability: float | None
    model_version: str
    partition: int
    offset: int


Answers = Mapping[tuple[str, str], Sequence[Stored]]
"""Card and transaction id -> the predictions stored under them."""


def parameters(labels: Sequence[Label]) -> dict[str, Any]:
    """Return the parameters of `LOOK_UP` for at least one label."""
    return {
        "cards": [label.card for label in labels],
        "ids": [label.transaction_id for label in labels],
        "from_ms": min(label.occurred_at_ms for label in labels) - APART_MS_MAX,
        "to_ms": max(label.occurred_at_ms for label in labels) + APART_MS_MAX,
    }


def answers(columns: Mapping[str, Sequence[Any]]) -> Answers:
    """Return the result of `LOOK_UP` by payment."""
    found: dict[tuple[str, str], list[Stored]] = {}
    for card, transaction_id, *values in zip(*columns.values(), strict=True):
        found.setdefault((card, transaction_id), []).append(Stored(*values))
    return found


def stored_for(label: Label, found: Answers) -> Stored | None:
    """Return the prediction that a label speaks of: the nearest in time, and none over a day away.

    >>> label = Label(transaction_id="tx-1", card="card_a", merchant="mer_b", verdict="fraud", source="chargeback",
    ...               occurred_at_ms=1522540800000, reported_at_ms=1523404800000)
    >>> def stored(event_time_ms: int) -> Stored:
    ...     return Stored(event_time_ms, {"card_count_1h": 3.0}, None, "", 0, 7)
    >>> found = {("card_a", "tx-1"): [stored(1522540800000 - 40 * DAY_MS), stored(1522540800002)]}
    >>> stored_for(label, found).event_time_ms
    1522540800002
    >>> stored_for(label, {("card_a", "tx-1"): found["card_a", "tx-1"][:1]}) is None
    True
    """
    near = [
        stored
        for stored in found.get((label.card, label.transaction_id), ())
        if abs(stored.event_time_ms - label.occurred_at_ms) <= APART_MS_MAX
    ]
    return min(near, key=lambda stored: (abs(stored.event_time_ms - label.occurred_at_ms), stored.offset), default=None)
