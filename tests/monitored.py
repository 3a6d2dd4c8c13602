"""Rows of a store for the monitors, and what their queries must give of them, worked out by pandas.

Rows are some days of payments with their labels, models and dead letters; some were stored twice, some are history.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from consumers.monitors import queries
from consumers.monitors.finding import Columns
from consumers.warehouse import Warehouse
from schemas.fields import DAY_MS, HOUR_MS

NOW_MS = 1_525_132_800_000
DAYS = 9
PAYMENTS = 4_500
FEATURES = ("card_count_1h", "payment_amount_minor", "device_is_new")
PLACE = ["record_partition", "record_offset"]


class Seeded:
    """The rows, as frames; each is stored in the table of its name."""

    def __init__(self, seed: int = 1) -> None:
        chance = np.random.default_rng(seed)
        self.predictions = _predictions(chance)
        self.labels = _labels(self.predictions, chance)
        self.training = _training(self.labels, self.predictions, chance)
        self.dead_letters = _dead_letters(chance)
        self.models = pd.DataFrame(
            {
                "version": ["m-1", "m-2"],
                "published_at": [NOW_MS - 60 * HOUR_MS, NOW_MS - 30 * HOUR_MS],
                "record_offset": [1, 2],
            }
        )

    def fill(self, warehouse: Warehouse) -> None:
        """Store the rows, a part of the predictions twice."""
        for table in ("predictions", "labels", "training", "dead_letters", "models"):
            _insert(warehouse, table, getattr(self, table))
        _insert(warehouse, "predictions", self.predictions.iloc[::7])

    def live(self, since_ms: float, until_ms: float) -> pd.DataFrame:
        """Return the payments that were answered in a time."""
        rows = self.predictions
        return rows[(rows["mode"] != "history") & (rows["decided_at"] >= since_ms) & (rows["decided_at"] < until_ms)]


def _insert(warehouse: Warehouse, table: str, rows: pd.DataFrame) -> None:
    warehouse.insert_columns(table, {str(name): values.tolist() for name, values in rows.items()})


def _predictions(chance: np.random.Generator) -> pd.DataFrame:
    decided = np.sort(chance.integers(NOW_MS - DAYS * DAY_MS, NOW_MS, PAYMENTS))
    late = decided > NOW_MS - DAY_MS
    score = chance.integers(0, 1_000, PAYMENTS)
    amount = np.where(late, 3, 1) * chance.integers(1, 5_000, PAYMENTS)
    features = [
        {name: float(value) for name, value in zip(FEATURES, row, strict=True) if chance.random() < share}
        for row, share in zip(
            zip(chance.integers(1, 9, PAYMENTS), amount, chance.integers(0, 2, PAYMENTS), strict=True),
            np.where(late, 0.5, 0.95),
            strict=True,
        )
    ]
    return pd.DataFrame(
        {
            "transaction_id": [f"tx-{n}" for n in range(PAYMENTS)],
            "card": [f"card_{n % 97}" for n in range(PAYMENTS)],
            "event_time": decided - chance.integers(20, 900, PAYMENTS),
            "decided_at": decided,
            "channel": chance.choice(["pos", "ecommerce", ""], PAYMENTS),
            "merchant_country": np.where(late, "FR", chance.choice(["FR", "DE", "ES"], PAYMENTS)),
            "features": features,
            "policy_version": np.where(decided > NOW_MS - HOUR_MS, "p-2", "p-1"),
            "score": score,
            "probability": score / 1_000,
            "mode": chance.choice(["normal", "history"], PAYMENTS, p=[0.9, 0.1]),
            "action": np.where(score > 900, "block", "approve"),
            "record_partition": np.arange(PAYMENTS) % 3,
            "record_offset": np.arange(PAYMENTS) // 3,
        }
    )


def _labels(predictions: pd.DataFrame, chance: np.random.Generator) -> pd.DataFrame:
    rows = predictions.iloc[::5]
    reported = np.minimum(rows["event_time"] + chance.integers(HOUR_MS, 3 * DAY_MS, len(rows)), NOW_MS - 1)
    return pd.DataFrame(
        {
            "transaction_id": rows["transaction_id"],
            "card": rows["card"],
            "source": chance.choice(["chargeback", "analyst"], len(rows)),
            "revision": 0,
            "verdict": chance.choice(["fraud", "legitimate"], len(rows)),
            "occurred_at": rows["event_time"],
            "reported_at": reported,
            "stored_at": reported,
            "record_partition": 0,
            "record_offset": np.arange(len(rows)),
        }
    )


def _training(labels: pd.DataFrame, predictions: pd.DataFrame, chance: np.random.Generator) -> pd.DataFrame:
    rows = labels[["transaction_id", "card", "source", "revision", "verdict", "occurred_at"]]
    return rows.assign(
        weight=chance.choice([1.0, 3.0], len(rows)),
        probability=predictions["probability"].reindex(rows.index),
        joined_at=labels["reported_at"],
        record_offset=labels["reported_at"].rank(method="first").astype(int),
    )


def _dead_letters(chance: np.random.Generator) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "topic": "payments.transactions.v1",
            "reason": ["invalid"] * 9 + ["not_json"] * 3,
            "sent_at": NOW_MS - chance.integers(1, 30 * 60_000, 12),
            "record_offset": np.arange(12),
        }
    )


def expected(seeded: Seeded, sql: str, recent_ms: int, reference_ms: int) -> Columns:
    """Return what a query must give, or some columns of it."""
    middle_ms = NOW_MS - recent_ms
    return _ANSWERS[sql](seeded, middle_ms - reference_ms, middle_ms)


def differing(found: Columns, wanted: Columns) -> list[str]:
    """Return the columns of a result that are not those that are wanted, but for the last bits of sums."""
    return [name for name, values in wanted.items() if not _alike(list(found[name]), list(values))]


def _alike(found: list[Any], wanted: list[Any]) -> bool:
    if any(isinstance(value, float) for value in wanted):
        return len(found) == len(wanted) and bool(np.allclose(found, wanted, rtol=1e-9))
    return found == wanted


def _columns(rows: pd.DataFrame) -> Columns:
    return {str(name): values.tolist() for name, values in rows.items()}


def _distributions(before: list[dict[str, float]], after: list[dict[str, float]]) -> Columns:
    rows: dict[str, list[Any]] = {"name": [""], "reference": [[len(before), 0]], "recent": [[len(after), 0]]}
    for name in sorted({name for row in before for name in row}):
        values = np.sort([row[name] for row in before if name in row])
        edges = np.unique(values[(np.arange(1, 10) / 10 * len(values)).astype(int)])
        rows["name"].append(name)
        for side, sample in (("reference", before), ("recent", after)):
            places = np.searchsorted(edges, [row[name] for row in sample if name in row], side="left")
            rows[side].append(np.bincount(places, minlength=len(edges) + 1).tolist())
    return rows


def _features(seeded: Seeded, since_ms: int, middle_ms: int) -> Columns:
    before, after = seeded.live(since_ms, middle_ms), seeded.live(middle_ms, NOW_MS)
    return _distributions(before["features"].tolist(), after["features"].tolist())


def _score(seeded: Seeded, since_ms: int, middle_ms: int) -> Columns:
    sides = (seeded.live(since_ms, middle_ms), seeded.live(middle_ms, NOW_MS))
    before, after = ([{"score": float(score)} for score in side["score"]] for side in sides)
    return _distributions(before, after)


def _segments(seeded: Seeded, since_ms: int, middle_ms: int) -> Columns:
    rows = seeded.live(since_ms, NOW_MS)
    recent = rows["decided_at"] >= middle_ms
    told = []
    for field in sorted(queries.SEGMENT_FIELDS):
        values = rows[field] if field in rows else pd.Series("", index=rows.index)
        told += [
            (field, value, int((~recent[those.index]).sum()), int(recent[those.index].sum()))
            for value, those in values.groupby(values)
        ]
    return dict(zip(("field", "value", "reference", "recent"), map(list, zip(*told, strict=True)), strict=True))


def _decisions(seeded: Seeded, since_ms: int, middle_ms: int) -> Columns:
    rows = seeded.live(since_ms, NOW_MS)
    rows = rows.assign(age=(NOW_MS - 1 - rows["decided_at"]) // (NOW_MS - middle_ms), acted=rows["action"] != "approve")
    told = rows.groupby(["age", "policy_version"])["acted"].agg(payments="size", acted="sum")
    return _columns(told.reset_index())


def _quality(seeded: Seeded, since_ms: int, middle_ms: int) -> Columns:
    rows = seeded.labels.merge(seeded.predictions, on=["card", "transaction_id"])
    rows = rows[(rows["verdict"] == "fraud") & (rows["mode"] == "normal") & (rows["reported_at"] >= since_ms)]
    loss = -np.log(np.maximum(rows["probability"], 0.001))
    rows = rows.assign(
        recent=(rows["reported_at"] >= middle_ms).astype(int),
        age=(NOW_MS - 1 - rows["reported_at"]) // DAY_MS,
        acted=rows["action"] != "approve",
        loss=loss,
        squares=loss**2,
    )
    told = rows.groupby(["age", "recent"]).agg(
        frauds=("acted", "size"), caught=("acted", "sum"), loss=("loss", "sum"), squares=("squares", "sum")
    )
    return _columns(told.reset_index())


def _calibration(seeded: Seeded, _: int, middle_ms: int) -> Columns:
    rows = seeded.training[seeded.training["joined_at"] >= middle_ms]
    p, weight = rows["probability"], rows["weight"]
    rows = rows.assign(expected=weight * p, variance=weight**2 * p * (1 - p))
    told = rows.groupby("verdict").agg(
        labels=("weight", "size"), weights=("weight", "sum"), expected=("expected", "sum"), variance=("variance", "sum")
    )
    return _columns(told.reset_index())


def _label_rates(seeded: Seeded, since_ms: int, _: int) -> Columns:
    rows = seeded.labels[seeded.labels["stored_at"] >= since_ms]
    ages = (NOW_MS - 1 - rows["stored_at"]) // DAY_MS
    return _columns(rows.groupby(["source", ages.rename("age")]).size().rename("labels").reset_index())


def _errors(seeded: Seeded, _: int, middle_ms: int) -> Columns:
    rows = seeded.training[seeded.training["verdict"] == "fraud"].sort_values("record_offset")
    loss = -np.log(np.maximum(rows["probability"], 0.001))
    return {"loss": loss.tolist(), "recent": (rows["joined_at"] >= middle_ms).astype(int).tolist()}


def _latency(seeded: Seeded, _: int, middle_ms: int) -> Columns:
    rows = seeded.live(middle_ms, NOW_MS)
    latency = np.sort(rows["decided_at"] - rows["event_time"])
    return {"payments": [len(rows)], "p99_ms": [int(latency[int(0.99 * len(latency))])]}


def _stored(seeded: Seeded, since_ms: int, _: int) -> Columns:
    rows = seeded.live(since_ms, NOW_MS)
    newest = max(seeded.predictions["decided_at"].max(), seeded.labels["stored_at"].max())
    lag_ms = int(NOW_MS - newest)
    ago = NOW_MS - 1 - rows["decided_at"]
    old = ago >= DAY_MS
    days = int((ago[old] // DAY_MS).nunique())
    return {"lag_ms": [lag_ms], "due": [float((old & (ago % DAY_MS < lag_ms)).sum() / days)], "days": [days]}


def _arrived(seeded: Seeded, since_ms: int, middle_ms: int) -> Columns:
    rows = seeded.live(since_ms, NOW_MS)
    ago = NOW_MS - 1 - rows["decided_at"]
    counts = (ago[ago % DAY_MS < NOW_MS - middle_ms] // DAY_MS).value_counts().sort_index()
    return {"age": counts.index.tolist(), "payments": counts.tolist()}


def _refused(seeded: Seeded, _: int, middle_ms: int) -> Columns:
    rows = seeded.dead_letters[seeded.dead_letters["sent_at"] >= middle_ms]
    reason = rows["reason"].mode().tolist()
    return {"letters": [len(rows)], "reason": reason, "payments": [len(seeded.live(middle_ms, NOW_MS))]}


def _model(seeded: Seeded, *_: int) -> Columns:
    newest = int(seeded.models["published_at"].max())
    return {"age_ms": [NOW_MS - newest], "learnable": [int((seeded.training["joined_at"] > newest).sum())]}


_ANSWERS: Mapping[str, Callable[[Seeded, int, int], Columns]] = {
    queries.FEATURES: _features,
    queries.SCORE: _score,
    queries.SEGMENTS: _segments,
    queries.DECISIONS: _decisions,
    queries.QUALITY: _quality,
    queries.CALIBRATION: _calibration,
    queries.LABELS: _label_rates,
    queries.ERRORS: _errors,
    queries.LATENCY: _latency,
    queries.STORED: _stored,
    queries.ARRIVED: _arrived,
    queries.REFUSED: _refused,
    queries.MODEL: _model,
}
