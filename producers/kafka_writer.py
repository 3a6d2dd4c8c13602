"""A thin idempotent producer: messages keyed by card, counted when they are acknowledged or lost."""

from collections.abc import Mapping, Sequence

from confluent_kafka import KafkaError, Message, Producer

from schemas.codec import encode
from schemas.connection import writing
from schemas.history import Header
from schemas.label import Label, Outcome
from schemas.recordings.stream import Event
from schemas.settings import Settings
from schemas.topics import LABELS, OUTCOMES, TRANSACTIONS, Topic
from schemas.transaction import Transaction

QUEUE_MESSAGES = 50_000
"""Most messages waiting for the broker; then `send` asks to try again."""

DELIVERY_TIMEOUT_MS = 120_000
"""How long a message is retried before it counts as failed: longer than a broker takes to restart."""

FULL_QUEUE_WAIT_S = 0.1

TOPIC_OF: Mapping[type[Event], Topic] = {Transaction: TRANSACTIONS, Label: LABELS, Outcome: OUTCOMES}
"""Where each kind of event goes."""


class KafkaWriter:
    """Sends events, each to the topic of its kind, and keeps count. Close it to wait for what is under way.

    `delivered` and `failed` grow as the broker answers; `first_failure` says why the first was lost. One that is
    `patient` gives no message up while the broker is away, so what is in a partition is all up to its last record.
    """

    def __init__(self, settings: Settings, *, patient: bool = False) -> None:
        self.delivered = 0
        self.failed = 0
        self.first_failure: str | None = None
        self._topics = {kind: settings.topic_prefix + topic.name for kind, topic in TOPIC_OF.items()}
        self._producer = Producer(
            {
                **writing(settings),
                "client.id": f"{settings.application_id}-producers",
                # The Java client's partitioner; librdkafka's own puts most keys elsewhere.
                "partitioner": "murmur2_random",
                "linger.ms": 5,
                "compression.type": "lz4",
                "delivery.timeout.ms": 0 if patient else DELIVERY_TIMEOUT_MS,
                "queue.buffering.max.messages": QUEUE_MESSAGES,
            }
        )

    def send(self, event: Event, headers: Sequence[Header] = ()) -> bool:
        """Hand over one message. Return False where the queue is full: it was not taken, send it again.

        Raises
        ------
        KafkaException
            The producer can send nothing any more, or not this message.
        """
        try:
            self._producer.produce(
                self._topics[type(event)],
                value=encode(event),
                key=event.card,
                headers=list(headers),
                on_delivery=self._answered,
            )
        except BufferError:
            self._producer.poll(FULL_QUEUE_WAIT_S)
            return False
        self._producer.poll(0)
        return True

    def poll(self) -> None:
        """Take the broker's answers that have arrived."""
        self._producer.poll(0)

    def close(self, timeout_s: float = DELIVERY_TIMEOUT_MS / 1000) -> None:
        """Wait until every message is acknowledged or failed; what is left after `timeout_s` has failed."""
        if self._producer.flush(timeout_s):
            self._producer.purge()
            self._producer.flush(1.0)

    def _answered(self, error: KafkaError | None, _message: Message) -> None:
        if error is None:
            self.delivered += 1
        else:
            self.failed += 1
            self.first_failure = self.first_failure or error.str()
