"""The parts of one process: threads that share the store, and end together.

The embedded store belongs to one process, so whoever writes or reads it lives there: the sink, the label join, the
monitors and the page. A part that fails takes the others with it, in order; a supervisor starts the process again.
"""

import gc
import logging
import threading
import time
import uuid
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

from consumers.alerts_to_webhook import AlertsToWebhook, Webhook
from consumers.batch import Batch
from consumers.clickhouse_to_alerts import ClickhouseToAlerts
from consumers.clickhouse_to_labels import ClickhouseToLabels
from consumers.kafka_alerts import KafkaAlerts
from consumers.kafka_label_log import KafkaLabelLog
from consumers.kafka_labels import KafkaLabels
from consumers.kafka_reader import KafkaReader
from consumers.labels_to_training import LabelsToTraining
from consumers.rows import SINKS
from consumers.topics_to_clickhouse import TopicsToClickhouse
from consumers.training import Terms
from consumers.waiting import Queue
from consumers.warehouse import Warehouse
from schemas.fields import DAY_MS
from schemas.settings import Settings
from schemas.topics import ALERTS

log = logging.getLogger(__name__)

END_GRACE_S = 60.0
"""How long a part may take to end in order: a transaction and a statement of the store have 30 s each at most."""
PAGE = "consumers.page.serve"


COLLECT_AT = (50_000, 20, 20)
"""Containers made and not freed until the garbage collector looks, and how often it then looks at older ones."""


def collect_seldom() -> None:
    """Spare the garbage collector what it can free nothing of: all that was imported, and the rows of a batch.

    A batch holds some hundred thousand containers for a second, and by default they are looked at every 700.
    """
    gc.freeze()
    gc.set_threshold(*COLLECT_AT)


class PartFailedError(Exception):
    """A part of this process failed, or did not end when it was told to. One line."""


class Parts:
    """Threads that run until `stop` is set, which the first of them to end or fail does."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._threads: list[threading.Thread] = []
        self._failures: list[str] = []

    def start(self, name: str, run: Callable[[], object]) -> None:
        """Run a part in a thread of its own."""
        self._threads.append(threading.Thread(target=self._run, args=(name, run), name=name, daemon=True))
        self._threads[-1].start()

    def wait(self) -> None:
        """Return when all parts have ended in order.

        Raises
        ------
        PartFailedError
            One of them did not.
        """
        self._stop.wait()
        deadline = time.monotonic() + END_GRACE_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                self._failures.append(f"{thread.name} does not end")
        if self._failures:
            raise PartFailedError("; ".join(self._failures))

    def _run(self, name: str, run: Callable[[], object]) -> None:
        try:
            run()
        except Exception as error:
            log.exception("%s failed", name)
            self._failures.append(f"{name} failed: {type(error).__name__}: {error}")
        finally:
            self._stop.set()


def sink_of(
    settings: Settings, warehouse: Warehouse, stop: threading.Event, *, until_idle_ms: int | None = None
) -> tuple[TopicsToClickhouse, KafkaReader]:
    """Return the sink, and its reader to close after it has run."""
    batch = Batch()
    topics = [settings.topic_prefix + sink.topic.name for sink in SINKS]
    reader = KafkaReader(settings, role="sink", topics=topics, on_revoked=batch.clear)
    sink = TopicsToClickhouse(
        reader=reader,
        warehouse=warehouse,
        stop=stop,
        now_ms=_now_ms,
        batch=batch,
        topic_prefix=settings.topic_prefix,
        until_idle_ms=until_idle_ms,
    )
    return sink, reader


def join_of(
    settings: Settings,
    warehouse: Warehouse,
    stop: threading.Event,
    *,
    until_idle_ms: int | None = None,
    others_idle_ms: Callable[[], float] = lambda: float("inf"),
) -> tuple[LabelsToTraining, KafkaLabelLog]:
    """Return the label join, and its log to close after it has run."""
    queue = Queue()
    labels = KafkaLabelLog(settings, name=join_name(settings, unique=uuid.uuid4().hex), on_revoked=queue.clear)
    join = LabelsToTraining(
        log=labels,
        warehouse=warehouse,
        stop=stop,
        now_ms=_now_ms,
        wall_ms=_wall_ms,
        terms=Terms(settings.legitimate_kept_one_in, settings.label_wait_ms_max),
        queue=queue,
        until_idle_ms=until_idle_ms,
        others_idle_ms=others_idle_ms,
    )
    return join, labels


def join_name(settings: Settings, *, unique: str) -> str:
    """Return what tells this label join from others that may run beside it, and if it can be, the same at each start.

    >>> join_name(Settings(worker_id="a"), unique="5d41"), join_name(Settings(), unique="5d41")
    ('a', 'embedded')
    >>> join_name(Settings(clickhouse_url="clickhouse://h:9000/d"), unique="5d41")
    '5d41'
    """
    # Only the process that has the embedded store open can look anything up in it: there is never a second one.
    return settings.worker_id or (unique if settings.clickhouse_url else "embedded")


def silence_of(
    settings: Settings, warehouse: Warehouse, stop: threading.Event
) -> tuple[ClickhouseToLabels, KafkaLabels]:
    """Return what labels silence, and its labels to close after it has run."""
    labels = KafkaLabels(settings, stop)
    silence = ClickhouseToLabels(
        warehouse=warehouse,
        labels=labels,
        stop=stop,
        wall_ms=_wall_ms,
        maturity_ms=settings.silence_matures_days * DAY_MS,
        kept_one_in=settings.legitimate_kept_one_in,
    )
    return silence, labels


def monitors_of(settings: Settings, warehouse: Warehouse, stop: threading.Event) -> ClickhouseToAlerts:
    """Return the monitors. They reach Kafka with their first round."""
    return ClickhouseToAlerts(
        warehouse=warehouse,
        open_alerts=lambda: KafkaAlerts(settings),
        stop=stop,
        wall_ms=_wall_ms,
        interval_s=settings.monitor_interval_s,
    )


def webhook_of(settings: Settings, stop: threading.Event) -> tuple[AlertsToWebhook, KafkaReader]:
    """Return what posts alerts, and its reader to close after it has run."""
    url, key = settings.alert_webhook_url.get_secret_value(), settings.alert_webhook_key.get_secret_value()
    topic = settings.topic_prefix + ALERTS.name
    reader = KafkaReader(settings, role="webhook", topics=[topic], on_revoked=lambda: None)
    return AlertsToWebhook(reader, Webhook(url, key, _wall_ms).post, stop, _wall_ms), reader


def page_of(warehouse: Warehouse, host: str, port: int, stop: threading.Event) -> Callable[[], object] | None:
    """Return what serves the page until told to stop; None where it is not part of this installation."""
    if find_spec("consumers.page") is None or find_spec(PAGE) is None:
        return None
    serve = import_module(PAGE).serve
    return lambda: serve(warehouse.query_columns, host, port, stop)


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
