"""A stream of cases: every event in order of time, each label where its time has come."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.label import Label
from schemas.recordings.stream import Case, Stream
from schemas.transaction import Transaction

T0 = 1_522_540_800_000


def case(number: int, at_ms: int, label_delay_ms: int | None) -> Case:
    transaction = Transaction(
        transaction_id=f"tx-{number}",
        card="card_a",
        merchant="mer_b",
        amount_minor=1,
        currency="EUR",
        event_time_ms=T0 + at_ms,
    )
    if label_delay_ms is None:
        return transaction, None
    label = Label(
        transaction_id=f"tx-{number}",
        card="card_a",
        merchant="mer_b",
        verdict="fraud",
        source="chargeback",
        occurred_at_ms=T0 + at_ms,
        reported_at_ms=T0 + at_ms + label_delay_ms,
    )
    return transaction, label


@st.composite
def case_lists(draw: st.DrawFn) -> list[Case]:
    times = sorted(draw(st.lists(st.integers(0, 40), max_size=30)))
    delays = st.none() | st.integers(0, 30)
    return [case(number, at_ms, draw(delays)) for number, at_ms in enumerate(times)]


@given(case_lists())
def test_events_come_in_order_of_time_and_nothing_is_lost(cases: list[Case]) -> None:
    stream = Stream(cases)
    events = list(stream)
    times = [time_ms for time_ms, _ in events]
    assert times == sorted(times)
    assert [event for _, event in events if isinstance(event, Transaction)] == [paid for paid, _ in cases]
    labels = [event for _, event in events if isinstance(event, Label)]
    assert len(labels) + stream.labels_pending == sum(label is not None for _, label in cases)
    assert len({label.transaction_id for label in labels}) == len(labels)


@given(case_lists())
def test_a_label_comes_at_its_time_where_the_stream_first_reaches_it(cases: list[Case]) -> None:
    events = list(Stream(cases))
    for index, (time_ms, event) in enumerate(events):
        if isinstance(event, Label):
            assert time_ms == event.reported_at_ms
            earlier = [other for _, other in events[:index] if isinstance(other, Transaction)]
            assert any(paid.transaction_id == event.transaction_id for paid in earlier)
            assert all(paid.event_time_ms <= event.reported_at_ms for paid in earlier)
            assert max(paid.event_time_ms for paid, _ in cases) >= event.reported_at_ms


@given(case_lists())
def test_labels_come_before_later_transactions_of_the_same_time(cases: list[Case]) -> None:
    events = list(Stream(cases))
    given_at = {
        event.transaction_id: index for index, (_, event) in enumerate(events) if isinstance(event, Transaction)
    }
    for index, (time_ms, event) in enumerate(events):
        if isinstance(event, Label):
            same_time = [
                n
                for n, (at_ms, other) in enumerate(events[:index])
                if at_ms == time_ms and isinstance(other, Transaction)
            ]
            assert all(n <= given_at[event.transaction_id] for n in same_time)


@given(case_lists())
def test_to_the_end_leaves_no_label(cases: list[Case]) -> None:
    stream = Stream(cases, labels_to_the_end=True)
    labels = [event for _, event in stream if isinstance(event, Label)]
    assert stream.labels_pending == 0
    assert len(labels) == sum(label is not None for _, label in cases)
    assert list(Stream(cases)) == list(Stream(cases, labels_to_the_end=True))[: len(list(Stream(cases)))]
