"""What became of each label, on the engine itself, beside an oracle that reads the rows one by one."""

from random import Random
from typing import Any

from consumers.rows import Record
from consumers.warehouse import Warehouse
from schemas.codec import encode
from schemas.dead_letter import DeadLetter, Origin
from schemas.label import SOURCES_BY_RANK, Label, LabelSource
from schemas.topics import LABELS, LABELS_WAITING
from tests.contract.warehouse_rows import AT_MS, insert, label, prediction, row, training
from tests.stored_labels import mark_labels

VERDICTS = ("fraud", "legitimate", "service_dispute", "withdrawn")


def say(warehouse: Warehouse, *labels: Label) -> None:
    insert(warehouse, "labels", *(row("labels", each, offset=offset) for offset, each in enumerate(labels)))


def told(warehouse: Warehouse, column: str, view: str = "v_labels") -> list[Any]:
    return warehouse.query_columns(f"SELECT {column} AS told FROM {view} ORDER BY record_offset")["told"]  # noqa: S608


def letter(topic: str, offset: int, value: bytes, stage: str, reason: Any) -> Record:
    origin = Origin(topic=topic, partition=2, offset=offset, timestamp_ms=AT_MS, key=b"card_a", value=value, headers=())
    key, content, headers = DeadLetter(origin=origin, stage=stage, reason=reason, detail="").to_record()
    return Record("fraud.dead-letters.v1", 2, offset, AT_MS, key, content, tuple(headers))


def test_the_highest_source_is_effective_and_others_are_outranked(warehouse: Warehouse) -> None:
    sources: list[LabelSource] = ["analyst", "customer", "chargeback", "assumed_legitimate"]
    say(warehouse, *(label(source=source, verdict="legitimate") for source in sources))
    assert told(warehouse, "state") == ["outranked", "outranked", "effective", "outranked"]
    assert told(warehouse, "conflicting") == [0, 0, 0, 0]
    assert told(warehouse, "source", "v_verdicts") == ["chargeback"]


def test_a_won_dispute_supersedes_the_chargeback_and_its_repeat_is_a_duplicate(warehouse: Warehouse) -> None:
    say(warehouse, label(), label(1, verdict="legitimate"), label())
    assert told(warehouse, "state") == ["superseded", "effective", "duplicate"]
    assert told(warehouse, "verdict", "v_verdicts") == ["legitimate"]


def test_what_was_withdrawn_gives_way(warehouse: Warehouse) -> None:
    say(warehouse, label(source="customer", verdict="legitimate"), label(), label(1, verdict="withdrawn"))
    assert told(warehouse, "state") == ["effective", "superseded", "neutral"]


def test_sources_that_disagree_are_in_conflict(warehouse: Warehouse) -> None:
    silent = label(source="assumed_legitimate", verdict="legitimate")
    say(warehouse, label(), label(source="analyst", verdict="legitimate"), silent)
    assert told(warehouse, "conflicting") == [1, 1, 0]


def test_a_service_dispute_is_no_verdict_and_breaks_the_silence(warehouse: Warehouse) -> None:
    say(warehouse, label(source="assumed_legitimate", verdict="legitimate"), label(verdict="service_dispute"))
    assert told(warehouse, "state") == ["outranked", "neutral"]
    assert told(warehouse, "verdict", "v_verdicts") == ["service_dispute"]


def test_where_a_label_is_on_its_way_to_be_learned(warehouse: Warehouse) -> None:
    """Law: without a prediction it waits, what waited too long is told and not lost, a training record says learned."""
    say(warehouse, *(label(transaction_id=name) for name in ("tx-1", "tx-2", "tx-3", "tx-4")))
    insert(warehouse, "predictions", row("predictions", prediction("tx-1")), row("predictions", prediction("tx-2")))
    insert(warehouse, "training", row("training", training()))
    gone = letter(
        LABELS_WAITING.name, 7, encode(label(transaction_id="tx-3")), "label-join", "label_without_prediction"
    )
    insert(warehouse, "dead_letters", row("dead_letters", gone))
    assert told(warehouse, "learning") == ["learned", "none", "unknown_transaction", "waiting"]


def test_a_label_that_was_refused_counts_for_nothing(warehouse: Warehouse) -> None:
    say(warehouse, label(), label(source="analyst", verdict="legitimate"))
    refused = letter(f"a.{LABELS.name}", 0, encode(label()), "card", "from_the_future")
    insert(warehouse, "dead_letters", row("dead_letters", refused))
    assert told(warehouse, "state") == ["refused", "effective"]
    assert told(warehouse, "verdict", "v_verdicts") == ["legitimate"]


def test_any_labels_are_told_as_the_oracle_tells_them(warehouse: Warehouse) -> None:
    """Law: in whatever order labels come, repeated or not, states and verdicts are those of a plain reading."""
    chance = Random(5)
    labels = [
        label(
            chance.randrange(3),
            transaction_id=f"tx-{chance.randrange(60)}",
            source=chance.choice(SOURCES_BY_RANK),
            verdict=chance.choice(VERDICTS),
        )
        for _ in range(600)
    ]
    say(warehouse, *labels)
    rows = [{**each.model_dump(), "record_partition": 2, "record_offset": offset} for offset, each in enumerate(labels)]
    mark_labels(rows, {"v_dead_letters": [], "v_training": [], "v_predictions": []})
    for column in ("state", "conflicting", "learning"):
        assert told(warehouse, column) == [each[column] for each in rows]
    assert told(warehouse, "record_offset", "v_verdicts") == [each["record_offset"] for each in rows if each["counts"]]
    assert {each["state"] for each in rows} == {"effective", "outranked", "superseded", "neutral", "duplicate"}
