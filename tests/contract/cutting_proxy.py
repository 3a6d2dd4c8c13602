"""A TCP proxy before a server that cuts a connection while a client sends, or when it waits for the answer."""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Literal, Self

from deploy.processes import LOOPBACK

Cut = Literal["amid send", "after send"]
SENT_BYTES = 10_000
"""More than a client says before it sends rows: what comes after so much is rows, or the answer to them."""
CHUNK = 4_096


class CuttingProxy:
    """Listens on `port`. `plan` says how the next connections are cut that send so much; `cuts` counts them."""

    def __init__(self, server_port: int) -> None:
        self.plan: list[Cut] = []
        self.cuts = 0
        self._server_port = server_port
        self._lock = threading.Lock()
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection((LOOPBACK, self._server_port))
                sent = [0]
                for ends in ((client, server, "amid send"), (server, client, "after send")):
                    threading.Thread(target=self._pass_on, args=(*ends, sent), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, way: Cut, sent: list[int]) -> None:
        """Pass on one direction until it ends; `sent` is how much the client has said on this connection."""
        with contextlib.suppress(OSError):
            while chunk := source.recv(CHUNK):
                if way == "amid send":
                    sent[0] += len(chunk)
                if sent[0] > SENT_BYTES and self._is_planned(way):
                    break
                target.sendall(chunk)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _is_planned(self, way: Cut) -> bool:
        with self._lock:
            planned = self.plan[:1] == [way]
            if planned:
                self.plan.pop(0)
                self.cuts += 1
            return planned
