"""One assigned task with what surrounds it on a worker: what waits for it, and what its coroutine is doing."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from streams.detector.stage import Event, Refusal, Stage
from streams.detector.state import Size
from streams.exactly_once import Restored
from streams.inputs import Inputs


class HostedTask(Protocol):
    """What the host needs of a task: of entities (`exactly_once.Task`), or of learning."""

    @property
    def stage(self) -> Stage:
        """The stage it is a task of."""

    @property
    def watermark_ms(self) -> int:
        """The largest event time processed."""

    @property
    def size(self) -> Size:
        """How much it remembers."""

    @property
    def restored(self) -> Restored:
        """How far it has read its log while it opens."""

    def open(self) -> dict[str, int]: ...
    def step(self, events: Sequence[Event | Refusal]) -> None: ...
    def commit(self) -> dict[str, int]: ...
    def position(self, topic: str) -> int | None: ...
    def close(self) -> None: ...


@dataclass
class Slot:
    """One assigned task, what waits for it, and the coroutine that steps it."""

    task: HostedTask
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
