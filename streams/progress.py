"""Word of every worker's card tasks, shared through `fraud.progress.v1`. A thin client; advisory: no transactions."""

import logging
import threading

from confluent_kafka import Consumer, Producer, TopicPartition

from schemas.codec import DecodeFailure, decode, encode
from schemas.connection import connection, writing
from schemas.learning import Progress
from schemas.settings import Settings
from schemas.topics import PROGRESS

logger = logging.getLogger(__name__)

BACKLOG = 1_000


class ProgressExchange:
    """Writes this worker's progress and hears of the others'."""

    def __init__(self, settings: Settings, worker: str) -> None:
        self._topic = settings.topic_prefix + PROGRESS.name
        self._worker = worker
        self._heard: dict[str, Progress] = {}
        self._producer = Producer({**writing(settings), "linger.ms": 0})
        self._consumer = Consumer(
            {
                **connection(settings),
                "group.id": f"{settings.application_id}-progress-{worker}",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 100,
            }
        )
        # Every worker speaks at least once a second when it has something to say: what is older does not matter.
        _, end = self._consumer.get_watermark_offsets(TopicPartition(self._topic, 0), timeout=30)
        self._consumer.assign([TopicPartition(self._topic, 0, max(0, end - BACKLOG))])
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="progress", daemon=True)
        self._thread.start()

    def tell(self, watermarks_ms: dict[int, int], caught_up_at_ms: dict[int, int]) -> None:
        """Write where this worker's tasks are."""
        progress = Progress(
            worker=self._worker,
            watermarks_ms={str(partition): time_ms for partition, time_ms in watermarks_ms.items()},
            caught_up_at_ms={str(partition): time_ms for partition, time_ms in caught_up_at_ms.items()},
        )
        try:
            self._producer.produce(self._topic, encode(progress), key=self._worker.encode())
            self._producer.poll(0)
        except BufferError:
            logger.warning("progress could not be written: the producer's queue is full")

    def heard(self) -> list[Progress]:
        """Return the newest word of every other worker since the last call."""
        return [self._heard.pop(worker) for worker in list(self._heard)]

    def _listen(self) -> None:
        while not self._stopping.is_set():
            message = self._consumer.poll(0.2)
            if message is None or message.error():
                continue
            progress = decode(Progress, message.value())
            if isinstance(progress, DecodeFailure):
                logger.warning("%s: unreadable progress: %s", self._topic, progress.detail)
            elif progress.worker != self._worker:
                self._heard[progress.worker] = progress
        self._consumer.close()

    def close(self) -> None:
        """Stop listening."""
        self._stopping.set()
        self._thread.join(timeout=2)
