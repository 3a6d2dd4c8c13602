"""The Faust app that hosts the stages. No logic: it puts Faust, the tasks and Kafka together.

Faust gives membership, assignment, fetching, supervision and the command line's life cycle. It keeps no state and
produces nothing: `streams/DESIGN.md` says why.
"""

import asyncio
import logging
import ssl
import threading
import uuid
from collections.abc import Callable, Sequence
from functools import cache, lru_cache, partial
from typing import Any

import faust
import mode
from aiokafka.partitioner import murmur2
from confluent_kafka.admin import AdminClient
from yarl import URL

from schemas.connection import connection
from schemas.key_files import signer_of, trusted_of
from schemas.learning import PolicyVersion
from schemas.settings import Settings
from schemas.signing import Signer, TrustedKeys
from streams.alerts_to_kafka import Alerts
from streams.alignment import Alignment
from streams.code_version import code_version
from streams.detector.admission import Admission, alert_of
from streams.detector.card import CardStage
from streams.detector.decide import InForce
from streams.detector.following import Document
from streams.detector.learning_stage import LearningStage
from streams.detector.merchant import MerchantStage
from streams.detector.scorer import Scorer
from streams.detector.stage import Context, EntityStage, Stage
from streams.detector.watch import Watch
from streams.documents import shipped_policy, shipped_rates
from streams.exactly_once import Task
from streams.kafka_consumer import Transport
from streams.kafka_logs import KafkaLogs
from streams.kafka_task_log import KafkaTaskLog
from streams.progress import ProgressExchange
from streams.published import Published
from streams.slot import HostedTask
from streams.tasks import Tasks, now_ms, stop_process

logger = logging.getLogger(__name__)

TELL_INTERVAL_S = 0.01
TELL_IDLE_INTERVAL_S = 0.1
TELL_ALONE_INTERVAL_S = 1.0


OPENING_S_MAX = 30 * 86_400.0
"""How long tasks may open: to Faust one request to the broker, after whose time-out it never reads again, unsaid."""

STAGES: dict[str, type[Stage]] = {stage.name: stage for stage in (CardStage, MerchantStage, LearningStage)}
DECIDING = (CardStage.name, MerchantStage.name)


def stages_of(settings: Settings, names: Sequence[str], in_force: InForce) -> tuple[Stage, ...]:
    """Return the stages of these names."""

    @lru_cache(maxsize=200_000)
    def partition_of(key: bytes) -> int:
        partition: int = (murmur2(key) & 0x7FFFFFFF) % settings.partitions
        return partition

    context = Context(in_force, code_version(), partition_of, settings.future_ms_max)
    return tuple(STAGES[name](context) for name in names)


class App(faust.App):  # type: ignore[misc]
    """A Faust app with tasks."""

    tasks: Tasks
    topic_prefix: str
    leaves_on_stop: bool

    def _create_directories(self) -> None:
        """Make none: no state is kept in files."""


def build_app(settings: Settings, names: Sequence[str] = DECIDING) -> App:
    """Return the app that hosts the stages of these names, not started.

    Whoever hosts the same stages is one group, so that a learner that restarts takes no partition from a decider.

    Raises
    ------
    KeyFileError
        The keys of those who are trusted, or the learner's own, cannot be read.
    """
    app = App(
        settings.worker_group(*(() if tuple(names) == DECIDING else names)),
        broker=[URL(f"kafka://{server}") for server in settings.kafka_bootstrap.split(",")],
        broker_credentials=credentials(settings),
        autodiscover=False,
        broker_session_timeout=settings.session_timeout_ms / 1000,
        # A member hears by its heartbeat that another has gone, and takes over only then.
        broker_heartbeat_interval=min(0.5, settings.session_timeout_ms / 3000),
        broker_commit_interval=1.0,
        broker_request_timeout=OPENING_S_MAX,
        consumer_group_instance_id=settings.worker_id or None,
        stream_wait_empty=True,
        topic_disable_leader=True,
        topic_allow_declare=False,
        web_enabled=False,
        agent_supervisor=mode.CrashingSupervisor,
    )
    app.topic_prefix = settings.topic_prefix
    app.leaves_on_stop = settings.leave_on_stop
    app.transport = Transport(app.conf.broker_consumer, app)
    in_force = InForce(shipped_policy(), shipped_rates())
    stages = stages_of(settings, names, in_force)
    alignment = Alignment(range(settings.partitions), settings.ahead_ms_max)
    admin = AdminClient(connection(settings))
    trusted = trusted_of(settings)
    signer = signer_of(settings) if LearningStage.name in names else None
    learning_logs = cache(lambda: KafkaLogs(settings, "restore"))

    def new_task(stage: Stage, number: int) -> HostedTask:
        log = KafkaTaskLog(settings, admin, stage.name, number, stage.state_log)
        if isinstance(stage, EntityStage):
            return Task(stage, number, log, max(1, settings.profiles_ready // settings.partitions))
        assert isinstance(stage, LearningStage)
        assert signer is not None
        return _learner(settings, stage, log, learning_logs(), signer, Admission(trusted))

    tasks = app.tasks = Tasks(settings, stages, new_task, alignment)
    for stage in stages:
        topic = app.topic(*(settings.topic_prefix + topic.name for topic in stage.inputs), value_serializer="raw")
        app.agent(topic, name=stage.name)(partial(_host, app))

    async def on_revoked(_app: Any, _revoked: Any, **_: Any) -> None:
        await tasks.suspend()

    app.on_partitions_revoked.connect(on_revoked)
    if CardStage.name in names:
        app.task(partial(_share_progress, app, settings))
    if set(DECIDING) & set(names):
        tasks.ready_to_open = _follow_published(app, settings, in_force, trusted)
    return app


def _learner(
    settings: Settings, stage: LearningStage, log: KafkaTaskLog, logs: KafkaLogs, signer: Signer, admission: Admission
) -> HostedTask:
    # Here, because only who learns needs River, and half of a worker's start would be its import.
    from streams.learning import LearningTask  # noqa: PLC0415

    snapshot_records = settings.snapshot_records
    return LearningTask(stage, 0, log, logs, snapshot_records=snapshot_records, signer=signer, admission=admission)


def credentials(settings: Settings) -> faust.SSLCredentials | faust.SASLCredentials | None:
    """Return how Faust's own clients reach the broker: what `schemas.connection.connection` says to all others.

    Raises
    ------
    OSError
        A certificate file cannot be read; `ssl.SSLError`, a kind of it, where one is no certificate or key.
    """
    if settings.kafka_security_protocol == "plaintext":
        return None
    context = ssl.create_default_context(cafile=settings.kafka_ca_file or None)
    if settings.kafka_certificate_file:
        context.load_cert_chain(settings.kafka_certificate_file, settings.kafka_key_file)
    if settings.kafka_security_protocol == "ssl":
        return faust.SSLCredentials(context)
    return faust.SASLCredentials(
        username=settings.kafka_username,
        password=settings.kafka_password.get_secret_value(),
        mechanism=settings.kafka_sasl_mechanism,
        ssl_context=context,
    )


def _follow_published(app: App, settings: Settings, in_force: InForce, trusted: TrustedKeys) -> Callable[[], None]:
    """Return what waits until all that was published is in force; later documents follow between two batches."""
    started = threading.Lock()
    published: list[Published] = []
    alerts = Alerts(settings)

    def collapsed(version: str, what: str) -> None:
        alerts.tell(alert_of("collapsed", version, f"{what}: rules decide alone", now_ms()))
        app.loop.call_soon_threadsafe(put_away, version)

    def put_away(version: str) -> None:
        if in_force.scorer and in_force.scorer.version == version:
            in_force.scorer = None

    in_force.watch = Watch(collapsed)

    def put(document: Document) -> None:
        if isinstance(document, Scorer):
            in_force.scorer = document
        elif isinstance(document, PolicyVersion):
            in_force.policy = document
        else:
            in_force.rates = document
        logger.warning("in force from now on: %s", document.version)

    def wait() -> None:
        with started:
            if not published:
                following = Published(
                    settings, trusted, lambda document: app.loop.call_soon_threadsafe(put, document), alerts.tell
                )
                published.append(following)
                following.start()

    return wait


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
