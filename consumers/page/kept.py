"""Answers of the store, kept a while, so that it is asked as seldom by a hundred browsers as by one.

Questions go one at a time through a thread of their own: what stores waits for one of them at most, and a stop waits
until the last one is answered. A question that took long is not asked again until twenty times as long has passed.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from consumers.warehouse import WarehouseError

Answer = TypeVar("Answer")

PAUSE_FACTOR = 20
PAUSE_S_MAX = 60.0


@dataclass(frozen=True, slots=True)
class _Held:
    until_s: float
    answer: Any
    error: str | None


class Kept:
    """The answers by name. `clock_s` is a clock in seconds that does not go back."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self._held: dict[str, _Held] = {}
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._asker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="page")

    async def get(self, name: str, pause_s: float, ask: Callable[[], Answer]) -> Answer:
        """Return the answer to a question, which is asked again only after the pause.

        Raises
        ------
        WarehouseError
            The store did not answer; that too is kept for the pause.
        """
        async with self._turns[name]:
            held = self._held.get(name)
            if held is None or self._clock_s() >= held.until_s:
                held = self._held[name] = await asyncio.get_running_loop().run_in_executor(
                    self._asker, self._asked, pause_s, ask
                )
        if held.error is not None:
            raise WarehouseError(held.error)
        answer: Answer = held.answer
        return answer

    def close(self) -> None:
        """Return when no question is open. None can be asked afterwards."""
        self._asker.shutdown(wait=True, cancel_futures=True)

    def _asked(self, pause_s: float, ask: Callable[[], Any]) -> _Held:
        began_s = self._clock_s()
        answer, error = None, None
        try:
            answer = ask()
        except WarehouseError as refused:
            error = str(refused)
        ended_s = self._clock_s()
        return _Held(ended_s + max(pause_s, min(PAUSE_FACTOR * (ended_s - began_s), PAUSE_S_MAX)), answer, error)
