"""The records that wait for one task, and the order in which they are taken. Pure.

A task that reads several topics takes the record with the smallest event time, and only when every other topic has a
record waiting too or has been read to its end since (KIP-695). Refused records have no event time and go first.
"""

from collections import deque
from collections.abc import Callable, Sequence

from streams.detector.stage import Event, Refusal

MayRun = Callable[[int, int], bool]
"""Event time and time of receipt, both ms -> whether the record may be processed now."""


class Inputs:
    """Waiting records of one task, by topic.

    Parameters
    ----------
    topics : names in order of precedence at equal event times.
    """

    def __init__(self, topics: Sequence[str]) -> None:
        self._waiting: dict[str, deque[tuple[Event | Refusal, int]]] = {topic: deque() for topic in topics}
        self._read_to_end_at_ms: dict[str, int] = dict.fromkeys(topics, -1)

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def waiting(self, topic: str) -> int:
        """Return how many records of a topic wait."""
        return len(self._waiting[topic])

    def put(self, event: Event | Refusal, received_at_ms: int) -> None:
        """Add a record that was received at a wall-clock time."""
        self._waiting[event.record.topic].append((event, received_at_ms))

    def read_to_end(self, topic: str, at_ms: int) -> None:
        """Note that at a wall-clock time the broker had nothing more in the topic than was put here."""
        self._read_to_end_at_ms[topic] = at_ms

    @property
    def caught_up_at_ms(self) -> int | None:
        """When every topic had been read to its end, or None while something waits or is still to be read."""
        at_ms = min(self._read_to_end_at_ms.values())
        return at_ms if at_ms >= 0 and not len(self) else None

    @property
    def head_ms(self) -> int | None:
        """The smallest event time that waits first in its topic, or None where nothing waits."""
        return min((waiting[0][0].event_time_ms for waiting in self._waiting.values() if waiting), default=None)

    def clear(self) -> None:
        """Forget everything: the inputs will be read again from the task's positions."""
        for topic, waiting in self._waiting.items():
            waiting.clear()
            self._read_to_end_at_ms[topic] = -1

    def take(self, records_max: int, may_run: MayRun) -> list[Event | Refusal]:
        """Return the next records in order, as many as may run now."""
        taken: list[Event | Refusal] = []
        while len(taken) < records_max:
            head = min(
                (waiting[0] for waiting in self._waiting.values() if waiting),
                key=lambda item: item[0].event_time_ms,
                default=None,
            )
            if head is None or not self._may_go(*head, may_run):
                break
            taken.append(head[0])
            self._waiting[head[0].record.topic].popleft()
        return taken

    def _may_go(self, event: Event | Refusal, received_at_ms: int, may_run: MayRun) -> bool:
        if isinstance(event, Refusal):
            return True
        return all(
            waiting or self._read_to_end_at_ms[topic] >= received_at_ms for topic, waiting in self._waiting.items()
        ) and may_run(event.event_time_ms, received_at_ms)
