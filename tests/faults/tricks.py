"""What a careless gateway sends beside what it should: again, late, out of order, by clocks a day off. Pure."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Literal, NamedTuple

from schemas.fields import DAY_MS, HOUR_MS
from schemas.transaction import Transaction

LATE_MS = (1_000, 30 * DAY_MS)
"""Least and most lateness: within the 32 days that are remembered, for a card that had a payment a day ahead too."""
AGAIN_S = (0.0, 15.0)
"""Least and most time between hearing of a transaction and sending it again."""
DERIVED = "gw-"
"""How the ids of what a gateway makes up begin."""

Counted = Literal["repeat", "another", "refused"]


class Sending(NamedTuple):
    """One record to send so many seconds from now. Without a timestamp it has the time of its sending."""

    after_s: float
    transaction: Transaction
    counted: Counted
    timestamp_ms: int | None = None


class Trick(NamedTuple):
    """What is done to which share of the transactions that are heard of; `number` makes new ids."""

    kind: str
    name: str
    share: float
    sendings: Callable[[Transaction, Random, str], Sequence[Sending]]
    of_derived: bool = False


def _again(after_s: tuple[float, float]) -> Callable[[Transaction, Random, str], Sequence[Sending]]:
    return lambda heard, chance, _name: [Sending(chance.uniform(*after_s), heard, "repeat")]


def _a_b_a(heard: Transaction, _chance: Random, name: str) -> list[Sending]:
    one, other = (heard.model_copy(update={"transaction_id": f"{name}-{letter}"}) for letter in "AB")
    return [Sending(0, one, "another"), Sending(0, other, "another"), Sending(0, one, "repeat")]


def _at_another_time(
    heard: Transaction, name: str, later_ms: int, counted: Counted = "another", timestamp_ms: int | None = None
) -> list[Sending]:
    told = {"transaction_id": name, "event_time_ms": heard.event_time_ms + later_ms}
    return [Sending(0, heard.model_copy(update=told), counted, timestamp_ms)]


def _late(heard: Transaction, chance: Random, name: str) -> list[Sending]:
    # As many by seconds as by days.
    least, most = LATE_MS
    return _at_another_time(heard, name, -int(least * (most / least) ** chance.random()))


def _behind(heard: Transaction, _chance: Random, name: str) -> list[Sending]:
    return _at_another_time(heard, name, -DAY_MS, timestamp_ms=heard.event_time_ms - DAY_MS)


TRICKS = (
    Trick("duplicate", "A, A", 0.01, _again((0.0, 0.0)), of_derived=True),
    Trick("duplicate", "A, B, A", 0.01, _a_b_a),
    Trick("duplicate", "again seconds later", 0.03, _again(AGAIN_S), of_derived=True),
    Trick("late", "late", 0.02, _late),
    Trick("late", "clock a day behind", 0.002, _behind),
    Trick("late", "clock 23 hours ahead", 0.002, lambda heard, _, name: _at_another_time(heard, name, 23 * HOUR_MS)),
    Trick(
        "late",
        "clock 25 hours ahead",
        0.002,
        lambda heard, _, name: _at_another_time(heard, name, 25 * HOUR_MS, "refused"),
    ),
)


def is_derived(transaction: Transaction) -> bool:
    """Return whether a gateway made it up."""
    return transaction.transaction_id.startswith(DERIVED)
