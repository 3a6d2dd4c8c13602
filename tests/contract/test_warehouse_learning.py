"""What learning stores and asks, on the engine itself: outcomes, training records, models, labelled payments."""

import datetime as dt
import re
from typing import Any

from consumers.look_up import LOOK_UP, Stored, answers, parameters, stored_for
from consumers.warehouse import Warehouse, query_frame
from schemas.fields import DAY_MS
from schemas.label import Label
from tests.contract.warehouse_rows import AT_MS, alert, audit, insert, label, model, outcome, prediction, row, training

AT = dt.datetime.fromtimestamp(AT_MS / 1_000, dt.UTC)


def only_row(warehouse: Warehouse, sql: str) -> dict[str, Any]:
    read = warehouse.query_columns(sql)
    assert {len(values) for values in read.values()} == {1}
    return {name: values[0] for name, values in read.items()}


def test_each_thing_that_became_of_a_payment_is_a_row(warehouse: Warehouse) -> None:
    """Law: kind and time tell outcomes of a payment apart; of two records of one the first counts."""
    later = outcome(response_code="05")
    captures = [outcome(kind="captured", occurred_at_ms=AT_MS + n, amount_minor=n) for n in (2, 3)]
    insert(warehouse, "outcomes", *(row("outcomes", each, offset=n) for n, each in enumerate([outcome(), *captures])))
    insert(warehouse, "outcomes", row("outcomes", later, offset=9))
    told = query_frame(warehouse, "SELECT kind, amount_minor, response_code FROM v_outcomes ORDER BY occurred_at")
    assert told["kind"].to_list() == ["authorised", "captured", "captured"]
    assert told["response_code"].to_list() == ["", "", ""]
    assert told["amount_minor"].to_list()[1:] == [2, 3]


def test_a_training_record_says_what_was_predicted_and_what_was_true(warehouse: Warehouse) -> None:
    insert(warehouse, "training", row("training", training(), offset=7), row("training", training(1), offset=8))
    read = only_row(warehouse, "SELECT * FROM v_training WHERE revision = 0")
    assert (read["verdict"], read["weight"], read["probability"], read["model_version"]) == ("fraud", 3.0, 0.25, "m-1")
    assert (read["occurred_at"], read["reported_at"]) == (AT, AT + dt.timedelta(days=1))
    assert (read["joined_at"], read["record_offset"]) == (AT + dt.timedelta(milliseconds=5), 7)


def test_a_model_says_what_it_learned_and_when_it_came(warehouse: Warehouse) -> None:
    """Law: the coefficients stay in Kafka; of two records of a version the first counts."""
    insert(warehouse, "models", row("models", model(parent="m-0"), offset=1))
    insert(warehouse, "models", row("models", model(records=5), offset=2))
    read = only_row(warehouse, "SELECT * FROM v_models")
    assert (read["version"], read["parent"], read["records"], read["frauds"]) == ("m-1", "m-0", 1_000, 9)
    assert (read["training_offset"], read["learned_to"]) == (2**40, AT)
    assert read["published_at"] == AT + dt.timedelta(milliseconds=5)
    assert "state" not in read


def test_an_answer_to_a_command_says_who_asked_for_what(warehouse: Warehouse) -> None:
    """Law: what the audit topic holds is stored, a repeated insert once."""
    for _ in range(2):
        insert(warehouse, "audit", row("audit", audit(), offset=7))
    read = only_row(warehouse, "SELECT * FROM v_audit")
    assert (read["author"], read["kind"], read["outcome"], read["reason"]) == ("ana", "promote", "refused", "replayed")
    assert dict(read["arguments"]) == {"version": "m-1", "model_offset": "31"}
    assert (read["commanded_at"], read["answered_at"]) == (AT, AT + dt.timedelta(milliseconds=5))


def test_an_alert_that_several_raise_is_one(warehouse: Warehouse) -> None:
    """Law: of several records of one alert the first counts."""
    insert(warehouse, "alerts", *(row("alerts", alert(), offset=offset) for offset in (4, 5)))
    insert(warehouse, "alerts", row("alerts", alert(), offset=9))
    read = only_row(warehouse, "SELECT * FROM v_alerts")
    assert (read["kind"], read["severity"], read["record_offset"], read["raised_at"]) == ("forged", "critical", 4, AT)


def test_a_labelled_payment_has_its_newest_verdict_once(warehouse: Warehouse) -> None:
    insert(warehouse, "predictions", *(row("predictions", prediction(id_)) for id_ in ("tx-1", "tx-1", "tx-2")))
    revised = label(1, verdict="legitimate")
    insert(warehouse, "labels", row("labels", label()), row("labels", revised, offset=1), row("labels", revised))
    read = only_row(warehouse, "SELECT * FROM v_labelled")
    assert read == {
        "transaction_id": "tx-1",
        "card": "card_a",
        "merchant": "mer_b",
        "event_time": AT,
        "amount_minor": 1_999,
        "currency": "EUR",
        "score": 612,
        "probability": 0.25,
        "action": "review",
        "mode": "normal",
        "model_version": "m-1",
        "verdict": "legitimate",
        "source": "chargeback",
        "reported_at": AT + dt.timedelta(days=2),
    }


def test_a_label_is_not_that_of_a_payment_a_month_before_under_the_same_id(warehouse: Warehouse) -> None:
    before = prediction(event_time_ms=AT_MS - 40 * DAY_MS)
    insert(warehouse, "predictions", row("predictions", before), row("predictions", prediction(), offset=1))
    insert(warehouse, "labels", row("labels", label()))
    assert only_row(warehouse, "SELECT event_time FROM v_labelled") == {"event_time": AT}


def looked_up(warehouse: Warehouse, *labels: Label) -> list[Stored | None]:
    found = answers(warehouse.query_columns(LOOK_UP, parameters(labels)))
    return [stored_for(each, found) for each in labels]


def test_the_look_up_finds_what_was_stored_for_each_label(warehouse: Warehouse) -> None:
    """Law: by card and id, the nearest within a day; ids of other cards, and other months, are other payments."""
    days = range(-40, 41, 10)
    stored = [prediction(event_time_ms=AT_MS + day * DAY_MS, probability=(day + 40) / 100) for day in days]
    insert(warehouse, "predictions", *(row("predictions", each, offset=n) for n, each in enumerate(stored)))
    asked = [label(occurred_at_ms=AT_MS + day * DAY_MS + apart) for day in (0, 30) for apart in (-DAY_MS, 0, DAY_MS)]
    assert [each and each.probability for each in looked_up(warehouse, *asked)] == [0.4, 0.4, 0.4, 0.7, 0.7, 0.7]
    others = [label(card="card_b"), label(transaction_id="tx-2"), label(occurred_at_ms=AT_MS + DAY_MS + 1)]
    assert looked_up(warehouse, *others, asked[0])[:3] == [None, None, None]
    assert looked_up(warehouse, *others) == [None, None, None]


def test_what_is_looked_up_is_what_was_predicted(warehouse: Warehouse) -> None:
    bare = prediction("bare", model_version=None, score=None, probability=None, features={})
    insert(warehouse, "predictions", row("predictions", prediction(), offset=7), row("predictions", bare, offset=8))
    assert looked_up(warehouse, label(), label(transaction_id="bare")) == [
        Stored(AT_MS, {"card_amount_sum_1h": 12.5, "card_count_1h": 3.0}, 0.25, "m-1", 2, 7),
        Stored(AT_MS, {}, None, "", 2, 8),
    ]


def test_a_look_up_reads_only_the_weeks_it_asks_for(warehouse: Warehouse) -> None:
    """Law: with a year stored, a label costs its own two weeks at most."""
    rows = [row("predictions", prediction(event_time_ms=AT_MS + day * DAY_MS), offset=day) for day in range(364)]
    insert(warehouse, "predictions", *rows)
    explained = warehouse.query_columns("EXPLAIN indexes = 1 " + LOOK_UP, parameters([label()]))["explain"]
    by_key = re.findall(r"PrimaryKey.*?Parts: (\d+)/(\d+)", "\n".join(explained), re.DOTALL)
    selected, whole = map(int, by_key[0])
    assert whole >= 52
    assert selected <= 2
