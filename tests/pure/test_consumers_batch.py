"""A batch: when it is due, what it accounts for, and that a table stored is not stored again."""

from hypothesis import given
from hypothesis import strategies as st

from consumers.batch import Batch, Limits
from consumers.rows import SINKS, Record

RECORDS = st.lists(
    st.tuples(
        st.sampled_from(SINKS),
        st.integers(0, 3),  # partition
        st.binary(max_size=30),
        st.booleans(),  # it has a row
        st.integers(0, 50),  # time since the one before
    ),
    max_size=60,
)


@given(records=RECORDS, rows=st.integers(1, 20), size=st.integers(1, 200), age=st.integers(1, 200))
def test_nothing_is_lost_and_nothing_waits_over_a_limit(records: list, rows: int, size: int, age: int) -> None:  # type: ignore[type-arg]
    batch = Batch(Limits(rows=rows, bytes=size, age_ms=age))
    now_ms, flushed, expected = 0, 0, 0
    committed: dict[tuple[str, int], int] = {}
    offsets: dict[tuple[str, int], int] = {}
    first_ms = None
    for sink, partition, value, has_row, passed_ms in records:
        now_ms += passed_ms
        if batch.due(now_ms):
            while (table := batch.next_table()) is not None:
                columns = batch.columns(table)
                assert len({len(values) for values in columns.values()}) == 1
                flushed += batch.stored(table)
            committed |= batch.positions
            batch.clear()
            first_ms = None
        offset = offsets[sink.topic.name, partition] = offsets.get((sink.topic.name, partition), -1) + 1
        row = tuple(sink.columns) if has_row else None
        batch.take(Record(sink.topic.name, partition, offset, 0, None, value), sink, row, now_ms=now_ms)
        first_ms = now_ms if first_ms is None else first_ms
        expected += has_row
        assert batch.records <= rows
        assert batch.due(first_ms + age)
        assert batch.due(now_ms) == (batch.records == rows or batch.bytes >= size or now_ms - first_ms >= age)
    held = sum(len(kept) for kept in batch.rows.values())
    assert flushed + held == expected
    assert committed | batch.positions == {place: offset + 1 for place, offset in offsets.items()}


def test_an_empty_batch_is_never_due() -> None:
    batch = Batch(Limits(rows=1, bytes=0, age_ms=0))
    assert not batch.due(10**15)
    batch.take(Record("t", 0, 0, 0, None, None), SINKS[0], None, now_ms=10**15)
    assert batch.due(10**15)
    batch.clear()
    assert not batch.due(10**16)
    assert batch == Batch(batch.limits)


def test_a_stored_table_is_not_stored_again_when_another_fails() -> None:
    batch = Batch()
    for offset, sink in enumerate(SINKS[:2]):
        batch.take(Record(sink.topic.name, 0, offset, 0, None, b""), sink, tuple(sink.columns), now_ms=0)
    first = batch.next_table()
    assert first == "predictions"
    assert batch.stored(first) == 1
    assert batch.next_table() == "decisions"
    assert len(batch.positions) == 2
