"""A history that goes on where it stopped: what of it is in the topics already, and a writer of the rest.

Each record says in its header which recording it is of and its place in the order of publishing. The writer of a
partition keeps that order, so the last record there tells what of the partition has been published, whenever a run was
killed; another run with the same recording publishes exactly what is missing. It need not: a payment that is sent again
is a duplicate, but only within 32 days of event time, and a history is longer.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Protocol, cast

from aiokafka.partitioner import murmur2
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from producers.kafka_writer import TOPIC_OF
from schemas.connection import connection
from schemas.history import Header, history_header, place_in
from schemas.recordings.stream import Event
from schemas.settings import Settings

TAIL = 100
"""Records at the end of a partition among which the last one of a history is looked for."""
TIMEOUT_S = 60.0

Published = Mapping[tuple[type[Event], int], int]
"""Kind of event and partition -> place of the last one that was published."""


def recording_of(*told: object) -> str:
    """Return a name that only recordings of which the same is told have.

    >>> recording_of("handbook", 7) == recording_of("handbook", 7) != recording_of("handbook", 8)
    True
    """
    return blake2b(repr(told).encode(), digest_size=8).hexdigest()


def published(settings: Settings, recording: str) -> Published:
    """Return how far a recording was published.

    Raises
    ------
    KafkaException
        The topics cannot be read.
    """
    consumer = Consumer(
        {
            **connection(settings),
            "group.id": f"{settings.application_id}-producers",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
        }
    )
    kinds = {settings.topic_prefix + topic.name: kind for kind, topic in TOPIC_OF.items()}
    places = [TopicPartition(name, partition) for name in kinds for partition in range(settings.partitions)]
    for place in places:
        low, high = consumer.get_watermark_offsets(place, timeout=TIMEOUT_S)
        place.offset = max(low, high - TAIL)
    consumer.assign(places)
    found: dict[tuple[type[Event], int], int] = {}
    unread, deadline = len(places), time.monotonic() + TIMEOUT_S
    while unread:
        if time.monotonic() > deadline:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001 - its public name
        for message in consumer.consume(1_000, 0.2):
            error = message.error()
            if error is not None:
                unread -= error.code() == KafkaError._PARTITION_EOF  # noqa: SLF001
                continue
            headers = cast("list[Header]", message.headers() or [])
            if (number := place_in(recording, headers)) is not None:
                found[kinds[message.topic() or ""], message.partition() or 0] = number
    consumer.close()
    return found


class HeaderWriter(Protocol):
    """A `Writer` that takes headers: `KafkaWriter`."""

    @property
    def failed(self) -> int:
        """Messages that were not delivered."""

    def send(self, event: Event, headers: Sequence[Header] = ()) -> bool:
        """Take an event, or return False where it must be sent again."""

    def poll(self) -> None:
        """Take answers."""

    def close(self) -> None:
        """Wait for what is under way."""


class HistoryWriter:
    """A `Writer` of one recording's events as history, from the first on; those that are there it only counts."""

    def __init__(
        self, kafka: HeaderWriter, recording: str, there: Published, partition_of: Callable[[str], int]
    ) -> None:
        self._kafka = kafka
        self._recording = recording
        self._there = there
        self._partition_of = partition_of
        self._number = 0
        self.skipped = 0

    @property
    def failed(self) -> int:
        """Messages that were not delivered."""
        return self._kafka.failed

    def send(self, event: Event) -> bool:
        """Publish the next event, or pass over it; False where it was not taken."""
        number = self._number + 1
        if self._there and number <= self._there.get((type(event), self._partition_of(event.card)), 0):
            self.skipped += 1
        elif not self._kafka.send(event, [history_header(self._recording, number)]):
            return False
        self._number = number
        return True

    def poll(self) -> None:
        """Take answers."""
        self._kafka.poll()

    def close(self) -> None:
        """Wait for what is under way."""
        self._kafka.close()


def partitioner(partitions: int) -> Callable[[str], int]:
    """Return where Java's murmur2 puts a card.

    >>> partitioner(12)("card_8f14e45f")
    1
    """

    @lru_cache(maxsize=200_000)
    def partition_of(card: str) -> int:
        partition: int = (murmur2(card.encode()) & 0x7FFFFFFF) % partitions
        return partition

    return partition_of
