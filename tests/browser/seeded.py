"""A store with a few minutes of plausible payments up to now, and the same rows as a data frame to compute from."""

import math
from random import Random
from typing import Any

import pandas as pd

from consumers.rows import SINKS, Record
from consumers.warehouse import Warehouse
from schemas.dead_letter import DeadLetter, Origin
from schemas.decision import Decision, Prediction, Reason
from schemas.fields import Message
from schemas.label import Label
from schemas.learning import ModelVersion
from schemas.transaction import Transaction

SINK = {sink.table: sink for sink in SINKS}
MODEL_FROM = 0.4
"""From this part of the time on a model scores; before it rules decide alone."""

STEADY = tuple(
    f"{kind}_{name}_{window}"
    for kind in ("card", "merchant")
    for name in ("count", "amount_minor", "known_frauds", "approved_share")
    for window in ("1h", "24h", "7d", "30d")
)
MOVED = "card_amount_to_habit"
TEXTS = {
    "card_known_fraud": "a payment of this card was reported as fraud in the last 30 days",
    "merchant_known_frauds": "two or more payments at this merchant were reported as fraud in the last 7 days",
    "model_amount": "the amount is 6 times what this card usually pays",
    "model_night": "this card has not paid at this hour before",
}


def payments(number: int, end_ms: int, *, seed: int = 1, per_second: float = 12.0, first: int = 0) -> pd.DataFrame:
    """Return payments up to a time, one row each, with what was decided and what it turned out to be."""
    random = Random(seed)
    found = []
    for n in range(number):
        decided_ms = end_ms - int((number - n - random.random()) * 1_000 / per_second) - 5
        part = n / number
        fraud = random.random() < 0.04 + 0.03 * math.sin(6 * part)
        scored = part >= MODEL_FROM
        logit = random.gauss(1.4 if fraud else -4.2, 1.5)
        score = min(1000, max(0, round(600 + 50 * (logit + 2.9) / math.log(2)))) if scored else None
        action = _action(random, score, fraud=fraud)
        delay_ms = 20_000 + random.randrange(30_000)
        found.append({
            "transaction_id": f"tx-{first + n}",
            "card": f"card_{random.randrange(1 << 20):05x}",
            "merchant": f"mer_{random.choice(('corner-shop', 'fuel-7', 'books', 'air-line', 'games', 'grocer-12'))}",
            "amount_minor": round(math.exp(random.gauss(8.9 if fraud else 7.6, 0.9))),
            "currency": random.choices(("EUR", "GBP", "JPY"), (8, 2, 1))[0],
            "event_ms": decided_ms - round(random.lognormvariate(3.8, 0.5)),
            "decided_ms": decided_ms,
            "score": score,
            "probability": 1 / (1 + math.exp(-logit)) if scored else None,
            "action": action,
            "mode": "normal" if scored else "rules_only",
            "model_version": f"m-{1 + int(8 * (part - MODEL_FROM))}-7f3a" if scored else None,
            "reason": "" if action == "approve" else random.choice(list(TEXTS)),
            "verdict": "fraud" if fraud else "service_dispute" if random.random() < 0.002 else "legitimate",
            "reported_ms": decided_ms + delay_ms if decided_ms + delay_ms < end_ms else None,
            MOVED: random.gauss(1.0 + 0.6 * (part > 0.5), 0.5),
        })  # fmt: skip
    return pd.DataFrame(found).astype({"score": "Int64", "reported_ms": "Int64"})


def _action(random: Random, score: int | None, *, fraud: bool) -> str:
    if score is None:
        drawn = random.random()
        return ("block" if drawn < 0.4 else "review" if drawn < 0.6 else "approve") if fraud else (
            "review" if drawn < 0.006 else "approve"
        )  # fmt: skip
    return "block" if score >= 750 else "review" if score >= 660 else "step_up" if score >= 630 else "approve"


def store(warehouse: Warehouse, frame: pd.DataFrame, *, times: int = 1) -> None:
    """Insert payments, decisions and labels as the sink would, so many times each."""
    random = Random(2)
    told: dict[str, list[tuple[Any, ...]]] = {"predictions": [], "decisions": [], "labels": []}
    for values in frame.to_dict("records"):
        row: dict[str, Any] = {str(name): None if pd.isna(value) else value for name, value in values.items()}
        offset = int(row["transaction_id"].removeprefix("tx-"))
        prediction = _prediction(row, random)
        said = prediction.model_dump(include={"score", "probability", "mode", "action", "model_version"})
        decision = Decision(
            **said,
            transaction_id=row["transaction_id"],
            card=row["card"],
            reasons=prediction.reasons,
            policy_version="p-3",
            event_time_ms=row["event_ms"],
        )
        told["predictions"].append(_row("predictions", prediction, offset, row["decided_ms"]))
        told["decisions"].append(_row("decisions", decision, offset, row["decided_ms"]))
        if row["reported_ms"] is not None:
            told["labels"].append(_row("labels", _label(row), offset, row["reported_ms"]))
    for table, rows in told.items():
        for _ in range(times):
            insert(warehouse, table, rows)


def store_models(warehouse: Warehouse, end_ms: int) -> None:
    """Insert the models that the payments name."""
    models = [
        ModelVersion(
            version=f"m-{n}-7f3a",
            training_offset=400 * n,
            records=400 * n,
            frauds=17 * n,
            learned_to_ms=end_ms - (6 - n) * 60_000,
            feature_schema="f",
            libraries={},
            state={},
            digest="d",
        )
        for n in range(1, 6)
    ]
    rows = [_row("models", model, n, end_ms - (5 - n) * 58_000) for n, model in enumerate(models)]
    insert(warehouse, "models", rows)


def store_dead_letters(warehouse: Warehouse, end_ms: int, details: dict[str, str]) -> None:
    """Insert a dead letter for each reason, with its detail."""
    rows = []
    for n, (reason, detail) in enumerate(details.items()):
        sent_ms = end_ms - 60_000
        origin = Origin(
            topic="payments.transactions.v1",
            partition=3,
            offset=41 + n,
            timestamp_ms=sent_ms,
            key=b"card_a",
            value=b"{",
            headers=(),
        )
        key, value, headers = DeadLetter(origin=origin, stage="card", reason=reason, detail=detail).to_record()
        record = Record("fraud.dead-letters.v1", 0, n, sent_ms, key, value, tuple(headers))
        rows.append(_made("dead_letters", record))
    insert(warehouse, "dead_letters", rows)


def insert(warehouse: Warehouse, table: str, rows: list[tuple[Any, ...]]) -> None:
    """Insert rows of a table."""
    columns = zip(*rows, strict=True) if rows else [()] * len(SINK[table].columns)
    warehouse.insert_columns(table, dict(zip(SINK[table].columns, map(list, columns), strict=True)))


def _prediction(row: dict[str, Any], random: Random) -> Prediction:
    transaction = Transaction(
        transaction_id=row["transaction_id"],
        card=row["card"],
        merchant=row["merchant"],
        amount_minor=row["amount_minor"],
        currency=row["currency"],
        event_time_ms=row["event_ms"],
    )
    steady = {name: float(random.randrange(6 if "count" in name else 2)) for name in STEADY}
    return Prediction(
        transaction=transaction,
        features=steady | {MOVED: row[MOVED]},
        positions={},
        model_version=row["model_version"],
        policy_version="p-3",
        code_version="c",
        score=row["score"],
        probability=row["probability"],
        mode=row["mode"],
        action=row["action"],
        reasons=(Reason(code=row["reason"], text=TEXTS[row["reason"]]),) if row["reason"] else (),
    )


def _label(row: dict[str, Any]) -> Label:
    return Label(
        transaction_id=row["transaction_id"],
        card=row["card"],
        merchant=row["merchant"],
        verdict=row["verdict"],
        source="issuer_report",
        occurred_at_ms=row["event_ms"],
        reported_at_ms=row["reported_ms"],
    )


def _row(table: str, message: Message, offset: int, timestamp_ms: int) -> tuple[Any, ...]:
    key, value = b"card_a", message.model_dump_json().encode()
    return _made(table, Record(SINK[table].topic.name, 0, offset, timestamp_ms, key, value))


def _made(table: str, record: Record) -> tuple[Any, ...]:
    made = SINK[table].to_row(record)
    assert isinstance(made, tuple), made
    return made
