"""How long decisions paused, partition by partition, from the times that the broker's records carry. Pure."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from schemas.codec import decode
from schemas.transaction import Transaction
from tests.faults.acts import Strike

AFTER_MS = 20_000
"""A pause is told with a fault when it began within this time after the fault ended, and before the next one began."""
TOLD_MS_MIN = 100
"""Shorter ones are the pace of a healthy system."""


class Wait(NamedTuple):
    """When a transaction was published and its decision written, ms, and the partition of the decision."""

    published_ms: int
    decided_ms: int
    partition: int


class Pause(NamedTuple):
    """A time in which a partition had work and nothing was decided in it, ms."""

    partition: int
    from_ms: int
    to_ms: int


def waits(transactions: Iterable[Any], decisions: Iterable[Any]) -> list[Wait]:
    """Return the waits of all transactions that have a decision. A transaction sent twice waits from the first time.

    Those whose sender's clock is off tell nothing of when they were sent.
    """
    published: dict[tuple[str, str], int] = {}
    for message in transactions:
        sent = decode(Transaction, message.value())
        if isinstance(sent, Transaction):
            published.setdefault((sent.card, sent.transaction_id), message.timestamp()[1])
    found = []
    seen: set[tuple[str, str]] = set()
    newest_ms = max(published.values(), default=0)
    for message in decisions:
        told = json.loads(message.value())
        identity = (told.get("card"), told["transaction_id"])
        sent_ms = published.get(identity, 0)
        if told["action"] != "invalid" and identity not in seen and sent_ms > newest_ms - 43_200_000:
            seen.add(identity)
            found.append(Wait(sent_ms, message.timestamp()[1], message.partition()))
    return sorted(found)


def pauses(found: Iterable[Wait]) -> list[Pause]:
    """Return every pause of every partition, in order of time.

    >>> pauses([Wait(0, 10, 7), Wait(5, 2_000, 7), Wait(1_900, 2_001, 7), Wait(0, 300, 8)])
    [Pause(partition=8, from_ms=0, to_ms=300), Pause(partition=7, from_ms=10, to_ms=2000)]
    """
    by_partition: defaultdict[int, list[Wait]] = defaultdict(list)
    for wait in found:
        by_partition[wait.partition].append(wait)
    told = []
    for partition, each in by_partition.items():
        each.sort(key=lambda wait: wait.decided_ms)
        # Since when the oldest of those has waited that are not decided yet.
        oldest = [each[-1].published_ms]
        for wait in reversed(each[:-1]):
            oldest.append(min(oldest[-1], wait.published_ms))
        before_ms = 0
        for wait, since_ms in zip(each, reversed(oldest), strict=True):
            from_ms = max(before_ms, since_ms)
            if wait.decided_ms - from_ms >= TOLD_MS_MIN:
                told.append(Pause(partition, from_ms, wait.decided_ms))
            before_ms = wait.decided_ms
    return sorted(told, key=lambda pause: pause.from_ms)


def longest_s(found: Iterable[Pause], partitions: Iterable[int], from_ms: int = 0, to_ms: int = 2**62) -> list[float]:
    """Return for each partition the longest pause that lies at least partly in a span of time, s."""
    longest = dict.fromkeys(sorted(partitions), 0)
    for pause in found:
        if pause.to_ms > from_ms and pause.from_ms < to_ms:
            longest[pause.partition] = max(longest[pause.partition], pause.to_ms - pause.from_ms)
    return [round(each / 1000, 2) for each in longest.values()]


def summary(longest: Sequence[float]) -> dict[str, float]:
    """Return the median and the longest over the partitions, s.

    >>> summary([0.1, 0.2, 3.0])
    {'median_s': 0.2, 'max_s': 3.0}
    """
    ordered = sorted(longest) or [0.0]
    return {"median_s": ordered[len(ordered) // 2], "max_s": ordered[-1]}


def told_by_fault(strikes: Sequence[Strike], found: Sequence[Wait]) -> list[dict[str, Any]]:
    """Return for each fault when and whom it struck, what happened, and how long each partition paused, s."""
    first_ms = found[0].published_ms if found else 0
    partitions, all_pauses = {wait.partition for wait in found}, pauses(found)
    told = []
    for strike in strikes:
        later = [other.began_at_ms for other in strikes if other.began_at_ms > strike.ended_at_ms]
        to_ms = min([strike.ended_at_ms + AFTER_MS, *later])
        longest = longest_s(all_pauses, partitions, strike.began_at_ms, to_ms)
        told.append(
            {
                "kind": strike.fault.kind,
                "at_s": round((strike.began_at_ms - first_ms) / 1000, 1),
                "lasted_s": round((strike.ended_at_ms - strike.began_at_ms) / 1000, 1),
                "happened": strike.happened,
                "pause": summary(longest),
                "pause_s_by_partition": longest,
            }
        )
    return told


def longest_by_kind(told: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Return by kind of fault the longest pause of any partition, s."""
    longest: defaultdict[str, float] = defaultdict(float)
    for each in told:
        longest[each["kind"]] = max(longest[each["kind"]], each["pause"]["max_s"])
    return dict(sorted(longest.items()))
