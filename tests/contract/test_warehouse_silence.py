"""Silence as a label, on the engine itself: who matures, who is censored, and what a killed run repeats."""

from collections.abc import Sequence
from threading import Event
from typing import Any

import pytest

from consumers.clickhouse_to_labels import ClickhouseToLabels
from consumers.warehouse import Warehouse
from schemas.fields import DAY_MS
from schemas.label import Label
from schemas.sampling import weight_of
from tests.contract.warehouse_rows import AT_MS, insert, label, outcome, prediction, row

MATURITY_MS = 90 * DAY_MS


class Published:
    """Labels that were published, until chance ends the process after so many calls."""

    def __init__(self) -> None:
        self.labels: list[Label] = []
        self.dies = False

    def publish(self, labels: Sequence[Label]) -> bool:
        self.labels += labels
        if self.dies:
            raise KeyboardInterrupt
        return True


def pay(warehouse: Warehouse, name: str, at_ms: int = AT_MS, *outcomes: Any, **changes: Any) -> None:
    made = prediction(name, event_time_ms=at_ms, **changes)
    insert(warehouse, "predictions", row("predictions", made, offset=at_ms))
    for offset, kind in enumerate(outcomes):
        told = outcome(transaction_id=name, kind=kind, occurred_at_ms=at_ms + 1 + offset)
        insert(warehouse, "outcomes", row("outcomes", told, offset=at_ms + offset))


def silence(warehouse: Warehouse, published: Published, now_ms: int = AT_MS + 400 * DAY_MS, kept: int = 1) -> Any:
    return ClickhouseToLabels(warehouse, published, Event(), lambda: now_ms, MATURITY_MS, kept)


def named(published: Published) -> list[str]:
    return [each.transaction_id for each in published.labels]


def test_only_what_was_authorised_and_let_through_and_not_spoken_of_is_honest(warehouse: Warehouse) -> None:
    """Law: what was declined, reversed, blocked, disputed, or is not known to be authorised, is never an example."""
    pay(warehouse, "honest", AT_MS, "authorised", "captured")
    pay(warehouse, "unknown", AT_MS)
    pay(warehouse, "declined", AT_MS, "declined_by_issuer")
    pay(warehouse, "reversed", AT_MS, "authorised", "reversed")
    pay(warehouse, "blocked", AT_MS, "authorised", action="block")
    pay(warehouse, "history", AT_MS, "authorised", action="block", mode="history")
    pay(warehouse, "disputed", AT_MS, "authorised")
    insert(warehouse, "labels", row("labels", label(transaction_id="disputed", verdict="service_dispute")))
    pay(warehouse, "newest", AT_MS + MATURITY_MS + 1)
    published = Published()
    job = silence(warehouse, published)
    while job.step():
        pass
    assert sorted(named(published)) == ["history", "honest"]
    made = published.labels[0]
    assert (made.verdict, made.source, made.reported_at_ms - made.occurred_at_ms) == (
        "legitimate",
        "assumed_legitimate",
        MATURITY_MS,
    )
    assert (job.counters.matured, job.counters.silence_published) == (2, 2)


def test_maturity_goes_by_the_stored_stream_and_not_by_the_clock(warehouse: Warehouse) -> None:
    """Law: years later by the clock nothing has matured while no newer payment is stored; nor by one of the future."""
    published = Published()
    pay(warehouse, "tx-1", AT_MS, "authorised")
    assert not silence(warehouse, published).step()
    pay(warehouse, "ahead", AT_MS + MATURITY_MS + DAY_MS)
    assert not silence(warehouse, published, now_ms=AT_MS + MATURITY_MS).step()
    assert silence(warehouse, published).step()
    assert named(published) == ["tx-1"]


def test_what_a_killed_run_repeats_is_the_same_and_nothing_is_left_out(warehouse: Warehouse) -> None:
    """Law: killed between publishing and noting it, a run says the very same labels again, and then goes on."""
    for number in range(40):
        pay(warehouse, f"tx-{number}", AT_MS + number * 500, "authorised")
    pay(warehouse, "newest", AT_MS + MATURITY_MS + DAY_MS)
    whole, published = Published(), Published()
    for _ in range(6):
        published.dies = True
        with pytest.raises(KeyboardInterrupt):
            silence(warehouse, published, kept=3).step()
        published.dies = False
        assert silence(warehouse, published, kept=3).step()
    job = silence(warehouse, published, kept=3)
    while job.step():
        pass
    warehouse.execute("TRUNCATE TABLE matured")
    again = silence(warehouse, whole, kept=3)
    while again.step():
        pass
    once = {each.transaction_id: each for each in published.labels}
    assert all(once[each.transaction_id] == each for each in published.labels)
    assert once == {each.transaction_id: each for each in whole.labels}
    assert len(whole.labels) == len(once)
    assert all(weight_of(each, 3) == 3.0 for each in whole.labels)
    assert 5 < len(once) < 25
    assert len(published.labels) > len(once)


def test_what_is_labelled_is_not_labelled_again(warehouse: Warehouse) -> None:
    """Law: where the place was lost, those whose label is stored stay as they are."""
    pay(warehouse, "tx-1", AT_MS, "authorised")
    pay(warehouse, "newest", AT_MS + MATURITY_MS + 1)
    published = Published()
    assert silence(warehouse, published).step()
    insert(warehouse, "labels", row("labels", published.labels[0]))
    warehouse.execute("TRUNCATE TABLE matured")
    silence(warehouse, published).step()
    assert named(published) == ["tx-1"]
