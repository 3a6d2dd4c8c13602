"""The queue of waiting labels: taken from the front alone, in order, neither spinning nor held up by the few."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from consumers.rows import Record
from consumers.waiting import BACKOFF_MS_MAX, Limits, Queue, Waiting, positions, waiting_of
from schemas.codec import encode
from tests.pure.label_log import AT_MS, label

NOW_MS = AT_MS + 10**9


def waiting(partition: int, offset: int, *, not_before_ms: int = 0, reported: int = 0, arrived_ms: int = 0) -> Waiting:
    value = encode(label(offset, reported_at_ms=AT_MS + 10**8 + reported))
    headers = (("not_before_ms", str(not_before_ms).encode()),) if not_before_ms else ()
    record = Record("fraud.labels-waiting.v1", partition, offset, 0, b"card", value, headers)
    return waiting_of(record, now_ms=arrived_ms)


WAITING = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 100_000), st.integers(0, 50), st.booleans()), max_size=40
)


@given(drawn=WAITING, batch=st.integers(1, 20), now_ms=st.integers(NOW_MS, NOW_MS + 100_000))
def test_what_is_taken_is_the_front_of_each_partition_in_order(
    drawn: list[tuple[int, int, int, bool]], batch: int, now_ms: int
) -> None:
    """Law: a batch is a prefix of every partition that it takes from, sorted by report; what is done is gone."""
    queue = Queue(Limits(batch=batch, held=100, age_ms=0))
    for offset, (partition, later_ms, reported, fresh) in enumerate(drawn):
        not_before_ms = 0 if fresh else NOW_MS + later_ms
        queue.put(waiting(partition, offset, not_before_ms=not_before_ms, reported=reported, arrived_ms=NOW_MS))
    before = {partition: list(held) for partition, held in queue.held.items()}
    taken = queue.take(now_ms)
    assert len(taken) <= batch
    assert [each.order for each in taken] == sorted(each.order for each in taken)
    for partition, held in before.items():
        of_it = sorted((each for each in taken if each.record.partition == partition), key=lambda e: e.record.offset)
        assert of_it == held[: len(of_it)]
        may_go = held[0].is_due(now_ms) or 2 * sum(each.is_due(now_ms) for each in held) >= len(held)
        assert may_go or not of_it
    queue.done(positions(taken))
    assert len(queue) + len(taken) == sum(map(len, before.values()))
    assert sorted(each.record.offset for each in (*taken, *queue.everything())) == list(range(len(drawn)))


def test_few_labels_wait_a_second_for_company_and_many_go_at_once() -> None:
    queue = Queue(Limits(batch=3, held=100, age_ms=1_000))
    queue.put(waiting(0, 0, arrived_ms=NOW_MS))
    queue.put(waiting(0, 1, arrived_ms=NOW_MS + 500))
    assert queue.take(NOW_MS + 999) == []
    assert len(queue.take(NOW_MS + 1_000)) == 2
    queue.put(waiting(0, 2, arrived_ms=NOW_MS + 600))
    assert len(queue.take(NOW_MS + 700)) == 3
    assert len(queue.take(NOW_MS - 5_000)) == 3, "a clock that was set back holds up nothing"


def test_a_backlog_waits_for_every_partition_that_has_more() -> None:
    """Law: of partitions read at different speeds none is joined far ahead of the others."""
    queue = Queue(Limits(batch=2, held=100, age_ms=1_000, patience_ms=30_000))
    for offset in range(4):
        queue.put(waiting(0, offset, arrived_ms=NOW_MS, reported=offset))
    assert queue.take(NOW_MS, behind={0, 1}) == []
    queue.put(waiting(1, 0, arrived_ms=NOW_MS, reported=0))
    assert queue.take(NOW_MS, behind={0, 1}) == [], "the next of partition 1 may be earlier than what is held of 0"
    queue.put(waiting(1, 1, arrived_ms=NOW_MS, reported=9))
    assert [(each.record.partition, each.record.offset) for each in queue.take(NOW_MS, behind={0, 1})] == [
        (0, 0),
        (1, 0),
    ]
    assert queue.take(NOW_MS + 999, behind={0, 1, 2}) == []
    assert len(queue.take(NOW_MS + 1_000, behind={0, 1, 2})) == 2, "but not for ever"
    queue.put(waiting(1, 2, arrived_ms=NOW_MS + 29_900, reported=10))
    assert queue.take(NOW_MS + 29_999, behind={0, 1, 2}) == []
    assert len(queue.take(NOW_MS + 30_000, behind={0, 1, 2})) == 2, "nor while others come"


def test_partitions_share_what_may_be_held() -> None:
    queue = Queue(Limits(held=8))
    for offset in range(4):
        queue.put(waiting(0, offset))
    queue.put(waiting(1, 0))
    assert queue.full(2) == {0}
    assert queue.full(1) == frozenset()
    assert queue.full(100) == {0, 1}
    queue.clear()
    assert (len(queue), queue.full(2), queue.take(NOW_MS)) == (0, frozenset(), [])


def test_back_offs_double_from_a_second_to_a_minute_and_remember_when_it_began() -> None:
    seen, now_ms, delays = waiting(0, 0, arrived_ms=NOW_MS), NOW_MS, []
    for _ in range(9):
        record = Record("t", 0, 0, 0, b"card", seen.record.value, (*seen.next_headers(now_ms), ("traceparent", b"00")))
        seen = waiting_of(record, now_ms=now_ms + 5)
        delays.append(seen.not_before_ms - now_ms)
        assert seen.first_seen_ms == NOW_MS
        assert not seen.is_due(seen.not_before_ms - 1)
        assert seen.is_due(seen.not_before_ms)
        now_ms = seen.not_before_ms
    assert delays == [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]
    assert seen.attempt == 9
    assert ("traceparent", b"00") in seen.next_headers(now_ms)


@given(headers=st.dictionaries(st.sampled_from(["attempt", "not_before_ms", "first_seen_ms"]), st.binary(max_size=30)))
def test_headers_that_are_none_are_those_of_a_label_seen_first(headers: dict[str, bytes]) -> None:
    """Law: whatever stands in the headers, the label is read, and waits no longer than the longest back-off."""
    record = Record("t", 0, 0, 0, b"card", encode(label(0)), tuple(headers.items()))
    read = waiting_of(record, now_ms=NOW_MS)
    assert read.label == label(0)
    times = itertools.accumulate([NOW_MS, BACKOFF_MS_MAX])
    assert any(read.is_due(now_ms) for now_ms in times)
    assert len(dict(read.next_headers(NOW_MS))) == 3
