"""How long transactions waited for their decisions, from the times that the broker's records carry."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from deploy.read_back import read_topic
from deploy.system import System
from schemas.topics import DECISIONS, TRANSACTIONS
from tests.faults.acts import Strike

AFTER_MS = 20_000
"""A wait is told with a fault when its transaction was published within this time after the fault began."""

Waits = list[tuple[int, int]]
"""Time of publishing and wait until the decision was written, both ms, ordered by time."""


def waits(system: System) -> Waits:
    """Return the waits of all transactions that have a decision. A transaction sent twice waits from the first time."""
    settings, prefix = system.settings, system.settings.topic_prefix
    published = first_times(read_topic(settings, prefix + TRANSACTIONS.name))
    decided = first_times(read_topic(settings, prefix + DECISIONS.name))
    return matched(published, decided)


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


def pauses(strikes: Sequence[Strike], found: Waits) -> list[dict[str, Any]]:
    """Return for each fault when it began after the first transaction, how long it lasted, and the longest wait, s."""
    first_ms = found[0][0] if found else 0
    return [
        {
            "kind": strike.fault.kind,
            "at_s": round((strike.began_at_ms - first_ms) / 1000, 1),
            "lasted_s": round((strike.ended_at_ms - strike.began_at_ms) / 1000, 1),
            "longest_wait_s": longest_s(found, strike.began_at_ms, strike.began_at_ms + AFTER_MS),
        }
        for strike in strikes
    ]


def longest_by_kind(strikes: Sequence[Strike], found: Waits) -> dict[str, float]:
    """Return by kind the longest wait of a transaction that was published before the next fault began, s."""
    longest: defaultdict[str, float] = defaultdict(float)
    for number, strike in enumerate(strikes):
        next_ms = min((other.began_at_ms for other in strikes[number + 1 :]), default=2**62)
        until_ms = min(strike.began_at_ms + AFTER_MS, next_ms)
        longest[strike.fault.kind] = max(longest[strike.fault.kind], longest_s(found, strike.began_at_ms, until_ms))
    return dict(sorted(longest.items()))
