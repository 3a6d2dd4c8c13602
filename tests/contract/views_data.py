"""Payments with what was said of them, at random, and the same as plain rows: what the analysts' views are told."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from random import Random

import pandas as pd

from consumers.column import Row
from consumers.warehouse import Warehouse
from schemas.decision import Prediction
from schemas.fields import DAY_MS, HOUR_MS, Action
from schemas.label import SOURCES_BY_RANK, Label, Outcome
from schemas.transaction import Transaction
from tests.contract.warehouse_rows import AT_MS, insert, label, outcome, row

PAYMENTS = 600
LABELS = 700
SPAN_MS = 2 * DAY_MS
FROM_MS, TO_MS = AT_MS, AT_MS + SPAN_MS
KNOWN_MS = AT_MS + 20 * DAY_MS
BATCH = 150
ACTIONS: tuple[Action, ...] = ("approve", "approve", "approve", "step_up", "review", "block")
VERDICTS = ("fraud", "legitimate", "service_dispute", "withdrawn")

Message = Prediction | Label | Outcome


def payments(chance: Random, number_of: int = PAYMENTS) -> list[Prediction]:
    """Return payments over two days and a little before and after, of two models, some by rules alone or history."""
    made = []
    for number in range(number_of):
        at_ms = FROM_MS + chance.randrange(-HOUR_MS, SPAN_MS + HOUR_MS)
        scored = chance.random() < 0.9
        probability = chance.choice((0.0, 1.0, round(chance.random(), 2), chance.random()))
        features = {
            "payment_amount_minor": round(chance.expovariate(1 / 5_000), 1),
            "card_known_days": chance.randrange(33),
            "merchant_count_30d": chance.randrange(20_000),
            "below_zero": round(chance.gauss(0, 3), 4),
            "count": chance.randrange(512),
        }
        for name in chance.sample(sorted(features), chance.randrange(2)):
            del features[name]
        made.append(
            Prediction(
                transaction=Transaction(
                    transaction_id=f"tx-{number}",
                    card=f"card_{chance.randrange(150)}",
                    merchant=f"mer_{chance.randrange(4)}",
                    amount_minor=chance.randrange(1, 10_000),
                    currency="EUR",
                    event_time_ms=at_ms,
                    channel=chance.choice(("pos", "ecommerce", "unknown")),
                    issuer_country=chance.choice(("DE", "FR", None)),
                ),
                features=features,
                positions={},
                model_version=f"m-{chance.randrange(2)}" if scored else None,
                policy_version="p-1" if at_ms < FROM_MS + DAY_MS else "p-2",
                rates_version="r-1",
                code_version="c-1",
                score=round(1_000 * probability) if scored else None,
                probability=probability if scored else None,
                mode="history" if chance.random() < 0.05 else "normal" if scored else "rules_only",
                action=chance.choice(ACTIONS),
            )
        )
    return made


def labels(chance: Random, paid: Sequence[Prediction], number_of: int = LABELS) -> list[Label]:
    """Return what was said: several sources and revisions of a payment, some after the time that is looked at."""
    made = []
    for _ in range(number_of):
        of = chance.choice(paid).transaction
        occurred_ms = of.event_time_ms + chance.choice((0, 0, 0, HOUR_MS, -2 * DAY_MS))
        delay_ms = chance.randrange(30 * DAY_MS)
        made.append(
            label(
                chance.randrange(3),
                transaction_id=of.transaction_id,
                card=of.card,
                merchant=of.merchant,
                source=chance.choice(SOURCES_BY_RANK),
                verdict=chance.choice(VERDICTS),
                occurred_at_ms=occurred_ms,
                reported_at_ms=occurred_ms + delay_ms,
            )
        )
    return made


def outcomes(chance: Random, paid: Sequence[Prediction]) -> list[Outcome]:
    """Return captures, a few payments in parts, and what is none."""
    made = []
    for each in chance.choices(paid, k=len(paid)):
        of = each.transaction
        made.append(
            outcome(
                transaction_id=of.transaction_id,
                card=of.card,
                merchant=of.merchant,
                kind=chance.choice(("captured", "captured", "authorised")),
                occurred_at_ms=of.event_time_ms + chance.randrange(1, 1_000),
            )
        )
    return made


def store(warehouse: Warehouse, chance: Random, told: Mapping[str, Sequence[Message]]) -> None:
    """Insert everything at least once, batches repeated and in any order, as a sink that is killed often would."""
    batches: list[tuple[str, list[Row]]] = []
    for table, messages in told.items():
        rows = [row(table, each, offset=offset) for offset, each in enumerate(messages)]
        cuts = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
        batches += [(table, cut) for cut in [*cuts, *chance.sample(cuts, len(cuts) // 2)]]
    for table, cut in chance.sample(batches, len(batches)):
        insert(warehouse, table, *chance.sample(cut, len(cut)))


def truth(paid: Iterable[Prediction], said: Sequence[Label], known_ms: int = KNOWN_MS) -> pd.DataFrame:
    """Return the payments of the window that were answered, with the verdict that counted, worked out plainly."""
    verdicts = verdicts_known(said, known_ms)
    rows = []
    for each in paid:
        of = each.transaction
        if each.mode == "history" or not FROM_MS <= of.event_time_ms < TO_MS:
            continue
        counts = verdicts.get((of.card, of.transaction_id))
        counts = counts if counts and abs(counts.occurred_at_ms - of.event_time_ms) <= DAY_MS else None
        amount = each.features.get("payment_amount_minor")
        rows.append(
            {
                "transaction_id": of.transaction_id,
                "card": of.card,
                "merchant": of.merchant,
                "at_ms": of.event_time_ms,
                "day": pd.Timestamp(of.event_time_ms, unit="ms").date(),
                "minor": 0 if amount is None else round(amount),
                "issuer_country": of.issuer_country or "",
                "channel": of.channel,
                "card_known_days": each.features.get("card_known_days"),
                "action": each.action,
                "score": each.score,
                "probability": each.probability,
                "model_version": each.model_version or "",
                "policy_version": each.policy_version,
                "verdict": counts.verdict if counts else "",
                "source": counts.source if counts else "",
                "features": each.features,
            }
        )
    return pd.DataFrame(rows)


def verdicts_known(said: Sequence[Label], known_ms: int) -> dict[tuple[str, str], Label]:
    """Return the verdict that counts for each payment, of what was reported until then, near the window looked at."""
    latest: dict[tuple[str, str, str], tuple[int, int, Label]] = {}
    for offset, each in enumerate(said):
        if each.reported_at_ms > known_ms or not FROM_MS - DAY_MS <= each.occurred_at_ms < TO_MS + DAY_MS:
            continue
        name = (each.card, each.transaction_id, each.source)
        latest[name] = max(latest.get(name, (-1, 0, each)), (each.revision, -offset, each), key=lambda one: one[:2])
    by_payment: dict[tuple[str, str], list[Label]] = defaultdict(list)
    for _, _, each in latest.values():
        if each.verdict != "withdrawn":
            by_payment[each.card, each.transaction_id].append(each)
    return {name: min(each, key=_place) for name, each in by_payment.items()}


def _place(each: Label) -> tuple[float, int]:
    """Return the place in the order of belief: a dispute about the goods is told before silence alone."""
    rank = SOURCES_BY_RANK.index(each.source)
    return (3.5 if each.verdict == "service_dispute" else rank), rank
