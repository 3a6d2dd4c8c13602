"""What becomes of payments and is said of them: by the truth, in the asked shares, late as asked, never too early."""

import math
from collections import Counter
from dataclasses import replace
from itertools import islice
from statistics import mean, stdev
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.aftermath import ANSWER_MS, DECLINED, Reporting
from producers.fraud_patterns import PATTERNS
from producers.world import World, cases
from schemas.recordings.stream import Case
from schemas.sampling import weight_of

START_MS = 1_522_540_800_000
WORLD = World(seed=3, start_ms=START_MS, rate=200, shoppers=1_000, merchants=400, fraud_rate=0.2)
ROW = {pattern.name: pattern for pattern in PATTERNS}
CASES = 12_000

reportings = st.builds(
    Reporting,
    label_delay_ms=st.integers(0, 10**9),
    label_delay_spread=st.sampled_from([0.0, 0.5, 3.0]),
    label_coverage=st.floats(0, 1),
    label_noise=st.floats(0, 1),
    label_reversals=st.floats(0, 1),
    legitimate_one_in=st.integers(1, 100),
    capture_delay_ms=st.integers(0, 10**9),
)


def reported(count: int = CASES, **changes: Any) -> list[Case]:
    return list(islice(cases(replace(WORLD, reporting=Reporting(**changes))), count))


def is_fraud(case: Case) -> bool:
    assert case.truth is not None
    return case.truth.fraud


def kinds(case: Case) -> list[str]:
    return [outcome.kind for outcome in case.outcomes]


@settings(max_examples=30, deadline=None)
@given(reportings)
def test_labels_and_outcomes_are_of_their_transaction_and_never_before_it(reporting: Reporting) -> None:
    for case in islice(cases(replace(WORLD, reporting=reporting)), 300):
        paid = case.transaction
        for event in case.labels + case.outcomes:
            assert (event.transaction_id, event.card, event.merchant) == (
                paid.transaction_id,
                paid.card,
                paid.merchant,
            )
        times = [label.reported_at_ms for label in case.labels]
        assert all(label.occurred_at_ms == paid.event_time_ms for label in case.labels)
        assert times == sorted(times)
        assert [label.revision for label in case.labels] == list(range(len(times)))
        assert all(time_ms >= paid.event_time_ms for time_ms in times)
        for label in case.labels:
            disputed = case.labels[0].verdict == "fraud"
            assert label.source == ("chargeback" if disputed else "assumed_legitimate")
            assert (label.verdict == "fraud") == (label.fraud_type is not None)
        answered = [outcome.occurred_at_ms for outcome in case.outcomes]
        assert answered == sorted(answered)
        assert ANSWER_MS[0] <= answered[0] - paid.event_time_ms <= ANSWER_MS[1]


def test_without_noise_every_label_tells_the_truth_at_its_time() -> None:
    for case in reported(label_delay_ms=7_000):
        for label in case.labels:
            assert (label.verdict == "fraud") == is_fraud(case)
            assert label.reported_at_ms - label.occurred_at_ms == 7_000
            if is_fraud(case):
                assert label.fraud_type == ROW[(case.truth and case.truth.campaign) or ""].fraud_type


def test_an_issuer_declines_captures_follow_and_few_are_taken_back() -> None:
    some = reported(capture_delay_ms=20_000)
    assert {tuple(kinds(case)) for case in some} == {
        ("declined_by_issuer",),
        ("authorised", "reversed"),
        ("authorised", "captured"),
        ("authorised", "captured", "refunded"),
    }
    for name, row in ROW.items():
        mine = [case for case in some if case.truth and case.truth.campaign == name]
        declined = sum(kinds(case) == ["declined_by_issuer"] for case in mine) / len(mine)
        assert declined == pytest.approx(row.declined, abs=5 * math.sqrt(row.declined / len(mine)))
        assert all("refunded" not in kinds(case) for case in mine)
    honest = [case for case in some if not is_fraud(case)]
    ends = Counter(kinds(case)[-1] for case in honest)
    assert ends["declined_by_issuer"] / len(honest) == pytest.approx(DECLINED, rel=0.2)
    assert 0.02 < ends["refunded"] / len(honest) < 0.04
    assert 0.005 < ends["reversed"] / len(honest) < 0.015
    for case in some:
        for outcome in case.outcomes:
            if outcome.kind == "captured":
                assert outcome.occurred_at_ms == case.transaction.event_time_ms + 20_000
            assert (outcome.response_code == "00") == (outcome.kind == "authorised")


def test_of_a_payment_that_was_declined_or_reversed_nobody_speaks() -> None:
    for case in reported(legitimate_one_in=1):
        assert bool(case.labels) == (kinds(case)[-1] in {"captured", "refunded"})


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_coverage_is_the_share_of_standing_frauds_that_are_reported(share: float) -> None:
    standing = [case for case in reported(label_coverage=share) if is_fraud(case) and "captured" in kinds(case)]
    assert sum(bool(case.labels) for case in standing) / len(standing) == pytest.approx(share, abs=0.05)


@pytest.mark.parametrize("one_in", [1, 3, 10])
def test_of_honest_payments_that_stand_those_are_assumed_legitimate_that_are_learned(one_in: int) -> None:
    """Law: one in so many is labelled, and each label is kept where one in so many is learned: none is of no use."""
    some = reported(legitimate_one_in=one_in, label_coverage=0.0)
    standing = [case for case in some if not is_fraud(case) and "captured" in kinds(case)]
    labelled = [label for case in some for label in case.labels]
    assert len(labelled) / len(standing) == pytest.approx(1 / one_in, abs=0.02)
    assert {label.source for label in labelled} == {"assumed_legitimate"}
    assert {weight_of(label, one_in) for label in labelled} == {float(one_in)}


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_noise_is_the_share_of_labels_that_are_wrong_of_frauds_as_of_honest_payments(share: float) -> None:
    some = reported(label_noise=share, legitimate_one_in=2)
    for fraud in (True, False):
        said = [(case.labels[0].verdict == "fraud") for case in some if case.labels and is_fraud(case) == fraud]
        assert sum(verdict != fraud for verdict in said) / len(said) == pytest.approx(share, abs=0.05)
    types = {label.fraud_type for case in some if not is_fraud(case) for label in case.labels}
    assert ("friendly_fraud" in types) == (share > 0)


def test_a_wrong_chargeback_is_overturned_by_a_later_revision_as_often_as_asked() -> None:
    some = reported(label_noise=0.3, label_reversals=0.5, label_delay_ms=9_000, label_delay_spread=0.5)
    wrong = [case for case in some if case.labels and case.labels[0].fraud_type == "friendly_fraud"]
    overturned = [case for case in some if len(case.labels) > 1]
    assert len(overturned) / len(wrong) == pytest.approx(0.5, abs=0.05)
    for case in overturned:
        first, second = case.labels
        assert not is_fraud(case)
        assert (first.verdict, second.verdict, second.revision) == ("fraud", "legitimate", 1)
        assert first.source == second.source == "chargeback"
        assert second.reported_at_ms > first.reported_at_ms


def test_an_issuer_reports_before_the_chargeback_as_often_as_asked() -> None:
    """Law: the report is of the same fraud, after half the time; it changes nothing else that is said."""
    some, without = reported(label_early_reports=0.4, label_delay_ms=9_000), reported(label_delay_ms=9_000)
    charged_back = [case.labels for case in some if is_fraud(case) and case.labels]
    early = [labels for labels in charged_back if len(labels) == 2]
    assert len(early) / len(charged_back) == pytest.approx(0.4, abs=0.05)
    for report, chargeback in early:
        assert (report.source, chargeback.source) == ("issuer_report", "chargeback")
        assert report.verdict == chargeback.verdict == "fraud"
        assert report.reported_at_ms - report.occurred_at_ms == 4_500
    assert [case.labels[-1:] for case in some] == [case.labels[-1:] for case in without]


@pytest.mark.parametrize("spread", [0.2, 1.0])
def test_the_spread_keeps_the_mean_delay_and_is_its_deviation_over_it(spread: float) -> None:
    some = reported(label_delay_ms=60_000, label_delay_spread=spread, legitimate_one_in=1)
    delays = [label.reported_at_ms - label.occurred_at_ms for case in some for label in case.labels]
    assert mean(delays) == pytest.approx(60_000, rel=0.03)
    assert stdev(delays) / mean(delays) == pytest.approx(spread, rel=0.15)


def test_each_flag_changes_only_what_it_names() -> None:
    """Law: fewer reports are a selection of more, and who publishes no outcomes says the same of the same payments."""
    all_of_them, some_of_them = reported(5_000), reported(5_000, label_coverage=0.5, legitimate_one_in=6)
    assert all(few.labels in {(), every.labels} for few, every in zip(some_of_them, all_of_them, strict=True))
    assert [case.outcomes for case in some_of_them] == [case.outcomes for case in all_of_them]
    silent = reported(5_000, outcomes=False)
    assert [case.labels for case in silent] == [case.labels for case in all_of_them]
    assert all(case.outcomes == () for case in silent)


@pytest.mark.parametrize(
    "wrong",
    [
        {"label_coverage": 1.1},
        {"label_noise": -0.1},
        {"label_reversals": 2},
        {"label_early_reports": 2},
        {"legitimate_one_in": 0},
        {"label_delay_ms": -1},
        {"label_delay_spread": float("inf")},
        {"capture_delay_ms": -1},
    ],
)
def test_a_reporting_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"^{next(iter(wrong))}: out of range$"):
        replace(WORLD, reporting=Reporting(**wrong))
