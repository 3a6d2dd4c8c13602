"""The system under faults: its processes can be made to die at named points, and its store may lie on a small disk."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deploy.processes import Process
from deploy.system import System
from tests.faults.disk import SmallDisk
from tests.faults.gateway import Gateway
from tests.faults.points import VARIABLE

ARMED = ("tests.faults.armed",)
"""What goes before a process's own arguments."""


class FaultySystem(System):
    """`System`, with what faults need of it. `disk` is where its store lies, if that can be filled."""

    def __init__(self, data_dir: Path, *, disk: SmallDisk | None = None, **chosen: Any) -> None:
        super().__init__(data_dir, **chosen)
        self.disk = disk
        self.gateway: Gateway | None = None
        self._points_dir = self.data_dir / "points"
        self._points_dir.mkdir(exist_ok=True)

    def environment(self, arguments: Sequence[str]) -> dict[str, str]:
        """Return what the process of these arguments is given: an armed one is the same user with the same rights."""
        armed = tuple(arguments[: len(ARMED)]) == ARMED
        return super().environment(arguments[len(ARMED) :] if armed else arguments)

    def process(self, name: str, arguments: Sequence[str], *, restart: bool = False, **environment: str) -> Process:
        """Return a process of ours, not started; of those that are started again when they die, an armed one."""
        if restart:
            arguments = [*ARMED, *arguments]
            environment |= {VARIABLE: str(self._points_dir / f"{name}.json")}
        return super().process(name, arguments, restart=restart, **environment)

    def point_file(self, process: Process) -> Path:
        """Return where a process looks for the point at which to die."""
        return self._points_dir / f"{process.log_path.stem}.json"
