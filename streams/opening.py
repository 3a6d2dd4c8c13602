"""How a worker's tasks are opened: in threads, until it works, with a word every few seconds of how far they are."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import Executor
from typing import TypeVar

from streams.detector.stage import Stage
from streams.detector.state import Size
from streams.exactly_once import FencedError, Restored
from streams.slot import HostedTask

logger = logging.getLogger(__name__)

REOPEN_WAIT_S_MAX = 1.0
TELL_INTERVAL_S = 3.0

Result = TypeVar("Result")


class Opener:
    """Opens tasks.

    Parameters
    ----------
    new_task : makes the task of a stage's partition, not open yet; called in a thread.
    """

    def __init__(self, new_task: Callable[[Stage, int], HostedTask], pool: Executor) -> None:
        self._new_task = new_task
        self._pool = pool
        self._opening: dict[str, HostedTask] = {}

    async def open(self, stage: Stage, partition: int) -> HostedTask:
        """Return the open task of a stage's partition, after as many attempts as it takes.

        Raises
        ------
        FencedError
            Another worker has taken it over meanwhile.
        """
        name, wait_s = f"{stage.name}-{partition}", 0.05
        while True:
            try:
                return await asyncio.get_running_loop().run_in_executor(
                    self._pool, self._open_in_thread, name, stage, partition
                )
            except FencedError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever failed, only another attempt from the log can help
                logger.warning("%s could not be opened, trying again: %s", name, error)
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, REOPEN_WAIT_S_MAX)

    def _open_in_thread(self, name: str, stage: Stage, partition: int) -> HostedTask:
        self._opening[name] = task = self._new_task(stage, partition)
        try:
            task.open()
            # Proves that the task can commit, and has Kafka warm before the first payment comes.
            task.step(())
            task.commit()
        except BaseException:
            task.close()
            raise
        return task

    async def telling(self, opening: Awaitable[Result]) -> Result:
        """Wait for tasks that open, and log how far they are as long as that takes."""
        self._opening.clear()
        teller = asyncio.create_task(self._tell(), name="restore progress")
        try:
            return await opening
        finally:
            teller.cancel()
            self._opening.clear()

    async def _tell(self) -> None:
        started = time.monotonic()
        while True:
            await asyncio.sleep(TELL_INTERVAL_S)
            far = {name: task.restored for name, task in self._opening.items()}
            if far:
                logger.warning("%s", progress_of(far, time.monotonic() - started))


def progress_of(far: Mapping[str, Restored], seconds: float) -> str:
    """Return in one line how far tasks have read their logs after some seconds.

    Shares are of offsets: where a log is compacted the records lie at its end, and the time left is an upper bound.

    >>> far = {"card-0": Restored(500, 600, 600), "card-1": Restored(700, 300, 600), "card-2": Restored()}
    >>> progress_of(far, 4.0).partition(", about ")[::2]
    ('restoring: 1 of 3 tasks done, 1,200 records, 75 % of the logs, 300/s', '1 s left; last is card-1 at 50 %')
    """
    begun = {name: each for name, each in far.items() if each.end}
    if not begun:
        return f"restoring: waiting for Kafka to hand over {len(far)} tasks since {seconds:.0f} s"
    records = sum(each.records for each in far.values())
    share = sum(each.reached for each in begun.values()) / sum(each.end for each in begun.values())
    last, behind = min(begun.items(), key=lambda item: item[1].reached / item[1].end)
    left = f"about {seconds * (1 - share) / share:.0f} s" if share else "not known how long is"
    return (
        f"restoring: {sum(each.reached >= each.end for each in begun.values())} of {len(far)} tasks done,"
        f" {records:,} records, {share:.0%} of the logs, {records / seconds:,.0f}/s, {left} left;"
        f" last is {last} at {behind.reached / behind.end:.0%}"
    ).replace("%", " %")


def sizes_of(tasks: Iterable[HostedTask]) -> str:
    """Return in one line how much tasks remember, by stage."""
    sizes: dict[str, list[Size]] = {}
    for task in tasks:
        sizes.setdefault(task.stage.name, []).append(task.size)
    return "; ".join(f"{stage}: {told(held)}" for stage, held in sizes.items() if any(each.pieces for each in held))


def told(sizes: Iterable[Size]) -> str:
    """Return in words how much several tasks of a stage remember.

    >>> told([Size(3, 8, 2_400, 900), Size(1, 2, 800, 800)])
    '4 entities in 10 pieces, 800 bytes each in the mean, 900 at most'
    """
    entities, pieces, held, largest = zip(*sizes, strict=True)
    mean = sum(held) / max(1, sum(entities))
    much = f"{sum(entities):,} entities in {sum(pieces):,} pieces"
    return f"{much}, {mean:,.0f} bytes each in the mean, {max(largest):,} at most"
