"""Child processes on one machine: started, watched, restarted and ended by their own pid, and never left behind.

Run as a script (`processes.py PARENT_PID ARGV...`) this file becomes the program ARGV, bound to its parent's life.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

LOOPBACK = "127.0.0.1"
PR_SET_PDEATHSIG = 1


def free_port() -> int:
    """Find a TCP port of the loopback address that nobody uses now."""
    # Below the ports that the kernel gives to outgoing connections: while a server is down between a kill and a restart
    # no client of its can come to sit on its port, not even by connecting to itself.
    while True:
        port = random.randrange(10_240, 32_768)
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind((LOOPBACK, port))
            return port


def log_tail(path: Path, lines: int = 4) -> str:
    """Read the last lines of a log but for stack frames, joined by " | " so that an error quotes them in one line."""
    with path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - 65_536))
        stripped = (line.strip() for line in log.read().decode(errors="replace").splitlines())
    kept = [line for line in stripped if line and not line.startswith(("at ", "... "))]
    return " | ".join(kept[-lines:]) or "empty log"


def last_report(path: Path) -> dict[str, Any]:
    """Return the last object that a process printed as a line of its log; empty where there is none."""
    for line in reversed(path.read_text().splitlines()):
        if line.startswith("{"):
            report: dict[str, Any] = json.loads(line)
            return report
    return {}


def bound(argv: Sequence[str]) -> list[str]:
    """Return what starts a program that the kernel kills when the thread that started it ends, however it does."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *argv]


class Process:
    """One child of ours, in a session of its own, with its output appended to a log file.

    It is killed by the kernel when this process dies, however it dies. With `restart`, an exit other than 0 that nobody
    asked for starts it again after a back-off that doubles from 0.1 s to 5 s and begins anew after a run of 10 s.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        log_path: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        restart: bool = False,
    ) -> None:
        self.argv = list(argv)
        self.log_path = log_path
        self.restarts = 0
        self.exit_code: int | None = None
        self._env = {**os.environ, **(env or {})}
        self._cwd = cwd
        self._restart = restart
        self._started = threading.Event()
        self._changed = threading.Condition()
        self._child: subprocess.Popen[bytes] | None = None
        self._watcher: threading.Thread | None = None
        self._ending = False
        self._failure: OSError | None = None

    def start(self) -> Self:
        """Start the child and return when it has a pid."""
        if self.running:
            raise RuntimeError(f"{self.argv[0]} is already running")
        self._ending, self._failure, self.exit_code = False, None, None
        self._started.clear()
        # PR_SET_PDEATHSIG looks at the thread that made the child, so that thread is ours and lives as long as it.
        self._watcher = threading.Thread(target=self._watch, name=f"watch {self.argv[0]}", daemon=True)
        self._watcher.start()
        self._started.wait()
        if self._failure is not None:
            raise self._failure
        return self

    @property
    def pid(self) -> int | None:
        """The pid of the child, or None between two runs and after the last one."""
        return child.pid if (child := self._child) else None

    @property
    def running(self) -> bool:
        """Whether the child runs or will be restarted."""
        return self._watcher is not None and self._watcher.is_alive()

    def kill(self) -> None:
        """End the present run with SIGKILL and wait until it is gone; with `restart` another one follows."""
        with self._changed:
            if child := self._child:
                os.kill(child.pid, signal.SIGKILL)
                self._changed.wait_for(lambda: self._child is not child)
        if not self._restart:
            self.wait()

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def terminate(self, grace_s: float = 15.0) -> int | None:
        """Ask the child to end with SIGTERM, kill it after the grace, and return its exit code; it is not restarted."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)  # a paused child hears SIGTERM only when it goes on
        if not self.wait(grace_s):
            self._signal(signal.SIGKILL)
            self.wait()
        return self.exit_code

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the child has ended for good; False when it has not within the time."""
        if self._watcher is not None:
            self._watcher.join(timeout_s)
        return not self.running

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.terminate()

    def _signal(self, number: signal.Signals) -> None:
        # The child is reaped under the same lock, so while we hold it the pid cannot have become another process's.
        with self._changed:
            if self._child:
                os.kill(self._child.pid, number)

    def _watch(self) -> None:
        backoff_s = 0.1
        while True:
            started_s = time.monotonic()
            if not self._run_once() or not self._restart or self.exit_code == 0:
                return
            if time.monotonic() - started_s > 10:
                backoff_s = 0.1
            with self._changed:
                if self._changed.wait_for(lambda: self._ending, backoff_s):
                    return
                self.restarts += 1
            backoff_s = min(2 * backoff_s, 5)

    def _run_once(self) -> bool:
        """Start the child and wait for its end; False when it could not be started."""
        argv = bound(self.argv)
        try:
            self.log_path.parent.mkdir(parents=True, exist_ok=True)
            with self.log_path.open("ab") as log, self._changed:
                if self._ending:
                    return False
                self._child = child = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=self._env,
                    cwd=self._cwd,
                    start_new_session=True,  # Ctrl-C on the terminal is ours to handle, in an orderly stop
                )
        except OSError as error:
            self._failure = error
            return False
        finally:
            self._started.set()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        with self._changed:
            self.exit_code = child.wait()
            self._child = None
            self._changed.notify_all()
        return True


class Server(Process, ABC):
    """A process with clients and a data directory that outlives it: killed, paused and restarted at will."""

    name = "server"
    start_timeout_s = 60.0

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.resolve()
        super().__init__([self.name], log_path=self.data_dir / f"{self.name}.log")

    @abstractmethod
    def _prepare(self) -> list[str]:
        """Write what the program reads and return its argv."""

    @abstractmethod
    def _answers(self) -> bool:
        """Say whether the server serves its clients now."""

    def start(self) -> Self:
        """Start the server and return when it answers its clients."""
        if self.running:
            raise RuntimeError(f"{self.name} is already running")
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.argv = self._prepare()
        super().start()
        deadline_s = time.monotonic() + self.start_timeout_s
        while not self._answers():
            if not self.running or time.monotonic() > deadline_s:
                state = "does not answer" if self.running else f"ended with code {self.exit_code} while starting"
                self.kill()
                raise RuntimeError(f"{self.name} {state}: {log_tail(self.log_path)}")
            time.sleep(0.05)
        return self

    def restart(self) -> Self:
        """Start again on the same ports and data; what still runs is stopped in order first."""
        self.stop()
        return self.start()

    def stop(self) -> None:
        self.terminate()


def _become(parent_pid: int, argv: list[str]) -> None:
    """Replace this process by the program, to be killed by the kernel when the parent ends (on Linux)."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and a program inherits what is ignored
        signal.signal(number, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:  # it died before the kernel was told
            sys.exit(1)
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - no shell is the point
    except OSError as error:
        sys.exit(f"{argv[0]}: {error.strerror}")


if __name__ == "__main__":
    _become(int(sys.argv[1]), sys.argv[2:])
