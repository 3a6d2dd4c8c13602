"""One merchant with a million payments in thirty days: what each writes to the state log, and if it gets slower."""

import time
from typing import Any

from schemas.fields import DAY_MS
from schemas.transaction import Transaction
from streams.detector.look import Payment
from streams.detector.profile import MERCHANT
from streams.detector.state import State

BYTES_PER_EVENT_MAX = 10_000
GROWTH_MAX = 1.5
"""Time an event takes in the last tenth against the second: above noise, far below growth with the window."""


def run(*, events: int = 1_000_000) -> dict[str, Any]:
    """Fold the payments one at a time, each in a batch of its own: the most that can be written for one."""
    state, start_ms, step_ms = State(MERCHANT), 1_600_000_000_000, 30 * DAY_MS // events
    seconds: list[float] = []
    written = written_max = 0
    for tenth in range(10):
        spent = 0.0
        for number in range(tenth * events // 10, (tenth + 1) * events // 10):
            payment = _payment(start_ms + number * step_ms, 1_000 + number % 997)
            started = time.perf_counter()
            seen = state.profile("mer_hot").pay(payment)
            state.apply("mer_hot", seen.changes)
            pieces = state.take_changed_pieces()
            spent += time.perf_counter() - started
            size = sum(len(key) + len(value or b"") for key, value in pieces.items())
            written += size
            written_max = max(written_max, size)
        seconds.append(spent)
    growth = seconds[-1] / seconds[1]
    count = seen.features["merchant_count_30d"]
    return {
        "events": events,
        "count_30d_at_the_end": count,
        "bytes_per_event_mean": round(written / events),
        "bytes_per_event_max": written_max,
        "microseconds_per_event_by_tenth": [round(1e7 * each / events, 1) for each in seconds],
        "growth": round(growth, 2),
        "bounds": {"bytes_per_event_max": BYTES_PER_EVENT_MAX, "growth": GROWTH_MAX, "count_30d_at_the_end": events},
        "holds": written_max <= BYTES_PER_EVENT_MAX and growth <= GROWTH_MAX and count == events,
    }


def _payment(time_ms: int, amount_minor: int) -> Payment:
    fields = {"transaction_id": "tx", "card": "card_a", "merchant": "mer_hot", "currency": "EUR"}
    transaction = Transaction.model_validate({**fields, "amount_minor": amount_minor, "event_time_ms": time_ms})
    return Payment(transaction, amount_minor, "", "card_a")
