"""The named points at which a process can be made to kill itself, and how it is told to.

A file names the point and the pass; the process looks for it each time it comes by a point, takes the file away when it
is time, and dies. So a running process is armed, and the one that is started after it is not.
"""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

VARIABLE = "POINT_FILE"
"""Names the file to the process."""
MS_A_PASS = 4
"""A process that dies during something does so at a time in it that the number of the pass chooses."""


class Point(NamedTuple):
    """A place in a process, and the highest pass at which it is struck: those come about every second."""

    name: str
    passes_max: int


POINTS: Mapping[str, tuple[Point, ...]] = {
    "a worker": (
        Point("after produce", 200),
        Point("before commit", 20),
        Point("after commit before ack", 20),
    ),
    "the learner": (
        Point("mid batch", 30),
        Point("after produce", 1),
        Point("before commit", 1),
        Point("after commit before ack", 1),
    ),
    "the store": (
        Point("during insert", 4),
        Point("after insert before commit", 4),
        Point("after commit", 2),
        Point("join: after produce", 30),
        Point("join: before commit", 2),
        Point("join: after commit", 2),
    ),
}


def arm(path: Path, point: str, passes: int) -> None:
    """Tell the process that looks at this file where to die."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps([point, passes]))
    new.replace(path)


def disarm(path: Path) -> bool:
    """Tell it not to; return False where it is dead already."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


class Armed:
    """The process's side: dies at the point that the file names. For several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._passed = 0

    def at(self, name: str) -> None:
        """Come by a point, and die here if it is time."""
        if self._due(name):
            os.kill(os.getpid(), signal.SIGKILL)

    def during(self, name: str) -> None:
        """Begin what the point names, and die a few milliseconds later if it is time."""
        if self._due(name):
            # Another process, because a thread of this one may have to wait for what it is to interrupt.
            wait_s = self._passed * MS_A_PASS / 1000
            subprocess.Popen(["sh", "-c", f"sleep {wait_s}; kill -KILL {os.getpid()}"], start_new_session=True)

    def _due(self, name: str) -> bool:
        if not self._path.exists():
            return False
        with self._lock:
            try:
                point, passes = json.loads(self._path.read_text())
            except FileNotFoundError:
                return False
            self._passed += point == name
            return bool(point == name and self._passed >= passes and disarm(self._path))
