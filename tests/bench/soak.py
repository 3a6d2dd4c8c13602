"""Ninety days of one population through the core in one process: memory once windows are full, and what they cost."""

import gc
import os
import statistics
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

from producers.world import World, cases
from schemas.fields import DAY_MS, HOUR_MS
from schemas.transaction import Transaction
from streams.detector.card import pay_by_card
from streams.detector.look import Payment
from streams.detector.merchant import pay_at_merchant
from streams.detector.profile import CARD, MERCHANT
from streams.detector.state import State
from streams.documents import shipped_rates
from tests.bench.state_log import resident_bytes

DAYS = 90
FULL_DAY = 35
"""From here on windows are full and what leaves them was seen: 32 days of retention, and a segment more."""
GROWTH_MAX = 1.05
COST_RATIO_MAX = 1.2
START_MS = 1_700_000_000_000
BATCH = 200
PROFILES_READY = 5_000
SHOPPERS, MERCHANTS = 20_000, 2_000
STEP_MS = 20_000
"""Between two payments of the merchant whose windows are compared."""
UPDATES, ROUNDS = 180, 25


def run(*, transactions: int = 1_500_000) -> dict[str, Any]:
    """Fold the payments and look at the process's memory once a day of event time."""
    gc.collect()
    resident, sizes = _ninety_days(transactions)
    growth = max(resident[FULL_DAY:]) / resident[FULL_DAY - 1]
    growth_state = max(sizes[FULL_DAY:]) / sizes[FULL_DAY - 1]
    hour_us, month_us = _costs()
    return {
        "transactions": transactions,
        "cards": SHOPPERS,
        "merchants": MERCHANTS,
        "resident_mb_by_ten_days": [round(size / 1e6) for size in resident[9::10]],
        "state_mb_by_ten_days": [round(size / 1e6, 1) for size in sizes[9::10]],
        "growth": round(growth, 3),
        "growth_of_state": round(growth_state, 3),
        "microseconds_an_update": {"1h": round(hour_us, 1), "30d": round(month_us, 1)},
        "cost_ratio": round(month_us / hour_us, 3),
        "bounds": {"growth": GROWTH_MAX, "cost_ratio": COST_RATIO_MAX},
        "holds": growth <= GROWTH_MAX and month_us / hour_us <= COST_RATIO_MAX,
    }


def _ninety_days(transactions: int) -> tuple[list[int], list[int]]:
    """Return for each day the process's memory and the bytes of all pieces."""
    rate = transactions / (DAYS * DAY_MS / 1000)
    world = World(seed=1, start_ms=START_MS, rate=rate, shoppers=SHOPPERS, merchants=MERCHANTS)
    cards, merchants, rates = State(CARD, PROFILES_READY), State(MERCHANT, PROFILES_READY), shipped_rates()
    resident: list[int] = []
    sizes: list[int] = []
    for number, case in enumerate(cases(world)):
        payment = case.transaction
        while payment.event_time_ms >= START_MS + (len(resident) + 1) * DAY_MS:
            resident.append(resident_bytes(os.getpid()))
            sizes.append(cards.size.bytes + merchants.size.bytes)
        if len(resident) >= DAYS:
            break
        seen = pay_by_card(cards, payment, rates)
        cards.apply(payment.card, seen.changes)
        merchants.apply(payment.merchant, pay_at_merchant(merchants, payment, seen.features).changes)
        if number % BATCH == 0:
            cards.take_changed_pieces()
            merchants.take_changed_pieces()
    return resident, sizes


def _costs() -> tuple[float, float]:
    """Return what an update costs with an hour of payments behind it and with thirty days of them, microseconds."""
    hour, month = (_pieces(span_ms) for span_ms in (HOUR_MS, 30 * DAY_MS))
    took: dict[int, list[float]] = {0: [], 1: []}
    for _ in range(ROUNDS):
        for place, pieces in enumerate((hour, month)):
            took[place].append(_updated(pieces))
    return statistics.median(took[0]), statistics.median(took[1])


def _payments(from_ms: int) -> Iterator[Payment]:
    fields = {"transaction_id": "tx", "card": "card_a", "merchant": "mer_b", "currency": "EUR"}
    for number in range(10**9):
        at_ms = from_ms + number * STEP_MS
        amount = 1_000 + number % 997
        transaction = Transaction.model_validate({**fields, "amount_minor": amount, "event_time_ms": at_ms})
        yield Payment(transaction, amount, "", "card_a")


def _pieces(span_ms: int) -> dict[bytes, bytes | None]:
    state = State(MERCHANT)
    pieces: dict[bytes, bytes | None] = {}
    for number, payment in enumerate(islice(_payments(START_MS - span_ms), span_ms // STEP_MS)):
        state.apply("mer_b", state.profile("mer_b").pay(payment).changes)
        if number % BATCH == 0:
            pieces.update(state.take_changed_pieces())
    return {**pieces, **state.take_changed_pieces()}


def _updated(pieces: dict[bytes, bytes | None]) -> float:
    state = State(MERCHANT)
    for key, value in pieces.items():
        state.restore(key, value)
    payments = list(islice(_payments(START_MS), UPDATES))
    state.profile("mer_b")
    started = time.perf_counter()
    for payment in payments:
        state.apply("mer_b", state.profile("mer_b").pay(payment).changes)
        state.take_changed_pieces()
    return 1e6 * (time.perf_counter() - started) / UPDATES
