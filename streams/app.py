"""The Faust app that hosts the stages. No logic: it puts Faust, the tasks and Kafka together.

Faust gives membership, assignment, fetching, supervision and the command line's life cycle. It keeps no state and
produces nothing: `streams/DESIGN.md` says why.
"""

import asyncio
import logging
import uuid
from functools import lru_cache, partial
from typing import Any

import faust
import mode
from aiokafka.partitioner import murmur2
from confluent_kafka.admin import AdminClient
from yarl import URL

from schemas.settings import Settings
from streams.alignment import Alignment
from streams.code_version import code_version
from streams.detector.card import CardStage
from streams.detector.merchant import MerchantStage
from streams.detector.rules import POLICY
from streams.detector.stage import Context, Stage
from streams.kafka_consumer import Transport
from streams.kafka_task_log import KafkaTaskLog
from streams.progress import ProgressExchange
from streams.tasks import Tasks, stop_process

logger = logging.getLogger(__name__)

TELL_INTERVAL_S = 0.01
TELL_IDLE_INTERVAL_S = 0.1
TELL_ALONE_INTERVAL_S = 1.0


def stages_of(settings: Settings) -> tuple[Stage, ...]:
    """Return the stages of a deployment."""

    @lru_cache(maxsize=200_000)
    def partition_of(key: bytes) -> int:
        partition: int = (murmur2(key) & 0x7FFFFFFF) % settings.partitions
        return partition

    context = Context(POLICY, code_version(), partition_of, settings.future_ms_max)
    return (CardStage(context), MerchantStage(context))


class App(faust.App):  # type: ignore[misc]
    """A Faust app with tasks."""

    tasks: Tasks
    topic_prefix: str

    def _create_directories(self) -> None:
        """Make none: no state is kept in files."""


def build_app(settings: Settings) -> App:
    """Return the app, not started."""
    app = App(
        f"{settings.topic_prefix}{settings.application_id}",
        broker=[URL(f"kafka://{server}") for server in settings.kafka_bootstrap.split(",")],
        autodiscover=False,
        broker_session_timeout=settings.session_timeout_ms / 1000,
        broker_heartbeat_interval=min(3.0, settings.session_timeout_ms / 3000),
        broker_commit_interval=1.0,
        broker_request_timeout=max(40.0, 2 * settings.session_timeout_ms / 1000),
        consumer_group_instance_id=settings.worker_id or None,
        stream_wait_empty=True,
        topic_disable_leader=True,
        topic_allow_declare=False,
        web_enabled=False,
        agent_supervisor=mode.CrashingSupervisor,
    )
    app.topic_prefix = settings.topic_prefix
    app.transport = Transport(app.conf.broker_consumer, app)
    stages = stages_of(settings)
    alignment = Alignment(range(settings.partitions), settings.ahead_ms_max)
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap})
    tasks = app.tasks = Tasks(
        settings,
        stages,
        lambda stage, number: KafkaTaskLog(settings, admin, stage.name, number, stage.state_log),
        alignment,
    )
    for stage in stages:
        topic = app.topic(*(settings.topic_prefix + topic.name for topic in stage.inputs), value_serializer="raw")
        app.agent(topic, name=stage.name)(partial(_host, app))

    async def on_revoked(_app: Any, _revoked: Any, **_: Any) -> None:
        await tasks.suspend()

    app.on_partitions_revoked.connect(on_revoked)
    app.task(partial(_share_progress, app, settings))
    return app


async def _host(app: App, _stream: Any) -> None:
    """Keep a stage's agent alive: its records go to the tasks, which run by themselves."""
    await app.wait_until_stopped()


async def _share_progress(app: App, settings: Settings) -> None:
    """Tell other workers where this one's card tasks are, and hear where theirs are."""
    loop, tasks = asyncio.get_running_loop(), app.tasks
    worker = settings.worker_id or uuid.uuid4().hex
    try:
        exchange = await loop.run_in_executor(None, ProgressExchange, settings, worker)
    except Exception as error:  # noqa: BLE001 - without it tasks could wait for ever
        stop_process(f"progress: {error}")
    told: tuple[dict[int, int], dict[int, int]] = ({}, {})
    told_at = 0.0
    while not app.should_stop:
        for word in exchange.heard():
            tasks.hear(word)
        telling = tasks.card_progress()
        # A worker that has every card task has nobody to tell in a hurry.
        alone, still = len(telling[0]) == settings.partitions, telling[0] == told[0]
        interval_s = TELL_ALONE_INTERVAL_S if alone else TELL_IDLE_INTERVAL_S if still else TELL_INTERVAL_S
        if telling != told and loop.time() >= told_at + interval_s:
            exchange.tell(*telling)
            told, told_at = telling, loop.time()
        await asyncio.sleep(TELL_INTERVAL_S)
    await loop.run_in_executor(None, exchange.close)
