"""How far a card task may run ahead of the others in event time. Pure.

On a backlog every card task reads at its own speed, and without a bound the merchant stage would see a day of one card
partition before an hour of another: windows would be exact, but over events far out of order. So no task runs more than
`ahead_ms_max` ahead of the slowest that still has something to read (watermark alignment, FLIP-182). A task that has
nothing to read holds nobody back. Nothing but order depends on this.
"""

GRACE_MS = 50
"""How long after a record's receipt another partition must have been read to its end to count as empty: a sender's
batches for two partitions arrive a few milliseconds apart."""


class Alignment:
    """What is known of every card task.

    >>> alignment = Alignment([0, 1], ahead_ms_max=60_000)
    >>> alignment.note(0, watermark_ms=1_000_000, caught_up_at_ms=None)
    >>> alignment.note(1, watermark_ms=1_090_000, caught_up_at_ms=None)
    >>> [alignment.may_run(task, 1_090_000, received_at_ms=0, now_ms=9_000_000) for task in (0, 1)]
    [True, False]
    """

    def __init__(self, partitions: "range | list[int]", ahead_ms_max: int) -> None:
        self._watermarks_ms = dict.fromkeys(partitions, 0)
        self._caught_up_at_ms: dict[int, int | None] = dict.fromkeys(partitions)
        self._ahead_ms_max = ahead_ms_max

    def note(self, partition: int, *, watermark_ms: int, caught_up_at_ms: int | None) -> None:
        """Take word of a task. Its watermark only grows, so an old word does no harm."""
        self._watermarks_ms[partition] = max(self._watermarks_ms.get(partition, 0), watermark_ms)
        self._caught_up_at_ms[partition] = caught_up_at_ms

    def known(self, partition: int) -> tuple[int, int | None]:
        """Return what is known of a task: its watermark, and when it was caught up if it is."""
        return self._watermarks_ms[partition], self._caught_up_at_ms[partition]

    def may_run(self, partition: int, event_time_ms: int, received_at_ms: int, now_ms: int) -> bool:
        """Return whether a task may process a record of this event time.

        An event of the last `ahead_ms_max` is no backlog: it need not wait for a task that was caught up when it was
        last heard of, even if its worker is gone and cannot say so again.
        """
        is_live = event_time_ms >= now_ms - self._ahead_ms_max
        floor_ms = event_time_ms - self._ahead_ms_max
        for other, watermark_ms in self._watermarks_ms.items():
            if watermark_ms >= floor_ms or other == partition:
                continue
            caught_up_at_ms = self._caught_up_at_ms[other]
            if caught_up_at_ms is None or (caught_up_at_ms < received_at_ms + GRACE_MS and not is_live):
                return False
        return True
