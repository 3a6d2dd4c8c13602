"""The views that tell how the work goes: reviews, merchants, latency, maturity, what was in force, one payment."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from pandas.testing import assert_frame_equal

from schemas.fields import DAY_MS, HOUR_MS
from schemas.label import Label
from tests.contract.views_data import FROM_MS, KNOWN_MS, TO_MS, verdicts_known
from tests.contract.views_told import SQL_OF, Told, at
from tests.contract.warehouse_rows import AT_MS, audit, insert, row

DECIDED_MS = AT_MS + 5
"""When every prediction of these tests was written."""


def exact_quantile(values: Sequence[float], level: float) -> float:
    """Return the value that so large a share of the values lies below, as the engine takes it."""
    return sorted(values)[int(level * len(values))]


def near(said: Sequence[Label]) -> list[tuple[int, Label]]:
    """Return what was said near the window and known, with its offset."""
    return [
        (offset, each)
        for offset, each in enumerate(said)
        if each.reported_at_ms <= KNOWN_MS and FROM_MS - DAY_MS <= each.occurred_at_ms < TO_MS + DAY_MS
    ]


def test_reviews_that_were_acted_on_and_how_soon(told: Told) -> None:
    words: dict[tuple[str, str], list[tuple[int, int, Label]]] = defaultdict(list)
    for offset, each in near(told.labels):
        if each.source == "analyst":
            words[each.card, each.transaction_id].append((each.revision, -offset, each))
    found = told.read("v_reviews").set_index("day")
    for day, of in told.truth[told.truth.action == "review"].groupby("day"):
        spoken = [words.get(name, []) for name in zip(of.card, of.transaction_id, strict=True)]
        hours = [(min(word[2].reported_at_ms for word in said) - DECIDED_MS) / HOUR_MS for said in spoken if said]
        hours = [max(0.0, each) for each in hours]
        verdicts = [max(said, key=lambda word: word[:2])[2].verdict for said in spoken if said]
        assert len(hours) > 1
        assert found.loc[day].to_dict() == pytest.approx(
            {
                "reviews": len(of),
                "acted_on": len(hours),
                "acted_share": len(hours) / len(of),
                "frauds": verdicts.count("fraud"),
                "hours_p50": exact_quantile(hours, 0.5),
                "hours_p90": exact_quantile(hours, 0.9),
                "open_hours_max": (KNOWN_MS - DECIDED_MS) / HOUR_MS,
            }
        )


def test_merchants_are_counted_as_schemes_count_them(told: Told) -> None:
    """Law: basis points are of the payments of the month; settled ones and reports count once, when they came first."""
    captured = {
        (each.card, each.transaction_id, each.merchant)
        for each in told.outcomes
        if each.kind == "captured" and FROM_MS <= each.occurred_at_ms < TO_MS
    }
    first: dict[tuple[str, str, str, str], list[tuple[int, int, int, str]]] = defaultdict(list)
    for offset, each in enumerate(told.labels):
        name = (each.card, each.transaction_id, each.merchant, each.source)
        first[name].append((each.revision, offset, each.reported_at_ms, each.verdict))
    reports: Counter[tuple[str, str, str]] = Counter()
    for (_, _, shop, source), said in first.items():
        if FROM_MS <= min(word[2] for word in said) < TO_MS:
            reports[shop, source, min(said)[3]] += 1
    found = told.read("v_merchant_fraud")
    assert len(set(found.month)) == 1
    for name_of, of in told.truth.groupby("merchant"):
        merchant = str(name_of)
        row_of = found[found.merchant == merchant].iloc[0]
        approved = of.action != "block"
        fraud_minor = of.minor[approved & (of.verdict == "fraud")].sum()
        settled = sum(name[2] == merchant for name in captured)
        disputes = reports[merchant, "chargeback", "fraud"], reports[merchant, "chargeback", "service_dispute"]
        reported = reports[merchant, "issuer_report", "fraud"]
        assert (row_of.approved, row_of.approved_minor) == (approved.sum(), of.minor[approved].sum())
        assert row_of.fraud_minor == fraud_minor
        assert row_of.fraud_bp == pytest.approx(10_000 * fraud_minor / of.minor[approved].sum())
        assert row_of.settled == settled > 20
        assert (row_of.fraud_reports, row_of.fraud_disputes, row_of.other_disputes) == (reported, *disputes)
        assert row_of.chargeback_ratio == pytest.approx(sum(disputes) / settled)
        assert row_of.scheme_ratio == pytest.approx((reported + sum(disputes)) / settled)


def test_latency_by_minute(told: Told) -> None:
    found = told.read("v_latency").set_index("minute")
    minutes = told.truth.groupby(told.truth.at_ms // 60_000)
    assert len(found) == len(minutes)
    for minute, of in minutes:
        late = [DECIDED_MS - each for each in of.at_ms]
        row_of = found.loc[at(minute * 60_000)]
        assert row_of.payments == len(of)
        assert row_of.per_second == pytest.approx(len(of) / 60)
        assert row_of.latency_p50_ms == exact_quantile(late, 0.5)
        assert row_of.latency_p99_ms == exact_quantile(late, 0.99)
        assert row_of.latency_max_ms == max(late)


def test_maturity_allows_for_what_is_still_to_come(told: Told) -> None:
    """Law: the product, from the oldest age down, of what part of the known had been known a day before."""
    frauds = [
        ((each.reported_at_ms - each.occurred_at_ms) // DAY_MS, (KNOWN_MS - each.occurred_at_ms) // DAY_MS)
        for each in verdicts_known(told.labels, KNOWN_MS).values()
        if each.verdict == "fraud" and FROM_MS <= each.occurred_at_ms < TO_MS
    ]
    found = told.read("v_maturity").set_index("days")
    share = 1.0
    assert found.index.to_list() == list(range(max(delay for delay, _ in frauds) + 1))
    for day in reversed(found.index):
        reported = sum(delay == day for delay, _ in frauds)
        known = sum(delay <= day <= age for delay, age in frauds)
        assert (found.reported[day], found.known[day]) == (reported, known)
        assert math.isclose(found.share[day], share, rel_tol=1e-9, abs_tol=1e-12)
        share *= 1 - reported / known


def test_what_was_in_force_and_by_whose_command(told: Told) -> None:
    """Law: of each minute the combination that decided most, and the last command that was carried out before."""
    done = audit(outcome="done", reason=None)
    insert(told.warehouse, "audit", row("audit", done, offset=1), row("audit", audit(), offset=2))
    most = Counter(zip(told.truth.model_version, told.truth.policy_version, strict=True)).most_common(2)
    assert most[0][1] > most[1][1]
    found = told.read("v_in_force").iloc[0]
    assert (found.model_version, found.policy_version) == most[0][0]
    assert found.decisions == most[0][1]
    assert (found.champion_mode, found.commanded_by, found.command_id) == ("pinned", "ana", "c-2")
    assert found.from_time == found.to_time == at(AT_MS)


def test_one_payment_is_found_by_its_id(told: Told) -> None:
    made = told.payments[1]
    found = told.read("v_transaction", transaction_id="tx-1")
    assert len(found) == 1
    assert dict(found.features[0]) == dict(made.features)
    assert (found.card[0], found.action[0]) == (made.transaction.card, made.action)
    assert told.read("v_transaction", transaction_id="tx-none").empty


def test_an_hour_that_is_kept_says_what_its_rows_say(told: Told) -> None:
    """Law: a view says the same of hours read from `predictions`, of hours that are kept, and of some of each."""
    views = [view for view, sql in SQL_OF.items() if "{to:" in sql and "drift" not in view]
    assert len(views) > 10
    states: dict[str, Callable[[], None]] = {
        "bare": lambda: told.touch(1),
        "kept": told.settle,
        "some": lambda: told.touch(2),
    }
    asked: dict[str, set[str]] = {}
    first: dict[str, Any] = {}
    for state, prepare in states.items():
        prepare()
        plan = "EXPLAIN ESTIMATE SELECT max(score) FROM v_answered(from = '2000-01-01', to = '2100-01-01')"
        planned = told.warehouse.query_columns(plan)
        asked[state] = {table for table, rows in zip(planned["table"], planned["rows"], strict=True) if rows}
        for view in views:
            frame = told.read(view)
            frame = frame.sort_values(list(frame.columns[:3])).reset_index(drop=True)
            assert_frame_equal(first.setdefault(view, frame), frame, obj=f"{view} {state}", rtol=1e-9)
    assert told.read("v_answered", **{"from": at(0), "to": at(FROM_MS - DAY_MS)}).empty
    assert asked == {"bare": {"predictions"}, "kept": {"payment_hours"}, "some": {"predictions", "payment_hours"}}
