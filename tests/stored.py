"""What the store must show: each view, row by row and in figures, worked out by pandas from the topics alone.

Nothing is shared with the sink's table of columns: a row's values are found by the names of the view's columns in the
JSON of the record that counts.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd

from schemas.codec import DecodeFailure, decode
from schemas.fields import DAY_MS
from schemas.label import Label
from schemas.topics import (
    ALERTS,
    AUDIT,
    DEAD_LETTERS,
    DECISIONS,
    LABELS,
    MODELS,
    OUTCOMES,
    PREDICTIONS,
    SHADOW_SCORES,
    TRAINING,
    Topic,
)
from tests.findings import keep
from tests.stored_labels import mark_labels

ZEROES = ("stored_missing", "stored_repeated", "stored_differing", "figures_differing")
"""Figures of which every one must be 0."""
PLACE = ("record_partition", "record_offset")
WRITTEN = ("decided_at", "stored_at", "joined_at", "published_at", "answered_at", "scored_at")
"""Columns that hold when the record was written."""
SAID_AT = ("commanded_at", "raised_at")
"""Columns that hold the time that a message calls its own."""
SINGLE, SINGLE_FEATURES = ("score_us", "learn_us"), ("card_known_days", "merchant_count_30d")
"""Numbers that the store keeps in single precision, of messages and of their features."""
HASHES = ("payment_key",)
"""Columns that are made of others of the same row, for joins: what is joined by them is compared."""
HEADERS = "__connect.errors."
END_OF_2099_MS = 4_102_444_799_999

Row = dict[str, Any]
Rows = list[Row]


class View(NamedTuple):
    """A view: the topic its rows come from, what names a row, and by what its figures are counted and summed.

    `place` is what finds a row again, `parameters` is what a view that takes some is given.
    """

    topic: Topic | None
    key: tuple[str, ...]
    by: tuple[str, ...]
    total: str = "1"
    place: tuple[str, ...] = PLACE
    parameters: str = ""


PAYMENT = ("card", "event_time", "transaction_id")
ID = ("card", "transaction_id")
ALWAYS = "(from = '1971-01-01', to = '2100-01-01', known_at = '2100-01-01')"
NAME = ("card", "transaction_id", "source", "revision")
VIEWS: Mapping[str, View] = {
    "v_predictions": View(PREDICTIONS, PAYMENT, ("action", "mode", "model_version"), "amount_minor"),
    "v_decisions": View(DECISIONS, (*PAYMENT, "invalid_place"), ("action", "mode", "policy_version"), "score"),
    "v_dead_letters": View(DEAD_LETTERS, PLACE, ("stage", "reason"), "value_bytes"),
    "v_labels": View(LABELS, PLACE, ("state", "learning", "conflicting"), "revision"),
    "v_verdicts": View(None, ID, ("verdict", "source"), "revision"),
    "v_verdicts_known": View(None, ID, ("verdict", "source"), "1", ID, ALWAYS),
    "v_outcomes": View(OUTCOMES, ("card", "transaction_id", "kind", "occurred_at"), ("kind",), "amount_minor"),
    "v_training": View(TRAINING, NAME, ("verdict", "source", "verdict_source"), "weight"),
    "v_models": View(MODELS, ("version",), ("feature_schema",), "records"),
    "v_labelled": View(None, PAYMENT, ("action", "mode", "verdict"), "amount_minor", PAYMENT),
    "v_truth": View(None, PAYMENT, ("action", "mode", "verdict"), "amount_base_minor", PAYMENT, ALWAYS),
    "v_audit": View(AUDIT, PLACE, ("kind", "outcome", "reason", "mode"), "sequence"),
    "v_alerts": View(ALERTS, ("alert_id",), ("kind", "severity", "state"), "value"),
    "v_alerts_firing": View(None, ("alert_id",), ("kind", "severity"), "value"),
    "v_shadow_scores": View(SHADOW_SCORES, (*PAYMENT, "challenger"), ("challenger", "champion_version"), "log_odds"),
}


class Store(Protocol):
    """What is asked of the store."""

    def query_columns(self, sql: str, parameters: Mapping[str, Any] | None = None) -> dict[str, list[Any]]:
        """Return a result by column."""


@dataclass
class StoreAudit:
    """What the comparison found. Those in `ZEROES` must be 0."""

    stored: int = 0
    stored_missing: int = 0
    stored_repeated: int = 0
    stored_differing: int = 0
    figures_compared: int = 0
    figures_differing: int = 0
    rows_by_view: dict[str, int] = field(default_factory=dict)
    store_examples: list[str] = field(default_factory=list)

    def wrong(self, figure: str, count: int, what: object) -> None:
        """Count what must not be, and keep the first few."""
        setattr(self, figure, getattr(self, figure) + count)
        if count:
            keep(self.store_examples, f"{figure}: {what}")


def audit_store(topics: Mapping[Topic, Sequence[Any]], store: Store, views: Iterable[str] = VIEWS) -> StoreAudit:
    """Compare every view, or some, with the topics."""
    found, expected = StoreAudit(), expected_rows(topics)
    for name in views:
        compare_rows(found, name, expected[name], rows_of(store, name))
        compare_figures(found, name, expected[name], figures_of(store, name))
    found.stored = found.rows_by_view.get("v_predictions", 0)
    return found


def expected_rows(topics: Mapping[Topic, Sequence[Any]]) -> dict[str, Rows]:
    """Return the rows that every view must have."""
    found = {}
    for name, view in VIEWS.items():
        if view.topic:
            found[name] = _one_of_each([_row(view.topic, each) for each in topics[view.topic]], view.key)
    mark_labels(found["v_labels"], found)
    found["v_verdicts"] = found["v_verdicts_known"] = [row for row in found["v_labels"] if row["counts"]]
    labels = {(row["card"], row["transaction_id"]): row for row in found["v_verdicts"]}
    pairs = [(row, labels.get((row["card"], row["transaction_id"]))) for row in found["v_predictions"]]
    found["v_labelled"] = [
        label | row | {"reported_at": label["reported_at"]}
        for row, label in pairs
        if label and abs(row["event_time"] - label["occurred_at"]) <= DAY_MS
    ]
    labelled = {_name(row): row for row in found["v_labelled"]}
    found["v_truth"] = [
        labelled.get(_name(row), row) | _features(row) for row in found["v_predictions"] if row["mode"] != "history"
    ]
    for row in found["v_shadow_scores"]:
        of = labelled.get(_name(row), {})
        row |= {"champion_probability": of.get("probability"), "verdict": of.get("verdict"), "source": of.get("source")}
    over = {(row["kind"], row["fired_at"]) for row in found["v_alerts"] if row.get("state") == "cleared"}
    found["v_alerts_firing"] = [
        row for row in found["v_alerts"] if row.get("state") == "firing" and (row["kind"], row["fired_at"]) not in over
    ]
    return found


def _name(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in PAYMENT)


def _features(row: Row) -> Row:
    """Return what the truth says of a payment's features beside the payment."""
    features = row["features"]
    return {"amount_base_minor": round(features.get("payment_amount_minor", 0))} | {
        name: _single(features[name]) for name in SINGLE_FEATURES if name in features
    }


def _one_of_each(rows: Iterable[Row | None], key: Sequence[str]) -> Rows:
    """Return the row of the lowest offset of each key; the answer to a payment that failed gives way to any other."""
    first: dict[tuple[Any, ...], Row] = {}
    for row in sorted(filter(None, rows), key=lambda row: (row.get("mode") == "fallback", row["record_offset"])):
        first.setdefault(tuple(row.get(name) for name in key), row)
    return list(first.values())


def _row(topic: Topic, message: Any) -> Row | None:
    if topic is LABELS:  # strangers write it: what cannot be read has no row, and what is left out its default
        label = decode(Label, message.value())
        if isinstance(label, DecodeFailure):
            return None
        row: Row = label.model_dump()
    else:
        row = _of_dead_letter(message) if topic is DEAD_LETTERS else json.loads(message.value())
    if topic is MODELS:
        row.pop("state")  # its coefficients: large, and not stored
    row = row.pop("transaction", {}) | row
    row |= {name.removesuffix("_ms"): value for name, value in row.items() if name.endswith(("_at_ms", "_time_ms"))}
    row |= {"verdict_source": row.get("verdict_of") or row.get("source")}
    row |= {"learned_to": row.get("learned_to_ms"), **dict.fromkeys(WRITTEN, message.timestamp()[1])}
    row |= dict.fromkeys(SAID_AT, row.get("at_ms")) | {name: _single(row[name]) for name in SINGLE if name in row}
    row |= {"record_partition": message.partition(), "record_offset": message.offset()}
    reasons = row.get("reasons", ())
    row |= {f"reason_{name}s": [each.get(name) for each in reasons] for name in ("code", "text", "contribution")}
    if row.get("action") == "invalid":
        row["invalid_place"] = (message.partition(), message.offset())
    return row


def _of_dead_letter(message: Any) -> Row:
    headers = {name: (content or b"").decode("utf-8", "backslashreplace") for name, content in message.headers() or ()}
    facts = {name.removeprefix(HEADERS): text for name, text in headers.items() if name.startswith(HEADERS)}
    return {
        "topic": facts["topic"],
        "partition": int(facts["partition"]),
        "offset": int(facts["offset"]),
        "stage": facts["stage"],
        "reason": facts["exception.class.name"],
        "detail": facts["exception.message"],
        "sent_at": min(max(message.timestamp()[1], 0), END_OF_2099_MS),
        "key": (message.key() or b"").decode("utf-8", "backslashreplace"),
        "value": (message.value() or b"").decode("utf-8", "backslashreplace"),
        "value_bytes": int(facts.get("value.bytes", len(message.value() or b""))),
        "value_sha256": facts.get("value.sha256", ""),
        "headers": {name: text for name, text in headers.items() if not name.startswith(HEADERS)},
    }


def rows_of(store: Store, view: str) -> Rows:
    """Return the rows of a view as the store shows them."""
    columns = store.query_columns(f"SELECT * FROM {view}{VIEWS[view].parameters}")  # noqa: S608 - of the table above
    return [dict(zip(columns, map(_plain, row), strict=True)) for row in zip(*columns.values(), strict=True)]


def compare_rows(found: StoreAudit, view: str, expected: Rows, stored: Rows) -> None:
    """Compare every column of every row."""
    names = VIEWS[view].place
    wanted = {tuple(row[name] for name in names): row for row in expected}
    seen: dict[tuple[Any, ...], int] = {}
    for row in stored:
        place = tuple(row[name] for name in names)
        seen[place] = seen.get(place, 0) + 1
        if place not in wanted:
            found.wrong("stored_differing", 1, f"{view} {place}: not the record that counts")
            continue
        columns = row.keys() - set(HASHES)
        told = {name: (_wanted(wanted[place].get(name), row[name]), row[name]) for name in columns}
        different = {name: pair for name, pair in told.items() if pair[0] != pair[1]}
        found.wrong("stored_differing", bool(different), f"{view} {place}: {different}")
    found.rows_by_view[view] = len(seen)
    found.wrong("stored_missing", len(missing := wanted.keys() - seen.keys()), f"{view} {sorted(missing)[:3]}")
    found.wrong("stored_repeated", sum(seen.values()) - len(seen), view)


def figures_of(store: Store, view: str) -> Rows:
    """Return what the store counts and sums over a view."""
    by, total = ", ".join(VIEWS[view].by), VIEWS[view].total
    columns = store.query_columns(
        f"SELECT {by}, count() AS number, toFloat64(ifNull(sum({total}), 0)) AS total "  # noqa: S608
        f"FROM {view}{VIEWS[view].parameters} GROUP BY {by}"
    )
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def compare_figures(found: StoreAudit, view: str, expected: Rows, stored: Rows) -> None:
    """Compare counts and sums, group by group, with those of pandas over the expected rows."""
    by, total = list(VIEWS[view].by), VIEWS[view].total
    frame = pd.DataFrame([{"1": 1} | row for row in expected], columns=[*by, total])
    frame[by] = frame[by].fillna("")
    frame[total] = frame[total].astype(float)
    groups = frame.groupby(by)[total].agg(["size", "sum"]).reset_index()
    wanted = {tuple(row[: len(by)]): tuple(row[len(by) :]) for row in groups.itertuples(index=False)}
    told = {tuple(row[name] for name in by): (row["number"], row["total"]) for row in stored}
    for group in wanted.keys() | told.keys():
        (number, amount), (told_number, told_amount) = wanted.get(group, (0, 0.0)), told.get(group, (0, 0.0))
        found.figures_compared += 2
        # Sums of money are whole numbers and exact; those of fractions depend on the order of adding alone.
        different = (number != told_number) + (abs(amount - told_amount) > 1e-11 * max(1.0, abs(amount)))
        found.wrong("figures_differing", different, f"{view} {group}: {wanted.get(group)}, found {told.get(group)}")


def _single(number: float) -> float:
    return float(np.float32(number))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return round(value.timestamp() * 1000)
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, dict):
        return {name: _plain(list(each.values()) if isinstance(each, dict) else each) for name, each in value.items()}
    return value


def _wanted(value: Any, like: Any) -> Any:
    """Return an expected value; a text or a number that the message leaves out is empty or zero in the store."""
    if value is None and like is not None:
        return type(like)()
    return list(value) if isinstance(value, tuple) else value
