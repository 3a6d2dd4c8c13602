"""What the page says over a store that holds history too: no figure counts a payment of it as decided."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from consumers.migrations_to_clickhouse import migrate
from consumers.page.alerts import alerts
from consumers.page.caught import caught
from consumers.page.features import RANGE
from consumers.page.model import model
from consumers.page.stored import stored
from consumers.warehouse import Warehouse, open_warehouse
from schemas.settings import Settings
from tests.contract.warehouse_rows import AT_MS, decision, insert, label, prediction, row

HOUR_MS = 3_600_000


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    """A store of one decided payment, and two later ones that are history: one with a label."""
    opened = open_warehouse(Settings(data_dir=tmp_path))
    migrate(opened)
    told = [row("predictions", prediction(), offset=0)]
    for number in (1, 2):
        past = prediction(f"tx-past-{number}", event_time_ms=AT_MS + number * HOUR_MS, mode="history")
        told.append(row("predictions", past, offset=number))
    insert(opened, "predictions", *told)
    insert(opened, "decisions", row("decisions", decision()))
    said = label(transaction_id="tx-past-1", occurred_at_ms=AT_MS + HOUR_MS)
    insert(opened, "labels", row("labels", said))
    yield opened
    opened.close()


def test_history_is_stored_and_counted_apart(warehouse: Warehouse) -> None:
    """Law: the store's contents tell predictions that were answered from those that were not."""
    counted = {content.name: content.number for content in stored(warehouse.query_columns, AT_MS).contents}
    assert (counted["predictions"], counted["history"], counted["decisions"]) == (1, 2, 1)


def test_history_is_no_alert_and_no_quality(warehouse: Warehouse) -> None:
    """Law: nobody is told to look at a payment that was not decided, and it was neither caught nor missed."""
    assert [alert.transaction_id for alert in alerts(warehouse.query_columns)] == ["tx-1"]
    found = caught(warehouse.query_columns)
    assert found is not None
    assert found.labelled == 0


def test_history_does_not_say_what_decides_now(warehouse: Warehouse) -> None:
    """Law: model, policy and mode of now, and the windows of drift, are those of payments that were decided."""
    now = model(warehouse.query_columns)
    assert now is not None
    assert (now.mode, now.quality.payments) == ("normal", 0)
    assert warehouse.query_columns(RANGE)["payments"] == [1]
