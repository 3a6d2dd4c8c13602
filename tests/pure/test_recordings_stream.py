"""A stream of cases: every event in order of time, each label and outcome where its time has come."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.label import Label, Outcome
from schemas.recordings.stream import Case, Event, Stream
from schemas.transaction import Transaction

T0 = 1_522_540_800_000


def case(number: int, at_ms: int, label_delays: list[int], outcome_delays: list[int]) -> Case:
    paid: dict[str, Any] = {"transaction_id": f"tx-{number}", "card": "card_a", "merchant": "mer_b"}
    at_ms += T0
    return Case(
        Transaction(**paid, amount_minor=1, currency="EUR", event_time_ms=at_ms),
        tuple(
            Label(
                **paid,
                revision=revision,
                verdict="fraud",
                source="chargeback",
                occurred_at_ms=at_ms,
                reported_at_ms=at_ms + delay_ms,
            )
            for revision, delay_ms in enumerate(label_delays)
        ),
        tuple(Outcome(**paid, kind="captured", occurred_at_ms=at_ms + delay_ms) for delay_ms in outcome_delays),
    )


@st.composite
def case_lists(draw: st.DrawFn) -> list[Case]:
    times = sorted(draw(st.lists(st.integers(0, 40), max_size=30)))
    delays = st.lists(st.integers(0, 30), max_size=2)
    return [case(number, at_ms, draw(delays), draw(delays)) for number, at_ms in enumerate(times)]


def due_ms(event: Event) -> int:
    if isinstance(event, Transaction):
        return event.event_time_ms
    return event.reported_at_ms if isinstance(event, Label) else event.occurred_at_ms


@given(case_lists(), st.integers(-1, 80), st.booleans())
def test_until_a_time_and_from_it_give_together_all(cases: list[Case], at_ms: int, to_the_end: bool) -> None:
    """Law: what an import until a time leaves is what a replay from that time gives, nothing twice, in one order."""
    cut_ms = T0 + at_ms
    before = list(Stream(cases, until_ms=cut_ms, labels_to_the_end=to_the_end))
    after = list(Stream(cases, from_ms=cut_ms, labels_to_the_end=to_the_end))
    assert before + after == list(Stream(cases, labels_to_the_end=to_the_end))
    assert all(time_ms < cut_ms for time_ms, _ in before)


@given(case_lists(), st.integers(-1, 80))
def test_what_is_not_due_before_the_end_is_pending(cases: list[Case], at_ms: int) -> None:
    """Law: of the transactions before a time, each label is given or counted as pending."""
    stream = Stream(cases, until_ms=T0 + at_ms)
    given_labels = sum(isinstance(event, Label) for _, event in stream)
    known = [case for case in cases if case.transaction.event_time_ms < T0 + at_ms]
    assert given_labels + stream.labels_pending == sum(len(case.labels) for case in known)


def position(events: list[tuple[int, Event]], transaction_id: str) -> int:
    return next(
        index
        for index, (_, event) in enumerate(events)
        if isinstance(event, Transaction) and event.transaction_id == transaction_id
    )


@given(case_lists())
def test_events_come_in_order_of_time_and_nothing_is_lost_or_repeated(cases: list[Case]) -> None:
    stream = Stream(cases)
    events = list(stream)
    times = [time_ms for time_ms, _ in events]
    assert times == sorted(times)
    assert all(time_ms == due_ms(event) for time_ms, event in events)
    assert [event for _, event in events if isinstance(event, Transaction)] == [each.transaction for each in cases]
    said: list[Event] = [event for each in cases for event in each.labels + each.outcomes]
    for _, event in events:
        if not isinstance(event, Transaction):
            said.remove(event)
    assert stream.labels_pending == sum(isinstance(event, Label) for event in said)
    assert stream.outcomes_pending == sum(isinstance(event, Outcome) for event in said)


@given(case_lists())
def test_what_is_said_comes_after_its_transaction_where_the_stream_first_reaches_its_time(cases: list[Case]) -> None:
    events = list(Stream(cases))
    for index, (time_ms, event) in enumerate(events):
        if not isinstance(event, Transaction):
            assert position(events, event.transaction_id) < index
            assert all(other_ms <= time_ms for other_ms, other in events[:index] if isinstance(other, Transaction))
            assert max(each.transaction.event_time_ms for each in cases) >= time_ms


@given(case_lists())
def test_what_is_said_comes_before_later_transactions_of_the_same_time(cases: list[Case]) -> None:
    events = list(Stream(cases))
    for index, (time_ms, event) in enumerate(events):
        if not isinstance(event, Transaction):
            own = position(events, event.transaction_id)
            same_time = [
                n
                for n, (at_ms, other) in enumerate(events[:index])
                if at_ms == time_ms and isinstance(other, Transaction)
            ]
            assert all(n <= own for n in same_time)


@given(case_lists())
def test_to_the_end_leaves_nothing_and_changes_nothing_before(cases: list[Case]) -> None:
    stream = Stream(cases, labels_to_the_end=True)
    events = list(stream)
    assert (stream.labels_pending, stream.outcomes_pending) == (0, 0)
    assert sum(isinstance(event, Label) for _, event in events) == sum(len(each.labels) for each in cases)
    assert sum(isinstance(event, Outcome) for _, event in events) == sum(len(each.outcomes) for each in cases)
    shorter = list(Stream(cases))
    assert shorter == events[: len(shorter)]


def test_of_what_is_due_at_once_the_first_said_comes_first() -> None:
    several = [case(0, 0, [5, 5], [5]), case(1, 3, [2], [2]), case(2, 5, [], [])]
    said = [(type(event).__name__, event.transaction_id) for _, event in Stream(several)][2:-1]
    assert said == [("Outcome", "tx-0"), ("Label", "tx-0"), ("Label", "tx-0"), ("Outcome", "tx-1"), ("Label", "tx-1")]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ([case(0, 5, [], []), case(1, 4, [], [])], "transaction tx-1 is older than the one before it"),
        ([case(0, 5, [-1], [])], "a label of tx-0 is older than its transaction"),
        ([case(0, 5, [], [-1])], "an outcome of tx-0 is older than its transaction"),
    ],
)
def test_what_goes_back_in_time_is_refused(wrong: list[Case], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        list(Stream(wrong))
