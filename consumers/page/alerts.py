"""The newest payments that were blocked, held for review or stepped up, with the reasons as sentences."""

from dataclasses import dataclass
from typing import Any

from consumers.page.query import Query, rows

SHOWN = 10

# More are read than are shown, because the sink may have stored some of them more than once.
NEWEST = """
SELECT toUnixTimestamp64Milli(event_time) AS event_ms, action, mode,
    transaction_id, card, merchant, amount_minor, currency, score, reason_texts, model_version,
    record_partition, record_offset
FROM predictions
WHERE action IN ('block', 'review', 'step_up') AND mode != 'history'
ORDER BY decided_at DESC, record_partition, record_offset
LIMIT 60
"""


@dataclass(frozen=True, slots=True)
class Alert:
    """One payment that was not approved. The time is in milliseconds; the score is None where rules alone decided."""

    event_ms: int
    action: str
    mode: str
    transaction_id: str
    card: str
    merchant: str
    amount_minor: int
    currency: str
    score: int | None
    reasons: tuple[str, ...]
    model_version: str


def alerts(query: Query) -> list[Alert]:
    """Ask for them, newest first."""
    once: dict[tuple[int, int], dict[str, Any]] = {}
    for row in rows(query(NEWEST, None)):
        once.setdefault((row.pop("record_partition"), row.pop("record_offset")), row)
    return [Alert(reasons=tuple(row.pop("reason_texts")), **row) for row in list(once.values())[:SHOWN]]
