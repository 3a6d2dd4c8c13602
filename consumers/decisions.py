"""The decision of one payment, looked up where decisions are: for a gateway that asks again instead of paying twice.

It reads `fraud.decisions.v1` itself and not the store, which lags behind and in its embedded form belongs to another
process. Decisions lie in the partitions of the tasks that made them, so all are read, backwards in time: the last
minute first, which is where a gateway that tries again finds its answer.
"""

import time
from collections.abc import Iterable

from consumers.kafka_scan import KafkaScan
from consumers.rows import Record
from schemas.codec import DecodeFailure, decode
from schemas.decision import Decision
from schemas.settings import Settings
from schemas.topics import DECISIONS

WITHIN_MS = 3_600_000
"""How far back one looks where nobody says."""

FIRST_MS = 60_000
FACTOR = 8
"""How far back the first look goes, and how many times as far each further one."""


def decision_of(
    settings: Settings, card: str, transaction_id: str, *, within_ms: int = WITHIN_MS, wait_s: float = 0.0
) -> Decision | None:
    """Return the decision of a payment, or None where there is none.

    Of several answers the one whose mode is not `fallback` holds: there is at most one. `invalid`, and `review` where
    the detector failed, are answers until then; of those the last that is found is returned.

    Parameters
    ----------
    within_ms : how long ago it may have been decided, by the time of deciding. What is older is in the store.
    wait_s : how long to wait for one that is not there yet.

    Raises
    ------
    ScanError
        There is no topic of decisions, or it could not be read.
    KafkaException
        The broker cannot be reached.
    """
    held: Decision | None = None
    with KafkaScan(settings, DECISIONS) as scan:
        before = end = scan.end()
        back_ms, now_ms = 0, time.time_ns() // 1_000_000
        while back_ms < within_ms:
            back_ms = min(max(FIRST_MS, back_ms * FACTOR), within_ms)
            start = scan.at(now_ms - back_ms)
            held = best(scan.read(start, before), card, transaction_id, held)
            if held and held.mode != "fallback":
                return held
            before = start
        if held is None and wait_s > 0:
            held = best(scan.follow(end, wait_s), card, transaction_id, held, first=True)
    return held


def best(
    records: Iterable[Record], card: str, transaction_id: str, held: Decision | None = None, *, first: bool = False
) -> Decision | None:
    """Return which answer to a payment holds, of one that is held and those in records; or the `first` that comes."""
    key = card.encode()
    for record in records:
        if record.key != key:
            continue
        decision = decode(Decision, record.value)
        if isinstance(decision, DecodeFailure) or decision.transaction_id != transaction_id:
            continue
        if first or decision.mode != "fallback":
            return decision
        held = decision
    return held
