"""How far card tasks may run apart, and that they never wait for one another in a circle."""

from hypothesis import given
from hypothesis import strategies as st

from streams.alignment import GRACE_MS, Alignment

AHEAD_MS = 60_000
NOW_MS = 1_700_000_000_000
BACKLOG_MS = 1_600_000_000_000


def _alignment(*watermarks_ms: int) -> Alignment:
    alignment = Alignment(range(len(watermarks_ms)), AHEAD_MS)
    for partition, watermark_ms in enumerate(watermarks_ms):
        alignment.note(partition, watermark_ms=watermark_ms, caught_up_at_ms=None)
    return alignment


def _may_run(alignment: Alignment, partition: int, event_time_ms: int, received_at_ms: int = NOW_MS) -> bool:
    return alignment.may_run(partition, event_time_ms, received_at_ms, NOW_MS)


def test_bound_is_exact() -> None:
    """Law: a task may run up to `ahead_ms_max` ahead of the slowest, and not a millisecond further."""
    alignment = _alignment(BACKLOG_MS, BACKLOG_MS + 10)
    assert _may_run(alignment, 1, BACKLOG_MS + AHEAD_MS)
    assert not _may_run(alignment, 1, BACKLOG_MS + AHEAD_MS + 1)


def test_own_watermark_holds_nobody_back() -> None:
    """Law: a single task runs as it likes, however long the quiet in its events."""
    assert _may_run(_alignment(0), 0, BACKLOG_MS)


def test_caught_up_task_holds_nobody_back() -> None:
    """Law: a task with nothing to read counts only until it has been read to its end after the record's receipt."""
    alignment = _alignment(BACKLOG_MS, BACKLOG_MS)
    alignment.note(0, watermark_ms=BACKLOG_MS, caught_up_at_ms=NOW_MS + GRACE_MS - 1)
    assert not _may_run(alignment, 1, BACKLOG_MS + AHEAD_MS + 1)
    alignment.note(0, watermark_ms=BACKLOG_MS, caught_up_at_ms=NOW_MS + GRACE_MS)
    assert _may_run(alignment, 1, BACKLOG_MS + AHEAD_MS + 1)


def test_live_event_does_not_wait_for_a_silent_worker() -> None:
    """Law: an event of the last minute goes on although a task that was caught up long ago says nothing more."""
    alignment = _alignment(BACKLOG_MS, BACKLOG_MS)
    alignment.note(0, watermark_ms=BACKLOG_MS, caught_up_at_ms=1)
    assert _may_run(alignment, 1, NOW_MS - AHEAD_MS)
    assert not _may_run(alignment, 1, NOW_MS - AHEAD_MS - 1)


def test_live_event_waits_for_a_backlog() -> None:
    """Law: a task that has something to read holds back even what is live."""
    assert not _may_run(_alignment(BACKLOG_MS, NOW_MS), 1, NOW_MS)


def test_old_word_does_no_harm() -> None:
    """Law: a watermark never falls, whatever order words arrive in; words of unknown tasks are kept too."""
    alignment = _alignment(500, 0)
    alignment.note(0, watermark_ms=300, caught_up_at_ms=None)
    alignment.note(7, watermark_ms=100, caught_up_at_ms=9)
    assert (alignment.known(0), alignment.known(7)) == ((500, None), (100, 9))


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), min_size=1, max_size=8))
def test_no_circle(tasks: list[tuple[int, int]]) -> None:
    """Law: of tasks that tell the time of the record that waits first, the one with the earliest record may run.

    Were only what is done told, a quiet minute in every partition at once would stop them all for ever.
    """
    heads_ms = [BACKLOG_MS + head_ms for _, head_ms in tasks]
    alignment = Alignment(range(len(tasks)), AHEAD_MS)
    for partition, (done_ms, _) in enumerate(tasks):
        told_ms = max(BACKLOG_MS - done_ms, heads_ms[partition])
        alignment.note(partition, watermark_ms=told_ms, caught_up_at_ms=None)
    assert _may_run(alignment, heads_ms.index(min(heads_ms)), min(heads_ms))
