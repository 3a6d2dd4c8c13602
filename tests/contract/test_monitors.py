"""Each rule's query on the engine itself, over seeded rows: its figures are those of pandas."""

from collections.abc import Iterator

import pytest

from consumers.migrations_to_clickhouse import migrate
from consumers.monitors.board import cleared, fired, look
from consumers.monitors.finding import Finding
from consumers.monitors.inputs import features_moved
from consumers.monitors.rules import RULES, Rule
from consumers.warehouse import Warehouse, open_warehouse
from schemas.fields import DAY_MS
from schemas.settings import Settings
from tests.contract.warehouse_rows import insert, row
from tests.monitored import NOW_MS, Seeded, differing, expected

BY_NAME = {rule.name: rule for rule in RULES}


@pytest.fixture(scope="module")
def seeded() -> Seeded:
    return Seeded()


@pytest.fixture(scope="module")
def filled(seeded: Seeded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    opened = open_warehouse(Settings(data_dir=tmp_path_factory.mktemp("store")))
    migrate(opened)
    seeded.fill(opened)
    yield opened
    opened.close()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_query_gives_what_pandas_works_out(filled: Warehouse, seeded: Seeded, rule: Rule) -> None:
    """Law: each count once, of the windows that the rule names, whatever was stored twice or imported."""
    found = filled.query_columns(rule.probe.sql, {"now_ms": NOW_MS, **rule.span._asdict()})
    wanted = expected(seeded, rule.probe.sql, *rule.span)
    told = {name: found[name] for name in wanted}
    assert differing(told, wanted) == []
    assert all(len(values) for values in wanted.values())


def test_a_feature_that_is_lost_and_one_that_moved_are_told(filled: Warehouse) -> None:
    """Law: from rows to finding: the features of the last day are missing in half of the payments."""
    found = look(BY_NAME["feature_drift"].probe, BY_NAME["feature_drift"].span, filled.query_columns, NOW_MS)
    assert found is not None
    assert found.facts == {"field_broken"}
    assert "payment_amount_minor is missing" in found.text


def test_a_segment_that_is_stuck_is_told(filled: Warehouse) -> None:
    """Law: one country where there were three is a broken field, not another mix."""
    found = look(BY_NAME["segment_drift"].probe, BY_NAME["segment_drift"].span, filled.query_columns, NOW_MS)
    assert found is not None
    assert found.subject == "merchant_country"
    assert found.facts == {"field_broken"}


def test_what_a_feature_is_stuck_at_is_counted(filled: Warehouse) -> None:
    """Law: the most frequent recent value is counted on both sides."""
    rule = BY_NAME["feature_drift"]
    found = filled.query_columns(rule.probe.sql, {"now_ms": NOW_MS, **rule.span._asdict()})
    at = found["name"].index("device_is_new")
    assert found["reference_distinct"][at] == 2
    assert found["recent_values"][at] / 2 <= found["recent_top"][at] <= found["recent_values"][at]
    assert features_moved(found) is not None


def test_of_an_empty_time_nothing_is_said(filled: Warehouse) -> None:
    """Law: where nothing was stored yet no rule finds anything."""
    before_ms = NOW_MS - 400 * DAY_MS
    assert [look(rule.probe, rule.span, filled.query_columns, before_ms) for rule in RULES] == [None] * len(RULES)


def test_an_alert_that_is_over_fires_no_more(filled: Warehouse) -> None:
    """Law: of fired and cleared alerts the view of firing ones has those without an end, once."""
    finding = Finding(
        over=True, value=3.0, bound=2.0, rows=100, subject="store", text="late", facts=frozenset({"late"})
    )
    first, second = (fired(rule, finding, finding.facts, NOW_MS) for rule in RULES[-2:])
    rows = [first, second, cleared(first, finding, NOW_MS + 1), second]
    insert(filled, "alerts", *(row("alerts", alert, offset=offset) for offset, alert in enumerate(rows)))
    assert filled.query_columns("SELECT kind, cause FROM v_alerts_firing") == {
        "kind": [second.kind],
        "cause": ["broken_pipeline"],
    }
    assert filled.query_columns("SELECT count() AS rows FROM v_alerts") == {"rows": [3]}
