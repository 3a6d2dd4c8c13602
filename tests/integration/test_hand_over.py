"""A worker that is stopped hands its partitions over at once, though it has a name that could wait for its return."""

import time
from pathlib import Path

import pytest

from deploy.broker import Broker
from deploy.processes import Process
from deploy.system import System
from tests.faults.acts import JOINED

pytestmark = pytest.mark.kafka

SESSION_TIMEOUT_MS = 60_000
"""Far longer than the test waits: whoever takes over did not wait for it."""
WAIT_S_MAX = 40.0


def _opened(worker: Process, times: int) -> bool:
    deadline = time.monotonic() + WAIT_S_MAX
    while worker.log_path.read_bytes().count(JOINED) < times and time.monotonic() < deadline:
        time.sleep(0.1)
    return worker.log_path.read_bytes().count(JOINED) >= times


def test_named_worker_that_is_stopped_is_not_waited_for(broker: Broker, topic_prefix: str, tmp_path: Path) -> None:
    with System(
        tmp_path,
        workers=1,
        worker_session_timeout_ms=SESSION_TIMEOUT_MS,
        broker=broker,
        topic_prefix=topic_prefix,
        partitions=2,
    ) as system:
        system.start_workers()
        assert _opened(system.workers[0], 1)
        system.start_workers()
        assert _opened(system.workers[1], 1)
        assert system.workers[1].terminate() == 0
        assert _opened(system.workers[0], 2)
