"""The input records of one run: a few cards and merchants, with everything a sender can get wrong."""

import random
from typing import NamedTuple

from schemas.codec import encode
from schemas.dead_letter import REPLAYED_FROM, Headers
from schemas.decision import Profiled
from schemas.fields import DAY_MS, HOUR_MS, Verdict
from schemas.history import history_header
from schemas.label import SOURCES_BY_RANK, Label
from schemas.topics import LABELS, TRANSACTIONS
from schemas.transaction import Transaction
from streams.detector.card import CardStage
from streams.detector.decide import InForce
from streams.detector.merchant import MerchantStage
from streams.detector.stage import Context, EntityStage, Event, Step
from streams.detector.state import State
from streams.documents import shipped_policy, shipped_rates
from tests.simulation.task_log import partition_of

START_MS = 1_600_000_000_000
POISONED_MINOR = 666
POISONED_AT_MERCHANT_MINOR = 667
CODE_VERSION = "simulated"


class Sent(NamedTuple):
    """One input record. One in an aborted transaction of its sender must never be seen."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes
    timestamp_ms: int
    headers: Headers = ()
    is_aborted: bool = False


class PoisonedCardStage(CardStage):
    """The card stage with a bug: it raises on one amount."""

    def step(self, state: State, event: Event, positions: dict[str, tuple[int, int]]) -> Step:
        if isinstance(event.message, Transaction) and event.message.amount_minor == POISONED_MINOR:
            raise ZeroDivisionError("poisoned")
        return super().step(state, event, positions)


class PoisonedMerchantStage(MerchantStage):
    """The merchant stage with a bug that is mended when a dead letter is replayed."""

    def step(self, state: State, event: Event, positions: dict[str, tuple[int, int]]) -> Step:
        if fails_at_merchant(event.message, event.record.headers):
            raise ZeroDivisionError("poisoned")
        return super().step(state, event, positions)


def fails_at_merchant(message: object, headers: Headers) -> bool:
    """Return whether the merchant stage raises on a record."""
    payment = message.transaction if isinstance(message, Profiled) else None
    poisoned = payment is not None and payment.amount_minor == POISONED_AT_MERCHANT_MINOR
    return poisoned and REPLAYED_FROM not in dict(headers)


def stages(partitions: int) -> tuple[EntityStage, EntityStage]:
    """Return the two hops."""
    context = Context(
        in_force=InForce(shipped_policy(), shipped_rates()),
        code_version=CODE_VERSION,
        partition_of=lambda key: partition_of(key, partitions),
        future_ms_max=DAY_MS,
    )
    return PoisonedCardStage(context), PoisonedMerchantStage(context)


def inputs(chance: random.Random, partitions: int) -> list[Sent]:
    """Return the records in the order in which they are sent."""
    cards = [f"card_{letter}" for letter in "abc"]
    merchants = [f"mer_{letter}" for letter in "xyz"]
    now_ms = START_MS
    payments: list[Transaction] = []
    labels: list[Label] = []
    sent: list[Sent] = []
    for number in range(chance.randrange(8, 24)):
        now_ms += chance.choice((0, 1, 60_000, 20 * 60_000, 5 * HOUR_MS, 3 * DAY_MS))
        roll = chance.random()
        # Who a card's payments are is remembered for 30 days; a repeat after that is answered anew, which is no fault.
        recent = [payment for payment in payments if payment.event_time_ms > now_ms - 28 * DAY_MS]
        if roll < 0.12 and recent:
            sent.append(_transaction(chance.choice(recent), now_ms, partitions))
        elif roll < 0.40 and payments:
            payment = chance.choice(payments)
            verdict: Verdict = chance.choice(("fraud", "fraud", "legitimate", "service_dispute", "withdrawn"))
            label = Label(
                transaction_id=payment.transaction_id,
                card=payment.card,
                merchant=payment.merchant,
                revision=chance.randrange(4),
                verdict=verdict,
                source=chance.choice(SOURCES_BY_RANK),
                occurred_at_ms=payment.event_time_ms,
                reported_at_ms=now_ms - chance.choice((0, 0, HOUR_MS)),
            )
            labels.append(label)
            sent.append(_label(label, now_ms, partitions))
        elif roll < 0.46 and labels:
            sent.append(_label(chance.choice(labels), now_ms, partitions))
        else:
            late_ms = chance.choice((0, 0, 0, 0, HOUR_MS, DAY_MS, 40 * DAY_MS))
            payment = Transaction(
                transaction_id=f"tx-{number}",
                card=chance.choice(cards),
                merchant=chance.choice(merchants),
                amount_minor=_amount_minor(chance),
                currency="EUR",
                event_time_ms=now_ms - late_ms,
            )
            payments.append(payment)
            headers = (history_header("simulated", number),) * (chance.random() < 0.2)
            sent.append(_damaged(chance, _transaction(payment, now_ms, partitions, headers), partitions))
    return sent


def _amount_minor(chance: random.Random) -> int:
    roll = chance.random()
    if roll < 0.04:
        return POISONED_MINOR
    return POISONED_AT_MERCHANT_MINOR if roll < 0.10 else chance.randrange(1, 50_000)


def _transaction(payment: Transaction, now_ms: int, partitions: int, headers: Headers = ()) -> Sent:
    key = payment.card.encode()
    return Sent(TRANSACTIONS.name, partition_of(key, partitions), key, encode(payment), now_ms, headers)


def _label(label: Label, now_ms: int, partitions: int) -> Sent:
    key = label.card.encode()
    return Sent(LABELS.name, partition_of(key, partitions), key, encode(label), now_ms)


def _damaged(chance: random.Random, sent: Sent, partitions: int) -> Sent:
    roll = chance.random()
    if roll < 0.03:
        return sent._replace(value=sent.value[:-5])
    if roll < 0.05:
        return sent._replace(value=sent.value.replace(b'"EUR"', b'"EURO"'))
    if roll < 0.07:
        return sent._replace(key=None)
    if roll < 0.09:
        return sent._replace(partition=(sent.partition + 1) % partitions)
    if roll < 0.11:
        return sent._replace(timestamp_ms=sent.timestamp_ms - 50 * DAY_MS)
    return sent._replace(is_aborted=roll < 0.15)
