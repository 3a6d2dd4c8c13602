"""One assigned task with what surrounds it on a worker: what waits for it, and what its coroutine is doing."""

import asyncio
from dataclasses import dataclass, field

from streams.exactly_once import Task
from streams.inputs import Inputs


@dataclass
class Slot:
    """One assigned task, what waits for it, and the coroutine that steps it."""

    task: Task
    inputs: Inputs
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    reading: bool = True
    stepping_from_ms: int = 0
    ends: dict[str, int] = field(default_factory=dict)
    next_to_put: dict[str, int] = field(default_factory=dict)
    loop_task: "asyncio.Task[None] | None" = None

    @property
    def watermark_ms(self) -> int:
        """The event time before which the task will write nothing more, late events apart."""
        if not self.idle.is_set():
            return self.stepping_from_ms
        return max(self.task.watermark_ms, self.inputs.head_ms or 0)

    def forget_inputs(self) -> None:
        """Drop what waits: the inputs are read again from the task's positions."""
        self.inputs.clear()
        self.next_to_put.clear()
        self.ends.clear()
