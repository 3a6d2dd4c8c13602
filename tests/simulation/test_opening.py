"""Tasks may open for as long as their logs are long: Faust must not take that for a request that failed."""

import os
import subprocess
import sys
from pathlib import Path

from deploy.keys import Keys

DAY_S = 86_400
GIVEN_UP = """
import asyncio

from faust.tables.recovery import ServiceStopped

from schemas.settings import Settings
from streams.app import build_app

app = build_app(Settings())


async def opened():
    await app.tables.recovery._wait(asyncio.sleep(60), timeout=0.001)


try:
    asyncio.run(opened())
except ServiceStopped:
    print(app.conf.broker_request_timeout)
"""
"""In a process of its own, because nobody would close its clients."""


def test_tasks_may_open_for_days(tmp_path: Path) -> None:
    """Law: Faust gives up for good what takes longer than a request to the broker; for us that is a week at least."""
    keys = Keys(tmp_path / "keys")
    keys.prepare()
    trusted = {f"FRAUD_{name.upper()}": value for name, value in keys.client("worker").items()}
    environment = {**os.environ, **trusted, "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run([sys.executable, "-c", GIVEN_UP], env=environment, capture_output=True, text=True, check=True)
    assert float(done.stdout) >= 7 * DAY_S
