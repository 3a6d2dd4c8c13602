"""The page on a port: uvicorn in the calling thread, until told to stop."""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import uvicorn

from consumers.page.app import LOOPBACK, build_app
from consumers.page.query import Query

log = logging.getLogger(__name__)

STOP_LOOK_S = 0.1
STOP_GRACE_S = 2


def serve(
    query: Query,
    host: str = "127.0.0.1",
    port: int = 0,
    stop: threading.Event | None = None,
    on_ready: Callable[[int], None] | None = None,
) -> None:
    """Serve the page until `stop` is set, and return when no question to the store is open any more.

    Port 0 takes a free one; `on_ready` is told which, once the page answers. Handles no signals, so that it may run in
    any thread. On another address than the loopback one every host name is answered: put a proxy before it that knows
    who may look, because the page asks nobody for a password.

    Raises
    ------
    OSError
        The address cannot be used.
    """
    with closing(socket.create_server((host, port))) as listener:
        hosts = LOOPBACK if host in LOOPBACK else ("*",)
        config = uvicorn.Config(
            build_app(query, hosts=hosts),
            ws="none",
            lifespan="on",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=STOP_GRACE_S,
        )
        asyncio.run(_until(stop or threading.Event(), _Server(config), listener, on_ready))


class _Server(uvicorn.Server):
    """Leaves signals alone: in the main thread uvicorn would take them from whoever waits for them."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _until(
    stop: threading.Event, server: uvicorn.Server, listener: socket.socket, on_ready: Callable[[int], None] | None
) -> None:
    async def watch() -> None:
        while not server.started:  # noqa: ASYNC110 - uvicorn tells it by an attribute
            await asyncio.sleep(0.01)
        host, port = listener.getsockname()[:2]
        log.info("page on http://%s:%d", host, port)
        if on_ready is not None:
            on_ready(port)
        while not stop.is_set():  # noqa: ASYNC110 - another thread sets it
            await asyncio.sleep(STOP_LOOK_S)
        server.should_exit = True

    watching = asyncio.ensure_future(watch())
    try:
        await server.serve([listener])
    finally:
        watching.cancel()
