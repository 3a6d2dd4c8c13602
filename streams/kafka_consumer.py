"""Faust's consumer, made to feed tasks: it reads committed records only and starts where the tasks' logs say.

Faust keeps the group membership, the assignment, the fetching and the supervision. What is replaced, and why:

- `perform_seek` opens the tasks and seeks to *their* positions; the group's offsets are never read.
- `_drain_messages` hands records to the tasks directly. Faust's own loop makes two asyncio tasks a message.
- `force_commit` writes the tasks' committed positions to the group, for the display of lag only.
- the aiokafka consumer is `read_committed`, waits briefly for a fetch, and assigns by range, so that one worker owns
  partition p of every topic of a stage.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

import aiokafka
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from streams.detector.stage import Record
from streams.tasks import Tasks, now_ms, stop_process

logger = logging.getLogger(__name__)

FETCH_WAIT_MS = 50
POLL_RECORDS_MAX = 200
"""Of one poll; on a backlog of each partition, so that none waits until what arrived before it is used up."""
POLL_TIMEOUT_S = 0.05
REQUEST_TIMEOUT_MS_MIN = 40_000
"""Of one request. A group that rebalances answers a member no sooner than it has heard from the others."""
POLL_INTERVAL_S = 0.005


class Fetched(NamedTuple):
    """What one poll gave.

    `records` by partition; `received_at_ms`, when the broker answered for a partition; `ends`, for every partition that
    was read to its end, the time of that answer and the end.

    `epoch` counts the seeks before it: what was fetched before a seek must not be processed after it.
    """

    records: Mapping[Any, list[Any]]
    received_at_ms: dict[Any, int]
    ends: dict[Any, tuple[int, int]]
    epoch: int


class ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """The thread that talks to the broker."""

    _epoch = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._seeking = asyncio.Lock()

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        conf = self.app.conf
        self._assignor = RangePartitionAssignor
        return aiokafka.AIOKafkaConsumer(
            client_id=conf.broker_client_id,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            bootstrap_servers=driver.server_list(transport.url, transport.default_port),
            partition_assignment_strategy=[RangePartitionAssignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=POLL_RECORDS_MAX,
            max_poll_interval_ms=int(conf.broker_max_poll_interval * 1000),
            max_partition_fetch_bytes=1024 * 1024,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            request_timeout_ms=max(REQUEST_TIMEOUT_MS_MIN, int(2000 * conf.broker_session_timeout)),
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            isolation_level="read_committed",
            metadata_max_age_ms=conf.consumer_metadata_max_age_ms,
            connections_max_idle_ms=conf.consumer_connections_max_idle_ms,
            **driver.credentials_to_aiokafka_auth(conf.broker_credentials, conf.ssl_context),
        )

    async def on_thread_stop(self) -> None:
        """Leave the group, so that others take over at once, unless partitions are to wait for this worker's return."""
        if self._consumer is not None and self.app.leaves_on_stop:
            # aiokafka lets a member that has a name of its own go without a word, and the group waits for it.
            self._consumer._coordinator._group_instance_id = None  # noqa: SLF001
        await super().on_thread_stop()

    async def fetch(self, active: set[TP]) -> Fetched:
        """Return what has arrived, after at most 50 ms."""
        fetched: Fetched = await self.call_thread(self._fetch, active)
        return fetched

    async def _fetch(self, active: set[TP]) -> Fetched:
        consumer = self._ensure_consumer()
        records = await self._fetch_records(consumer, active, timeout=POLL_TIMEOUT_S, max_records=POLL_RECORDS_MAX)
        if sum(map(len, records.values())) >= POLL_RECORDS_MAX:
            records = {**records, **await self._fetch_others(consumer, active - records.keys())}
        assignment = consumer._subscription.subscription  # noqa: SLF001 - the end of a partition has no public name
        received_at_ms, ends = {}, {}
        if assignment is not None and assignment.assignment is not None:
            for tp in assignment.assignment.tps:
                partition = assignment.assignment.state_value(tp)
                answered_at_ms = partition.timestamp or 0
                received_at_ms[tp] = answered_at_ms
                if partition.lso is not None and partition.has_valid_position and partition.position >= partition.lso:
                    ends[tp] = (answered_at_ms, partition.position)
        # The epoch of now, not of the call's beginning: a seek may have come while it waited, and these records would
        # then be the first behind it. To drop them would lose them.
        return Fetched(records or {}, received_at_ms, ends, self._epoch)

    async def _fetch_others(self, consumer: aiokafka.AIOKafkaConsumer, active: set[TP]) -> dict[Any, list[Any]]:
        """Return what has arrived of these partitions, of each by itself, without waiting.

        aiokafka gives what arrived first until it is used up. A backlog of one topic would be read to its end before
        the other topics' turn, and one hop would stand still while the other runs.
        """
        others: dict[Any, list[Any]] = {}
        for tp in active:
            # To wait here would let a seek come between records of one answer.
            if consumer._subscription.reassignment_in_progress:  # noqa: SLF001 - it has no public name
                break
            others.update(await self._fetch_records(consumer, {tp}, timeout=0, max_records=POLL_RECORDS_MAX))
        return others

    async def seek_all(self, positions: Mapping[TP, int | None]) -> int:
        """Seek every partition, None to its beginning; return the epoch of what is fetched from now on.

        Raises
        ------
        LookupError
            A position lies before the oldest record that the broker still has.
        """
        epoch: int = await self.call_thread(self._seek_all, positions)
        return epoch

    async def _seek_all(self, positions: Mapping[TP, int | None]) -> int:
        # Two calls can run here at once, and one that its caller has given up must not end last.
        async with self._seeking:
            consumer = self._ensure_consumer()
            beginnings = await consumer.beginning_offsets(list(positions))
            assigned = consumer.assignment()
            for tp, position in positions.items():
                beginning = beginnings[tp]
                if position is not None and position < beginning:
                    raise LookupError(
                        f"{tp.topic}-{tp.partition}: records {position} to {beginning - 1} were deleted by retention"
                        " before they were processed"
                    )
                if tp in assigned:
                    consumer.seek(tp, beginning if position is None else position)
            self._epoch += 1
            return self._epoch


class Consumer(driver.Consumer):  # type: ignore[misc]
    """The consumer of a worker; `app.tasks` are the tasks it feeds."""

    _thread: ConsumerThread
    _epoch = 0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._seeking = asyncio.Lock()

    @property
    def _hosted(self) -> Tasks:
        tasks: Tasks = self.app.tasks
        return tasks

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def _named(self, pair: tuple[str, int]) -> TP:
        return TP(self.app.topic_prefix + pair[0], pair[1])

    def _plain(self, tp: TP) -> tuple[str, int]:
        return tp.topic.removeprefix(self.app.topic_prefix), tp.partition

    async def perform_seek(self) -> None:
        """Open the assigned tasks and read on from where they are."""
        try:
            positions = await self._hosted.open([self._plain(tp) for tp in self.assignment()])
            await self.reseek(positions)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - a worker that cannot place its tasks must not run
            stop_process(f"{type(error).__name__}: {error}")

    async def reseek(self, positions: Mapping[tuple[str, int], int | None]) -> None:
        """Read these inputs from here on. What was fetched before, of any partition, is dropped and fetched again."""
        # One at a time: the end of one seek must not let through what another still forbids.
        async with self._seeking:
            self._epoch = -1
            current = {
                pair: position
                for pair in map(self._plain, self.assignment())
                if (position := self._hosted.next_to_put(*pair)) is not None
            }
            self._epoch = await self._thread.seek_all(
                {self._named(pair): position for pair, position in {**current, **positions}.items()}
            )

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            await self._hand_over(fetcher)
        except asyncio.CancelledError:
            # Faust takes one that is stopped during a rebalance for one that crashed, and ends the worker with 1.
            if not fetcher.should_stop:
                raise

    async def _hand_over(self, fetcher: Any) -> None:
        tasks = self._hosted
        tasks.reseek = self.reseek
        paused: set[TP] = set()
        while not (self.should_stop or fetcher.should_stop):
            if not self.flow_active:
                await self.wait(self.can_resume_flow)
                continue
            paused = {tp for tp in paused if not tasks.may_resume(*self._plain(tp))}
            active = self._get_active_partitions() - paused
            if not active:
                await asyncio.sleep(POLL_TIMEOUT_S)
                continue
            try:
                fetched = await self._thread.fetch(active)
            except self.consumer_stopped_errors:
                if self.app.should_stop:
                    return
                raise
            # Whoever drops records must seek: these were fetched before a seek, and come again.
            if fetched.epoch != self._epoch:
                continue
            # No await from here on: what was checked must still hold when the last record is handed over.
            for tp, records in fetched.records.items():
                pair = self._plain(tp)
                received = fetched.received_at_ms.get(tp, now_ms())
                if tasks.put(*pair, (_record(pair[0], record) for record in records), received):
                    paused.add(TP(*tp))
            for tp, (at_ms, end) in fetched.ends.items():
                tasks.read_to_end(*self._plain(tp), at_ms, end)
            # aiokafka asks again once its records are taken, and every answer names every partition: a worker that
            # takes each record as it comes spends more on asking than on deciding.
            await asyncio.sleep(POLL_INTERVAL_S)

    async def force_commit(self, *_: Any, **__: Any) -> bool:
        """Tell the group where the tasks are.

        Never during a rebalance: the broker answers such a commit too late for its generation, and aiokafka would join
        anew, which is the next rebalance.
        """
        if not self.flow_active:
            return False
        assigned = self.assignment()
        named = {self._named(pair): position for pair, position in self._hosted.positions().items()}
        offsets = {tp: position for tp, position in named.items() if tp in assigned}
        return bool(offsets and await self._commit(offsets))

    async def wait_empty(self) -> None:
        """Wait for running steps; nothing else is ever in flight."""
        await self._hosted.suspend()

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust would look for events in streams; these go to tasks."""


class Transport(driver.Transport):  # type: ignore[misc]
    """Faust's aiokafka transport with this consumer."""

    Consumer = Consumer


def _record(topic: str, record: Any) -> Record:
    headers = tuple((name, value) for name, value in record.headers or ())
    return Record(topic, record.partition, record.offset, record.timestamp, record.key, record.value, headers)
