"""Tasks may open for as long as their logs are long: Faust must not take that for a request that failed."""

import asyncio
from pathlib import Path

import pytest
from faust.tables.recovery import ServiceStopped

from deploy.keys import Keys
from schemas.settings import Settings
from streams.app import App, build_app

pytestmark = pytest.mark.kafka

SLOW_S = 1e-3


@pytest.fixture
def app(kafka: Settings, tmp_path: Path) -> App:
    keys = Keys(tmp_path / "keys")
    keys.prepare()
    return build_app(kafka.model_copy(update=keys.client("worker")))


def test_faust_gives_up_for_good_what_takes_longer_than_a_request(app: App) -> None:
    """What the law below rests on: where Faust waits for tasks to open, a time-out ends its waiting for ever."""

    async def opened() -> None:
        await app.tables.recovery._wait(asyncio.sleep(60), timeout=SLOW_S)

    with pytest.raises(ServiceStopped):
        asyncio.run(opened())


def test_tasks_may_open_for_days(app: App) -> None:
    """Law: no log is so long that a worker which reads it is given up."""
    assert app.conf.broker_request_timeout >= 7 * 86_400
