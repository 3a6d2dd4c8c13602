"""Fetching beside seeking: what was fetched before a seek must never reach a task after it."""

import asyncio
from types import SimpleNamespace
from typing import Any

from faust.transport.consumer import Fetcher
from faust.types import TP

from streams.kafka_consumer import POLL_RECORDS_MAX, Consumer, ConsumerThread, Fetched

TOPIC = "payments.transactions.v1"
POSITION, READ_TO = 10, 50
"""Where the tasks' logs stand, and how far their records had been read when the commits failed."""


class _Thread:
    """The consumer thread: one call at a time, in the order in which they were made."""

    def __init__(self) -> None:
        self.cursors = {TP(TOPIC, number): READ_TO for number in (0, 1)}
        self._epoch = 0
        self._lock = asyncio.Lock()

    async def seek_all(self, positions: dict[TP, int]) -> int:
        async with self._lock:
            await asyncio.sleep(0.01)
            self.cursors.update(positions)
            self._epoch += 1
            return self._epoch

    async def fetch(self, _active: set[TP]) -> Fetched:
        async with self._lock:
            epoch = self._epoch
            await asyncio.sleep(0.01)
            records = {}
            for tp, offset in self.cursors.items():
                record = SimpleNamespace(
                    partition=tp.partition, offset=offset, timestamp=0, key=b"", value=b"", headers=()
                )
                records[tp] = [record]
            self.cursors = {tp: offset + 1 for tp, offset in self.cursors.items()}
            return Fetched(records, {}, {}, epoch)


class _Tasks:
    """Two tasks, and what they were fed since they were opened anew."""

    def __init__(self) -> None:
        self.next = {0: READ_TO, 1: READ_TO}
        self.fed: dict[int, list[int]] = {0: [], 1: []}
        self.reseek: Any = None

    def next_to_put(self, _topic: str, number: int) -> int:
        return self.next[number]

    def put(self, _topic: str, number: int, records: Any, _received_at_ms: int) -> bool:
        for record in records:
            self.fed[number].append(record.offset)
            self.next[number] = record.offset + 1
        return False

    def may_resume(self, _topic: str, _number: int) -> bool:
        return True


class _Host(Consumer):
    """The production consumer, with its seeks and its loop, on a thread and tasks of the test."""

    should_stop = False
    flow_active = True
    consumer_stopped_errors = ()

    def __init__(self, tasks: _Tasks) -> None:
        self._thread: Any = _Thread()
        self._seeking = asyncio.Lock()
        self.app = SimpleNamespace(tasks=tasks, topic_prefix="", should_stop=False)

    def assignment(self) -> set[TP]:
        return set(self._thread.cursors)

    def _get_active_partitions(self) -> set[TP]:
        return self.assignment()


async def _reopened(pause_s: float) -> dict[int, list[int]]:
    tasks = _Tasks()
    host, fetcher = _Host(tasks), SimpleNamespace(should_stop=False)

    async def reopen(number: int) -> None:
        tasks.next[number] = POSITION
        await host.reseek({(TOPIC, number): POSITION})

    first = asyncio.create_task(reopen(0))
    drain = asyncio.create_task(host._drain_messages(fetcher))
    await asyncio.sleep(pause_s)
    await asyncio.gather(first, reopen(1))
    await asyncio.sleep(0.05)
    fetcher.should_stop = True
    await drain
    return tasks.fed


def test_task_opened_anew_is_fed_from_its_position() -> None:
    """Law: when one task is opened anew, it reads from its position, and the other goes on where it was."""
    fed = asyncio.run(_reopened(pause_s=0.05))
    assert fed[0][0] == POSITION


def test_two_tasks_opened_anew_at_once_are_fed_from_their_positions() -> None:
    """Law: when two tasks are opened anew at the same time, neither is fed anything beyond its position first.

    What is fed first is committed first: the records between would never be processed.
    """
    fed = asyncio.run(_reopened(pause_s=0.005))
    assert (fed[0][0], fed[1][0]) == (POSITION, POSITION)


async def _stopped_in_a_rebalance() -> BaseException | None:
    host = _Host(_Tasks())
    host.app.rebalancing, host.app.consumer = True, host
    fetcher = Fetcher(host.app)
    await fetcher.start()
    await asyncio.sleep(0.01)
    await fetcher.stop()
    crashed: BaseException | None = fetcher.crash_reason
    return crashed


def test_worker_that_is_stopped_during_a_rebalance_has_not_crashed() -> None:
    """Law: Faust's fetcher ends in order when it is stopped while the group rebalances."""
    assert asyncio.run(_stopped_in_a_rebalance()) is None


def test_poll_that_waits_across_a_seek_brings_records_from_behind_it() -> None:
    """Law: what a poll returns is counted to the seeks before its return, not to those before its call.

    Its records are then the first behind the seek: were they dropped as older, nobody would read them again.
    """
    thread = ConsumerThread.__new__(ConsumerThread)
    thread._epoch = 1

    async def records_after_a_seek(*_: Any, **__: Any) -> dict[TP, list[str]]:
        thread._epoch = 2
        return {TP(TOPIC, 0): ["first behind the seek"]}

    thread._fetch_records = records_after_a_seek
    thread._ensure_consumer = lambda: SimpleNamespace(_subscription=SimpleNamespace(subscription=None))
    fetched = asyncio.run(thread._fetch(set()))
    assert (fetched.epoch, list(fetched.records)) == (2, [TP(TOPIC, 0)])


def _polled(*, reassigned: bool) -> list[TP]:
    """Return the partitions of one poll, where aiokafka holds three polls of one partition and a record of another."""
    backlog, other = TP(TOPIC, 0), TP("fraud.profiled.v1", 0)
    held = {backlog: ["a payment"] * 3 * POLL_RECORDS_MAX, other: ["a profiled payment"]}
    thread = ConsumerThread.__new__(ConsumerThread)

    async def in_order_of_arrival(_: Any, active: set[TP], *, max_records: int, **__: Any) -> dict[TP, list[str]]:
        taken: dict[TP, list[str]] = {}
        for tp in [tp for tp in held if tp in active]:
            left = max_records - sum(map(len, taken.values()))
            taken |= {tp: held[tp][:left]} if left else {}
        return taken

    thread._fetch_records = in_order_of_arrival
    subscription = SimpleNamespace(subscription=None, reassignment_in_progress=reassigned)
    thread._ensure_consumer = lambda: SimpleNamespace(_subscription=subscription)
    return list(asyncio.run(thread._fetch({backlog, other})).records)


def test_poll_brings_records_of_every_partition_beside_a_backlog() -> None:
    """Law: one topic's backlog does not keep back what has arrived of another: both hops run beside each other."""
    assert _polled(reassigned=False) == [TP(TOPIC, 0), TP("fraud.profiled.v1", 0)]


def test_poll_takes_nothing_more_once_partitions_are_reassigned() -> None:
    """Law: a poll never waits between its records: a seek could come between, and they would be of two epochs."""
    assert _polled(reassigned=True) == [TP(TOPIC, 0)]
