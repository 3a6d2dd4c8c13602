"""The tasks of one worker: opened when Kafka assigns their partitions, fed by the consumer, stepped and committed.

Fraud logic runs on the event loop, a batch at a time; only waiting for Kafka happens in threads. A worker that is
fenced, or that cannot open its tasks, ends its process: a new one starts from the logs with nothing to get wrong.
"""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from schemas.learning import Progress
from schemas.settings import Settings
from streams.alignment import Alignment
from streams.detector.card import CardStage
from streams.detector.stage import Event, Record, Refusal, Stage
from streams.exactly_once import TransactionFailedError
from streams.inputs import Inputs
from streams.opening import Opener, sizes_of
from streams.slot import HostedTask, Slot

logger = logging.getLogger(__name__)

WAITING_MAX = 2_000
"""Records of one topic that wait for a task before reading it pauses, and resumes at half."""

Reseek = Callable[[Mapping[tuple[str, int], int | None]], Awaitable[None]]


def now_ms() -> int:
    """Return the wall clock, ms. It orders work; no result depends on it."""
    return time.time_ns() // 1_000_000


class Tasks:
    """All tasks of this worker.

    Parameters
    ----------
    new_task : makes the task of a stage's partition, not open yet; called in a thread.
    """

    def __init__(
        self,
        settings: Settings,
        stages: Iterable[Stage],
        new_task: Callable[[Stage, int], HostedTask],
        alignment: Alignment,
    ) -> None:
        self._settings = settings
        self._stages = tuple(stages)
        self._stage_of_topic = {topic.name: stage for stage in self._stages for topic in stage.inputs}
        self._slots: dict[tuple[str, int], Slot] = {}
        self._pool = ThreadPoolExecutor(
            max_workers=2 * settings.partitions * len(self._stages), thread_name_prefix="task"
        )
        self._opener = Opener(new_task, self._pool)
        self._opening = asyncio.Lock()
        self._stepping = True
        self.alignment = alignment
        self.reseek: Reseek | None = None
        self.ready_to_open: Callable[[], None] = lambda: None

    @property
    def topics(self) -> tuple[str, ...]:
        """The names of all inputs."""
        return tuple(self._stage_of_topic)

    def card_progress(self) -> tuple[dict[int, int], dict[int, int]]:
        """Return, of this worker's card tasks, the watermarks and when those were caught up that are."""
        self.note_card_progress()
        known = {number: self.alignment.known(number) for stage, number in self._slots if stage == CardStage.name}
        return (
            {number: watermark_ms for number, (watermark_ms, _) in known.items()},
            {number: at_ms for number, (_, at_ms) in known.items() if at_ms is not None},
        )

    def hear(self, progress: Progress) -> None:
        """Take another worker's word of its card tasks."""
        for name, watermark_ms in progress.watermarks_ms.items():
            if (CardStage.name, int(name)) not in self._slots:
                caught_up_at_ms = progress.caught_up_at_ms.get(name)
                self.alignment.note(int(name), watermark_ms=watermark_ms, caught_up_at_ms=caught_up_at_ms)
        self.wake_waiting()

    async def open(self, assigned: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int | None]:
        """Open the tasks of these (topic, partition) pairs and close all others; return where to read each from.

        A task that was open before the rebalance keeps its state: had another worker opened it since, the next commit
        would be fenced. None means the beginning.
        """
        async with self._opening:
            self._stepping = False
            assigned = [pair for pair in assigned if pair[0] in self._stage_of_topic]
            wanted = {(self._stage_of_topic[topic].name, partition) for topic, partition in assigned}
            await asyncio.gather(*(slot.idle.wait() for slot in self._slots.values()))
            await asyncio.gather(*(self._close(self._slots.pop(key)) for key in self._slots.keys() - wanted))
            started = time.monotonic()
            # Models and policies first: else every restart would answer a burst by rules alone.
            await asyncio.get_running_loop().run_in_executor(self._pool, self.ready_to_open)
            missing = sorted(wanted - self._slots.keys())
            opened = await self._opener.telling(asyncio.gather(*(self._open_slot(key) for key in missing)))
            if opened:
                sizes = sizes_of(self._slots[key].task for key in sorted(wanted))
                seconds = time.monotonic() - started
                logger.warning("opened %d tasks in %.2f s; %s", len(opened), seconds, sizes or "nothing is remembered")
            for slot in self._slots.values():
                slot.forget_inputs()
            self._stepping = True
            return {
                (topic, partition): self._slots[self._stage_of_topic[topic].name, partition].task.position(topic)
                for topic, partition in assigned
            }

    async def _open_slot(self, key: tuple[str, int]) -> None:
        task = await self._opener.open(self._stage(key), key[1])
        slot = Slot(task, Inputs([topic.name for topic in task.stage.inputs]))
        slot.idle.set()
        slot.loop_task = asyncio.create_task(self._run(key, slot), name=f"{key[0]}-{key[1]}")
        self._slots[key] = slot

    def _stage(self, key: tuple[str, int]) -> Stage:
        return next(stage for stage in self._stages if stage.name == key[0])

    async def _close(self, slot: Slot) -> None:
        if slot.loop_task:
            slot.loop_task.cancel()
        # In a thread: letting go of a producer waits for its threads to end.
        await asyncio.get_running_loop().run_in_executor(self._pool, slot.task.close)

    async def suspend(self) -> None:
        """Wait for running steps and start no other until `open`: partitions are about to be revoked."""
        self._stepping = False
        await asyncio.gather(*(slot.idle.wait() for slot in self._slots.values()))

    def put(self, topic: str, partition: int, records: Iterable[Record], received_at_ms: int) -> bool:
        """Take records of a topic; return whether reading it should pause."""
        slot = self._slots.get((self._stage_of_topic[topic].name, partition))
        if slot is None or not slot.reading:
            return False
        read = slot.task.stage.read
        for record in records:
            slot.inputs.put(read(record), received_at_ms)
            slot.next_to_put[topic] = record.offset + 1
        slot.ready.set()
        return slot.inputs.waiting(topic) > WAITING_MAX

    def next_to_put(self, topic: str, partition: int) -> int | None:
        """Return the offset behind the last record taken by `put`, or the task's position where none was."""
        slot = self._slots.get((self._stage_of_topic[topic].name, partition))
        return slot.next_to_put.get(topic, slot.task.position(topic)) if slot else None

    def read_to_end(self, topic: str, partition: int, at_ms: int, end: int) -> None:
        """Note that a topic had nothing more before its end at a wall-clock time."""
        slot = self._slots.get((self._stage_of_topic[topic].name, partition))
        if slot:
            slot.inputs.read_to_end(topic, at_ms)
            slot.ends[topic] = end
            if len(slot.inputs):
                slot.ready.set()

    def may_resume(self, topic: str, partition: int) -> bool:
        """Return whether so few records wait that a paused topic can be read again."""
        slot = self._slots.get((self._stage_of_topic[topic].name, partition))
        return slot is None or slot.inputs.waiting(topic) <= WAITING_MAX // 2

    def wake_waiting(self) -> None:
        """Let card tasks look again whether they may run: another one has moved."""
        for (stage, _), slot in self._slots.items():
            if stage == CardStage.name and len(slot.inputs):
                slot.ready.set()

    def note_card_progress(self) -> None:
        """Tell the alignment how far this worker's card tasks are."""
        for (stage, partition), slot in self._slots.items():
            if stage == CardStage.name:
                caught_up_at_ms = slot.inputs.caught_up_at_ms if slot.idle.is_set() else None
                self.alignment.note(partition, watermark_ms=slot.watermark_ms, caught_up_at_ms=caught_up_at_ms)

    def positions(self) -> dict[tuple[str, int], int]:
        """Return how far every input is processed, for the display of lag.

        Where nothing waits that is the end of the topic, behind the markers of transactions, which are no records.
        """
        positions = {}
        for (_, partition), slot in self._slots.items():
            for topic in slot.task.stage.inputs if slot.idle.is_set() else ():
                position = slot.task.position(topic.name) or 0
                if not slot.inputs.waiting(topic.name):
                    position = max(position, slot.ends.get(topic.name, 0))
                positions[topic.name, partition] = position
        return positions

    async def _run(self, key: tuple[str, int], slot: Slot) -> None:
        loop = asyncio.get_running_loop()
        stage, partition = key
        interval_s = self._settings.step_interval_ms / 1000
        aligned = stage == CardStage.name
        while True:
            await slot.ready.wait()
            slot.ready.clear()
            if not self._stepping:
                continue
            if aligned:
                self.note_card_progress()
                moment_ms = now_ms()
                batch = slot.inputs.take(
                    self._settings.step_records_max,
                    lambda time_ms, received_ms: self.alignment.may_run(partition, time_ms, received_ms, moment_ms),  # noqa: B023
                )
            else:
                batch = slot.inputs.take(self._settings.step_records_max, lambda *_: True)
            if not batch:
                continue
            started = loop.time()
            slot.stepping_from_ms = max(slot.task.watermark_ms, batch[0].event_time_ms)
            slot.idle.clear()
            try:
                await self._step(key, slot, batch)
            finally:
                slot.idle.set()
            if aligned:
                self.note_card_progress()
                self.wake_waiting()
            if len(slot.inputs):
                slot.ready.set()
            await asyncio.sleep(max(0.0, interval_s - (loop.time() - started)))

    async def _step(self, key: tuple[str, int], slot: Slot, batch: Sequence[Event | Refusal]) -> None:
        stage, partition = key
        started = time.monotonic()
        try:
            try:
                if slot.task.stage.takes_long:
                    await asyncio.get_running_loop().run_in_executor(self._pool, slot.task.step, batch)
                else:
                    slot.task.step(batch)
                await asyncio.get_running_loop().run_in_executor(self._pool, slot.task.commit)
            except TransactionFailedError as error:
                # After so long another worker may have the task: to open it here would fence a healthy owner.
                if time.monotonic() - started > self._settings.session_timeout_ms / 1000:
                    raise
                logger.warning("%s-%d: %s; opening it anew", stage, partition, error)
                await self._reopen(key, slot)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - fenced, or a state that nobody has thought of
            stop_process(f"{stage}-{partition}: {type(error).__name__}: {error}")

    async def _reopen(self, key: tuple[str, int], slot: Slot) -> None:
        # Nothing may be taken until the inputs are sought: a record from further on would be committed first, and those
        # before it would be lost.
        slot.reading = False
        await asyncio.get_running_loop().run_in_executor(self._pool, slot.task.close)
        slot.task = await self._opener.open(self._stage(key), key[1])
        slot.forget_inputs()
        if self.reseek:
            await self.reseek(
                {(topic.name, key[1]): slot.task.position(topic.name) for topic in slot.task.stage.inputs}
            )
        slot.reading = True


def stop_process(reason: str) -> None:
    """End the process at once, with one line that says why: whoever supervises it starts another."""
    logger.critical("stopping: %s", reason)
    logging.shutdown()
    os._exit(os.EX_SOFTWARE)
