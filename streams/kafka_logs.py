"""Topics read back from Kafka, a partition at a time, committed records only: the port of `streams.recompute`."""

import time
from collections.abc import Iterator
from typing import cast

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from schemas.connection import connection
from schemas.settings import Settings
from schemas.topics import MODELS, Topic
from streams.detector.stage import Record
from streams.kafka_task_log import end_of

TIMEOUT_S = 30.0
READ_WAIT_S = 0.5
READ_RECORDS_MAX = 1_000
STALLED_S_MAX = 60.0
"""How long nothing may come before the end is reached: longer than any transaction may stay open."""


class ReadError(Exception):
    """A partition could not be read to the end that it had."""


class KafkaLogs:
    """The topics of a deployment.

    Parameters
    ----------
    reader : names the group that the client asks for and never joins: `schemas/access.py` has a row for it.
    """

    def __init__(self, settings: Settings, reader: str = "recompute") -> None:
        self._settings = settings
        self._group = f"{settings.application_id}-{reader}"
        self._asking = self._consumer("read_uncommitted")
        # Kept for the next partition: a new one asks who leads what first.
        self._idle: list[Consumer] = []
        self._admin = AdminClient(connection(settings))

    def partitions(self, topic: Topic) -> int:
        name = self._settings.topic_prefix + topic.name
        told = self._asking.list_topics(name, timeout=TIMEOUT_S).topics[name]
        if told.error:
            raise KafkaException(told.error)
        return len(told.partitions)

    def bounds(self, topic: Topic, partition: int) -> tuple[int, int]:
        at = TopicPartition(self._settings.topic_prefix + topic.name, partition)
        low, high = self._asking.get_watermark_offsets(at, timeout=TIMEOUT_S)
        return low, high

    def stable(self, topic: Topic, partition: int) -> int:
        at = TopicPartition(self._settings.topic_prefix + topic.name, partition)
        return end_of(self._admin, at, IsolationLevel.READ_COMMITTED)

    def read(self, topic: Topic, partition: int, start: int = 0) -> Iterator[Record]:
        begin, end = self.bounds(topic, partition)
        reached = max(start, begin)
        if reached >= end:
            return
        consumer = self._idle.pop() if self._idle else self._consumer("read_committed")
        try:
            at = TopicPartition(self._settings.topic_prefix + topic.name, partition, reached)
            consumer.assign([at])
            moved_s = time.monotonic()
            while reached < end:
                before = reached
                for message in _some(consumer):
                    if (message.topic(), message.partition()) != (at.topic, at.partition):
                        continue  # of what was read before
                    reached, record = _taken(topic, message, reached)
                    if record is not None and record.offset < end:
                        yield record
                if reached > before:
                    moved_s = time.monotonic()
                elif time.monotonic() > moved_s + STALLED_S_MAX:
                    raise ReadError(f"{topic.name}-{partition} was read up to {reached} of {end}")
        finally:
            consumer.unassign()
            self._idle.append(consumer)

    def _consumer(self, isolation: str) -> Consumer:
        return Consumer(
            {
                **connection(self._settings),
                "group.id": self._group,
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": isolation,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 50,
                "queued.max.messages.kbytes": 16_384,
                "fetch.message.max.bytes": MODELS.value_bytes_max,
            }
        )

    def close(self) -> None:
        """Let go of Kafka. Nothing may be read any more."""
        for consumer in (self._asking, *self._idle):
            consumer.close()


def _some(consumer: Consumer) -> list[Message]:
    """Wait for a message, and return it with those that are there already."""
    message = consumer.poll(READ_WAIT_S)
    return [] if message is None else [message, *consumer.consume(READ_RECORDS_MAX, 0)]


def _taken(topic: Topic, message: Message, reached: int) -> tuple[int, Record | None]:
    """Return the offset reached and the record in what the client gave."""
    error = message.error()
    if error is None:
        offset = message.offset() or 0
        return offset + 1, record_of(topic, message)
    if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's local codes carry an underscore
        return max(reached, message.offset() or 0), None
    if not error.retriable():
        raise KafkaException(error)
    return reached, None


def record_of(topic: Topic, message: Message) -> Record:
    """Return the record in a message of a topic, under the topic's name without a prefix."""
    return Record(
        topic.name,
        message.partition() or 0,
        message.offset() or 0,
        message.timestamp()[1],
        _bytes(message.key()),
        _bytes(message.value()),
        tuple((name, _bytes(content)) for name, content in _headers(message)),
    )


def _headers(message: Message) -> list[tuple[str, str | bytes | None]]:
    return cast("list[tuple[str, str | bytes | None]]", message.headers() or [])


def _bytes(content: str | bytes | None) -> bytes | None:
    return content.encode() if isinstance(content, str) else content
