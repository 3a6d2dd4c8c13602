"""A process of ours that can be made to die at a named point: `python -m tests.faults.armed streams worker`.

Everything else is the process as it is: what it calls is wrapped here, and nothing of this is in the rooms.
"""

import os
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from tests.faults.points import VARIABLE, Armed


class Hook(NamedTuple):
    """A method, and the points before, within and after it."""

    module: str
    method: str
    before: str | None = None
    during: str | None = None
    after: str | None = None


TASKS = (
    Hook("streams.kafka_task_log", "KafkaTaskLog.write", after="after produce"),
    Hook("streams.kafka_task_log", "KafkaTaskLog.commit", before="before commit", after="after commit before ack"),
)
HOOKS: Mapping[str, tuple[Hook, ...]] = {
    "streams worker": TASKS,
    "streams worker --stages learning": (*TASKS, Hook("streams.detector.learner", "Learner.learn", after="mid batch")),
    "consumers run": (
        Hook(
            "consumers.clickhouse_embedded",
            "EmbeddedWarehouse.insert_columns",
            during="during insert",
            after="after insert before commit",
        ),
        Hook("consumers.kafka_reader", "KafkaReader.commit", after="after commit"),
        Hook("consumers.kafka_label_log", "KafkaLabelLog.write", after="join: after produce"),
        Hook(
            "consumers.kafka_label_log",
            "KafkaLabelLog.commit",
            before="join: before commit",
            after="join: after commit",
        ),
    ),
}
"""By the beginning of a process's arguments, the longest that fits."""


def hooks_of(arguments: list[str]) -> tuple[Hook, ...]:
    """Return the points of a process.

    >>> [hook.method for hook in hooks_of(["streams", "worker"])]
    ['KafkaTaskLog.write', 'KafkaTaskLog.commit']
    """
    line = " ".join(arguments)
    return HOOKS[max((name for name in HOOKS if line.startswith(name)), key=len)]


def wrap(hook: Hook, points: Armed) -> None:
    """Have a method come by its points."""
    kind_name, method_name = hook.method.split(".")
    kind = getattr(import_module(hook.module), kind_name)
    method: Callable[..., Any] = getattr(kind, method_name)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        if hook.before:
            points.at(hook.before)
        if hook.during:
            points.during(hook.during)
        result = method(*arguments, **named)
        if hook.after:
            points.at(hook.after)
        return result

    setattr(kind, method_name, wrapped)


if __name__ == "__main__":
    room, *rest = sys.argv[1:]
    armed = Armed(Path(os.environ[VARIABLE]))
    for each in hooks_of([room, *rest]):
        wrap(each, armed)
    sys.exit(import_module(f"{room}.__main__").main(rest))
