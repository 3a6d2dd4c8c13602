"""How long payments waited for their decisions, from the times that the broker's records carry. Pure."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

Waits = list[tuple[int, int]]
"""Time of publishing and wait until the decision was written, both ms, ordered by time."""


def first_times(messages: Iterable[Any]) -> dict[tuple[bytes, str], int]:
    """Return when each transaction was first named, ms; the messages of a card are in their order."""
    times: dict[tuple[bytes, str], int] = {}
    for message in messages:
        times.setdefault((message.key(), json.loads(message.value())["transaction_id"]), message.timestamp()[1])
    return times


def matched(published: Mapping[tuple[bytes, str], int], decided: Mapping[tuple[bytes, str], int]) -> Waits:
    """Pair the two by transaction.

    >>> matched({(b"c", "t"): 1_000, (b"c", "u"): 2_000}, {(b"c", "t"): 1_050})
    [(1000, 50)]
    """
    return sorted((at_ms, decided[each] - at_ms) for each, at_ms in published.items() if each in decided)


def longest_s(found: Waits, from_ms: int = 0, until_ms: int = 2**62) -> float:
    """Return the longest wait of a transaction published in a span of time, s.

    >>> longest_s([(1_000, 50), (2_000, 4_000)]), longest_s([(1_000, 50), (2_000, 4_000)], 0, 1_500)
    (4.0, 0.05)
    """
    return max((wait_ms for at_ms, wait_ms in found if from_ms <= at_ms < until_ms), default=0) / 1000
