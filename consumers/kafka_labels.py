"""Labels that this room itself publishes, on Kafka."""

import threading
from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from schemas.codec import encode
from schemas.connection import writing
from schemas.label import Label
from schemas.settings import Settings
from schemas.topics import LABELS

WAIT_S = 0.2


class KafkaLabels:
    """An idempotent producer of `payments.labels.v1`, which waits for a broker that is away."""

    def __init__(self, settings: Settings, stop: threading.Event) -> None:
        self._topic = settings.topic_prefix + LABELS.name
        self._stop = stop
        self._failed: list[KafkaError] = []
        self._producer = Producer(
            {
                **writing(settings),
                "message.timeout.ms": 0,
                "partitioner": "murmur2_random",
                "compression.type": "lz4",
                "linger.ms": 5,
                "log_level": 3,
                "queue.buffering.max.messages": 1_000_000,
            }
        )

    def publish(self, labels: Sequence[Label]) -> bool:
        """Return whether all of them are acknowledged: not where this process is to stop before.

        Raises
        ------
        KafkaException
            The broker refused one.
        """
        for label in labels:
            self._producer.produce(self._topic, encode(label), label.card.encode(), on_delivery=self._delivered)
        while self._producer.flush(WAIT_S):
            if self._stop.is_set():
                return False
        if self._failed:
            raise KafkaException(self._failed[0])
        return True

    def close(self) -> None:
        """Forget what is not acknowledged."""
        self._producer.purge()

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._failed.append(error)
