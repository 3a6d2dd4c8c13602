"""What became of each label, by what the topics hold: the columns of `v_labels` that no record has."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from schemas.topics import LABELS
from tests.oracle_ledger import RANK

Row = dict[str, Any]


def mark_labels(labels: Sequence[Row], found: Mapping[str, Sequence[Row]]) -> None:
    """Write state, learning and conflict into rows of labels, and whether each is the one that counts."""
    letters = found["v_dead_letters"]
    refused = {(row["partition"], row["offset"]) for row in letters if row["topic"].endswith(LABELS.name)}
    learned = {_name(row) for row in found["v_training"]}
    unknown = {
        _name(json.loads(row["value"]))
        for row in letters
        if (row["stage"], row["reason"]) == ("label-join", "label_without_prediction")
    }
    predicted = {(row["card"], row["transaction_id"]) for row in found["v_predictions"]}
    of_a_payment: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in sorted(labels, key=lambda row: row["record_offset"]):
        is_refused = (row["record_partition"], row["record_offset"]) in refused
        row |= {"state": "refused" if is_refused else "", "learning": "none", "conflicting": 0, "counts": False}
        if not is_refused:
            of_a_payment[row["card"], row["transaction_id"]].append(row)
    for payment, rows in of_a_payment.items():
        _mark_payment(rows)
        for row in rows:
            if row["state"] == "duplicate":
                continue
            if _name(row) in learned:
                row["learning"] = "learned"
            elif _name(row) in unknown:
                row["learning"] = "unknown_transaction"
            elif row["state"] == "effective" and payment not in predicted:
                row["learning"] = "waiting"


def _mark_payment(rows: Iterable[Row]) -> None:
    """Say who is repeated, superseded, outranked and effective among the labels of one payment, in their order."""
    first: dict[tuple[str, int], Row] = {}
    for row in rows:
        if first.setdefault((row["source"], row["revision"]), row) is not row:
            row["state"] = "duplicate"
    latest: dict[str, Row] = {}
    for (source, _), row in sorted(first.items()):
        if source in latest:
            latest[source]["state"] = "superseded"
        latest[source] = row
        row["state"] = "neutral" if row["verdict"] in {"service_dispute", "withdrawn"} else "outranked"
    speaking = sorted(
        (row for row in latest.values() if row["verdict"] != "withdrawn"),
        key=lambda row: (1.5 if row["verdict"] == "service_dispute" else RANK[row["source"]], RANK[row["source"]]),
    )
    if speaking:
        speaking[-1]["counts"] = True
        if speaking[-1]["state"] == "outranked":
            speaking[-1]["state"] = "effective"
    told = [row for row in speaking if row["state"] != "neutral" and row["source"] != "assumed_legitimate"]
    for row in told:
        row["conflicting"] = int(len({each["verdict"] for each in told}) > 1)


def _name(row: Mapping[str, Any]) -> tuple[str, str, str, int]:
    return row["card"], row["transaction_id"], row["source"], row.get("revision", 0)
