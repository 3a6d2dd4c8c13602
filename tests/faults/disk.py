"""A small file system of its own that can be filled to the last byte, and freed again.

It is a tmpfs in a mount namespace of this run: `in_own_namespace` begins one, as root or with a user namespace, and it
is gone with the last process in it, however that ends.
"""

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

MB = 1024 * 1024
AGAIN_S = 0.1
"""What is removed from a full disk, such as parts that were merged, leaves room: it is filled again so often."""
NAMESPACE = "FAULT_RUN_NAMESPACE"


def in_own_namespace(module: str) -> None:
    """Start this module's command again where it may mount, unless it was; return where it may."""
    if NAMESPACE in os.environ:
        return
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    argv = ["unshare", *user, "--mount", "--", sys.executable, "-m", module, *sys.argv[1:]]
    os.execvpe(argv[0], argv, os.environ | {NAMESPACE: "1"})  # noqa: S606 - no shell is the point


class SmallDisk:
    """A file system of `size_mb` mounted on a folder. Whoever fills it has it full until `free`.

    `log_was` is how long its user's log was when it was filled.
    """

    def __init__(self, folder: Path, size_mb: int = 1_024) -> None:
        self._folder = folder
        self._size_mb = size_mb
        self._ballast = folder / "ballast"
        self.log_was = 0
        self._full = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self._size_mb}m", "tmpfs", self._folder], check=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.free()
        subprocess.run(["umount", "--lazy", self._folder], check=False)

    def fill(self) -> None:
        """Take all the room there is, and what becomes free."""
        self._full.set()
        self._take()
        self._thread = threading.Thread(target=self._keep_full, name="full disk", daemon=True)
        self._thread.start()

    def free(self) -> None:
        """Give it back."""
        self._full.clear()
        if self._thread:
            self._thread.join()
            self._thread = None
        self._ballast.unlink(missing_ok=True)

    def _keep_full(self) -> None:
        while self._full.is_set():
            self._take()
            threading.Event().wait(AGAIN_S)

    def _take(self) -> None:
        with self._ballast.open("ab") as ballast:
            at = ballast.tell()
            for step in (64 * MB, MB, 4096):
                while _allocate(ballast.fileno(), at, step):
                    at += step


def _allocate(file: int, at: int, size: int) -> bool:
    try:
        os.posix_fallocate(file, at, size)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False
    return True
