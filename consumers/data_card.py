"""What a training frame is: its range, labels and columns, what is missing of it, and what it was made from.

The card holds nothing of the moment at which it was made, so that the same frame has the same card. Its form follows
"Datasheets for Datasets" (Gebru et al., 2021): what it is, how it was collected, what is not in it, how to use it.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from consumers.dataset import CENSORED, Asked
from schemas.features import meaning_of
from schemas.fields import DAY_MS

if TYPE_CHECKING:
    import pyarrow as pa

Card = dict[str, Any]

SUMMARISED = (
    "card",
    "merchant",
    "event_time",
    "mode",
    "action",
    "model_version",
    "policy_version",
    "code_version",
    "label",
    "weight",
    "label_source",
    "label_reported_at",
    "censored",
)
"""The columns of a frame that the card is made from."""

MEANINGS: Mapping[str, tuple[str, str, str]] = {
    "verdict": (
        "label",
        "",
        "What counted: fraud, legitimate or service_dispute; empty: nobody had spoken",
    ),
    "label": ("label", "", "1 fraud, 0 legitimate; null where neither is known, see censored"),
    "weight": ("label", "payments", "How many payments it stands for: of assumed_legitimate a sample stands for all"),
    "label_source": ("label", "", "Who said so: of several sources the one that is believed over the others"),
    "label_reported_at": ("label", "UTC", "When that became known; null where nobody had spoken"),
    "label_fraud_type": ("label", "", "Kind of fraud, empty where not given"),
    "label_reason_code": ("label", "", "Code of the card scheme, empty where not given"),
    "censored": ("label", "", "Why there is no label, empty where there is one: see censored in this card"),
}
"""Role, unit and meaning of the columns that no table of the store has."""

ROLES: Mapping[str, str] = {
    **dict.fromkeys(("transaction_id", "card", "merchant", "record_partition", "record_offset"), "identity"),
    **dict.fromkeys(("event_time", "decided_at"), "time"),
    **dict.fromkeys(("amount_minor", "currency", "mcc", "channel", "entry_mode"), "payment"),
    **dict.fromkeys(("mode", "action", "score", "probability", "propensity"), "decision"),
    **dict.fromkeys(("model_version", "policy_version", "rates_version", "code_version"), "version"),
}
USE = (
    "Inputs of a model are the columns of role feature. What was decided (role decision) is not known when deciding.",
    "Train with weight. Rows without label are not honest payments: to leave them out is a choice to be written down.",
    "Split by event_time, and teach a model only labels whose label_reported_at lies before what it is tested on.",
    "Payments of mode history were answered to nobody; those with action block have no true outcome.",
)


def id_of(lineage: Mapping[str, Any]) -> str:
    """Return the name of a data set: a hash of all it was made from and of what came out.

    >>> id_of({"from": 1}) == id_of({"from": 1}) != id_of({"from": 2})
    True
    >>> id_of({})
    'ds-44136fa355b3678a'
    """
    return "ds-" + hashlib.sha256(json.dumps(lineage, sort_keys=True).encode()).hexdigest()[:16]


def time_of(at_ms: int) -> str:
    """Return a time as ISO 8601, UTC.

    >>> time_of(1522540800000)
    '2018-04-01T00:00:00.000Z'
    """
    return datetime.fromtimestamp(at_ms / 1_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def lineage_of(asked: Asked, positions: Mapping[str, Any], code: str, content_sha256: str) -> dict[str, Any]:
    """Return what the id is a hash of: what was asked, how far each topic was stored, by which code, and the bytes."""
    return {
        "from": time_of(asked.from_ms),
        "to": time_of(asked.to_ms),
        "as_of": time_of(asked.as_of_ms),
        "silence_matures_days": asked.maturity_ms // DAY_MS,
        "legitimate_kept_one_in": asked.kept_one_in,
        "positions": dict(positions),
        "code": code,
        "content_sha256": content_sha256,
    }


def card_of(frame: "pa.Table", columns: Sequence[Card], asked: Asked, lineage: Mapping[str, Any]) -> Card:
    """Return the card of a frame, given by its columns `SUMMARISED`."""
    read = {name: frame[name].to_pylist() for name in SUMMARISED}
    labels = [label for label in read["label"] if label is not None]
    times = sorted(at.timestamp() * 1_000 for at in read["event_time"])
    mature = sum(at <= asked.as_of_ms - asked.maturity_ms for at in times)
    return {
        "id": id_of(lineage),
        "what": "One row a payment: the features stored when it was decided, and what was known of it at as_of.",
        **lineage,
        "rows": frame.num_rows,
        "cards": len(set(read["card"])),
        "merchants": len(set(read["merchant"])),
        "first_event": time_of(round(times[0])),
        "last_event": time_of(round(times[-1])),
        "labels": {
            "fraud": sum(labels),
            "legitimate": len(labels) - sum(labels),
            "fraud_rate": round(sum(labels) / len(labels), 6) if labels else None,
            "fraud_rate_weighted": _weighted_rate(read["label"], read["weight"]),
            "sources": _counts(source for source in read["label_source"] if source),
            "delay_days": _delays(read["event_time"], read["label_reported_at"]),
            "share_mature": round(mature / len(times), 6),
        },
        "censored": {
            reason: {"rows": number, "means": CENSORED[reason]}
            for reason, number in _counts(reason for reason in read["censored"] if reason).items()
        },
        **{f"{name}s": _counts(read[name]) for name in ("mode", "action")},
        **{f"{name}s": _counts(read[name]) for name in ("model_version", "policy_version", "code_version")},
        "personal_data": "Scanned: no text holds a card number, an e-mail address or a phone number. Cards are tokens.",
        "use": list(USE),
        "columns": list(columns),
    }


def described(name: str, kind: str, nulls: int, stored: Mapping[str, Card], features: Mapping[str, Card]) -> Card:
    """Return what is told of one column: `stored` are the columns of predictions, `features` those of the catalogue."""
    told: Mapping[str, str] = stored.get(name) or features.get(name, {})
    role, unit, meaning = MEANINGS.get(name) or (ROLES.get(name, "feature"), told.get("unit", ""), "")
    return {
        "name": name,
        "type": kind,
        "role": role,
        "unit": unit,
        "meaning": meaning or told.get("meaning") or meaning_of(name) or "of another version of the code",
        "personal": told.get("personal", "behaviour"),
        "nulls": nulls,
    }


def _counts(values: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for value in values:
        found[value] = found.get(value, 0) + 1
    return dict(sorted(found.items()))


def _weighted_rate(labels: Sequence[int | None], weights: Sequence[float | None]) -> float | None:
    whole = sum(weight for weight in weights if weight)
    frauds = sum(weight for label, weight in zip(labels, weights, strict=True) if label and weight)
    return round(frauds / whole, 6) if whole else None


def _delays(paid: Sequence[datetime], reported: Sequence[datetime | None]) -> dict[str, float]:
    days = sorted((told - at).total_seconds() / 86_400 for at, told in zip(paid, reported, strict=True) if told)
    named = (("p10", 0.1), ("p50", 0.5), ("p90", 0.9), ("p99", 0.99))
    return {name: round(days[min(len(days) - 1, int(part * len(days)))], 3) for name, part in named} if days else {}


def markdown(card: Card) -> str:
    """Return the card for people."""
    labels = card["labels"]
    censored = "".join(
        f"| {reason} | {told['rows']:,} | {told['means']} |\n" for reason, told in card["censored"].items()
    )
    positions = "".join(f"- {topic}: {_places(places)}\n" for topic, places in card["positions"].items())
    columns = "".join(
        f"| {each['name']} | {each['role']} | {each['type']} | {each['unit']} | {each['meaning']} | {each['personal']}"
        f" | {each['nulls']:,} |\n"
        for each in card["columns"]
    )
    return f"""\
# Data set {card["id"]}

{card["what"]}

- Payments from {card["from"]} to before {card["to"]}, as known at {card["as_of"]}
- {card["rows"]:,} payments of {card["cards"]:,} cards at {card["merchants"]:,} merchants, from \
{card["first_event"]} to {card["last_event"]}
- {labels["fraud"]:,} fraud, {labels["legitimate"]:,} legitimate; fraud rate {_share(labels["fraud_rate"])}, weighted \
{_share(labels["fraud_rate_weighted"])}
- Labels by source: {_told(labels["sources"])}; days from payment to label: {_told(labels["delay_days"])}
- {_share(labels["share_mature"])} of the payments are older than {card["silence_matures_days"]} days, after which \
silence counts
- Modes: {_told(card["modes"])}; actions: {_told(card["actions"])}
- Models: {_told(card["model_versions"])}; policies: {_told(card["policy_versions"])}
- Features by code: {_told(card["code_versions"])}; frame by code: {card["code"]}
- SHA-256 of frame.parquet: {card["content_sha256"]}
- {card["personal_data"]}

## What has no label

| reason | payments | meaning |
| --- | --- | --- |
{censored}
## Made from

Records stored up to as_of, by the next offset of each partition; one in {card["legitimate_kept_one_in"]} of those
assumed legitimate stands for all.

{positions}
## Use

{"".join(f"- {line}{chr(10)}" for line in card["use"])}
## Columns

| column | role | type | unit | meaning | personal data | nulls |
| --- | --- | --- | --- | --- | --- | --- |
{columns}"""


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{100 * value:.3f} %"


def _told(counts: Mapping[str, float]) -> str:
    return ", ".join(f"{name or 'none'} {number:,}" for name, number in counts.items()) or "none"


def _places(places: Mapping[str, int]) -> str:
    return ", ".join(f"{partition}: {offset}" for partition, offset in places.items()) or "nothing"
