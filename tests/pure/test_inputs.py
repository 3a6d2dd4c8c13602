"""The order in which waiting records are taken: by event time, topics waiting for one another, refusals first."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.transaction import Transaction
from streams.detector.stage import Event, Record, Refusal
from streams.inputs import Inputs, MayRun

LABELS, PAYMENTS = "labels", "payments"
MESSAGE = Transaction(
    transaction_id="tx-1",
    card="card_a",
    merchant="mer_b",
    amount_minor=1,
    currency="EUR",
    event_time_ms=1_600_000_000_000,
)


def _event(topic: str, offset: int, time_ms: int) -> Event:
    return Event(Record(topic, 0, offset, 0, b"card_a", b"{}"), MESSAGE, time_ms)


def _refusal(topic: str, offset: int) -> Refusal:
    return Refusal(Record(topic, 0, offset, 0, None, b""), "not_json", "")


def _taken(inputs: Inputs, records_max: int = 100, may_run: MayRun = lambda *_: True) -> list[tuple[str, int]]:
    return [(event.record.topic, event.record.offset) for event in inputs.take(records_max, may_run)]


def _inputs(*events: Event | Refusal, received_at_ms: int = 10) -> Inputs:
    inputs = Inputs([LABELS, PAYMENTS])
    for event in events:
        inputs.put(event, received_at_ms)
    return inputs


def test_smallest_event_time_first() -> None:
    """Law: the record with the smallest event time goes first, whatever came first."""
    inputs = _inputs(_event(PAYMENTS, 0, 100), _event(PAYMENTS, 1, 300), _event(LABELS, 0, 200), _event(LABELS, 1, 400))
    inputs.read_to_end(LABELS, 10)
    inputs.read_to_end(PAYMENTS, 10)
    assert _taken(inputs) == [(PAYMENTS, 0), (LABELS, 0), (PAYMENTS, 1), (LABELS, 1)]


def test_tie_goes_to_the_first_topic() -> None:
    """Law: at the same millisecond the topic named first goes first, so a label counts for its own millisecond."""
    inputs = _inputs(_event(PAYMENTS, 0, 100), _event(LABELS, 0, 100))
    inputs.read_to_end(LABELS, 10)
    assert _taken(inputs) == [(LABELS, 0), (PAYMENTS, 0)]


def test_waits_for_a_topic_that_may_hold_something_older() -> None:
    """Law (KIP-695): nothing goes while another topic is empty and was not read to its end since the receipt."""
    inputs = _inputs(_event(PAYMENTS, 0, 100))
    assert _taken(inputs) == []
    inputs.read_to_end(LABELS, 9)
    assert _taken(inputs) == []
    inputs.read_to_end(LABELS, 10)
    assert _taken(inputs) == [(PAYMENTS, 0)]


def test_a_record_that_arrives_in_time_goes_first() -> None:
    """Law: what the wait was for is taken in its place."""
    inputs = _inputs(_event(PAYMENTS, 0, 100))
    assert _taken(inputs) == []
    inputs.put(_event(LABELS, 0, 50), 11)
    assert _taken(inputs) == [(LABELS, 0)]
    inputs.read_to_end(LABELS, 12)
    assert _taken(inputs) == [(PAYMENTS, 0)]


def test_one_topic_waits_for_nobody() -> None:
    """Law: a task with one input takes its records as they come."""
    inputs = Inputs([PAYMENTS])
    inputs.put(_event(PAYMENTS, 0, 300), 10)
    inputs.put(_event(PAYMENTS, 1, 100), 10)
    assert _taken(inputs) == [(PAYMENTS, 0), (PAYMENTS, 1)]


def test_refusals_wait_for_nobody() -> None:
    """Law: a refused record at the head of its topic goes before all others, and when nothing else may."""
    inputs = _inputs(_refusal(PAYMENTS, 0), _event(PAYMENTS, 1, 100))
    assert _taken(inputs, may_run=lambda *_: False) == [(PAYMENTS, 0)]
    inputs = _inputs(_event(LABELS, 0, 100), _event(PAYMENTS, 0, 50), _refusal(PAYMENTS, 1))
    inputs.read_to_end(LABELS, 10)
    inputs.read_to_end(PAYMENTS, 10)
    assert _taken(inputs) == [(PAYMENTS, 0), (PAYMENTS, 1), (LABELS, 0)]


def test_may_run_is_asked_with_both_times_and_stops_the_batch() -> None:
    """Law: the first record that may not run ends the batch, and stays."""
    inputs = _inputs(_event(LABELS, 0, 100), _event(PAYMENTS, 0, 200))
    inputs.read_to_end(LABELS, 10)
    asked: list[tuple[int, int]] = []

    def may_run(time_ms: int, received_at_ms: int) -> bool:
        asked.append((time_ms, received_at_ms))
        return time_ms < 200

    assert _taken(inputs, may_run=may_run) == [(LABELS, 0)]
    assert asked == [(100, 10), (200, 10)]
    assert (len(inputs), inputs.waiting(PAYMENTS), inputs.waiting(LABELS), inputs.head_ms) == (1, 1, 0, 200)


def test_caught_up_only_when_nothing_waits_and_all_was_read() -> None:
    """Law: a task is caught up since the earliest of its topics' ends, and never while something waits."""
    inputs = Inputs([LABELS, PAYMENTS])
    assert (inputs.caught_up_at_ms, inputs.head_ms) == (None, None)
    inputs.read_to_end(LABELS, 20)
    assert inputs.caught_up_at_ms is None
    inputs.read_to_end(PAYMENTS, 10)
    assert inputs.caught_up_at_ms == 10
    inputs.put(_refusal(PAYMENTS, 0), 30)
    assert inputs.caught_up_at_ms is None


def test_clear_forgets_the_ends_too() -> None:
    """Law: after a seek nothing that was known of the topics holds."""
    inputs = _inputs(_event(PAYMENTS, 0, 100))
    inputs.read_to_end(LABELS, 10)
    inputs.clear()
    assert (len(inputs), inputs.caught_up_at_ms) == (0, None)
    inputs.put(_event(PAYMENTS, 0, 100), 10)
    assert _taken(inputs) == []


_times = st.lists(st.integers(1, 20), max_size=20)


@given(_times, _times, st.integers(1, 7), st.booleans())
def test_merge(labels_ms: list[int], payments_ms: list[int], records_max: int, in_order: bool) -> None:
    """Law: each topic keeps its own order; where both are in time order, the batches together are the sorted merge.

    Nothing is lost or repeated, whatever the size of the batches.
    """
    if in_order:
        labels_ms, payments_ms = sorted(labels_ms), sorted(payments_ms)
    labels = [_event(LABELS, offset, time_ms) for offset, time_ms in enumerate(labels_ms)]
    payments = [_event(PAYMENTS, offset, time_ms) for offset, time_ms in enumerate(payments_ms)]
    inputs = _inputs(*payments, *labels)
    inputs.read_to_end(LABELS, 10)
    inputs.read_to_end(PAYMENTS, 10)
    taken: list[Event | Refusal] = []
    while batch := inputs.take(records_max, lambda *_: True):
        assert len(batch) <= records_max
        taken += batch
    assert [event for event in taken if event.record.topic == LABELS] == labels
    assert [event for event in taken if event.record.topic == PAYMENTS] == payments
    if in_order:
        assert taken == sorted([*labels, *payments], key=lambda event: event.event_time_ms)
