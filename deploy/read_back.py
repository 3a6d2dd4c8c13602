"""A topic read back to its end: what an audit, a meter and a benchmark look at."""

from collections.abc import Iterator
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from schemas.connection import connection, insisted
from schemas.settings import Settings


def read_topic(settings: Settings, topic: str) -> list[Any]:
    """Return every committed record of a topic up to its end now, partition by partition in offset order."""
    return sorted(each_record(settings, topic), key=lambda message: (message.partition(), message.offset()))


def each_record(settings: Settings, topic: str) -> Iterator[Any]:
    """Give every committed record of a topic up to its end now, those of a partition in order."""
    consumer = Consumer(
        {
            **connection(settings),
            "group.id": f"{settings.application_id}-audit",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 50,
            "log_level": 2,  # one that is closed while it logs in says so, and it means nothing
        }
    )
    partitions = [
        TopicPartition(topic, at, 0) for at in consumer.list_topics(topic, timeout=30).topics[topic].partitions
    ]
    # Somebody may be writing: what comes after this moment is not asked for.
    unread = {at.partition: _end(consumer, at) for at in partitions}
    unread = {partition: end for partition, end in unread.items() if end}
    consumer.assign(partitions)
    while unread:
        message = consumer.poll(1.0)
        if message is None:
            continue
        partition, error = message.partition(), message.error()
        if error is None:
            if (message.offset() or 0) < unread.get(partition or 0, 0):
                yield message
            else:
                unread.pop(partition or 0, None)
        elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's local codes carry an underscore
            unread.pop(partition or 0, None)
        elif not error.retriable():
            raise KafkaException(error)
    consumer.close()


def _end(consumer: Consumer, partition: TopicPartition) -> int:
    # A broker that has just started may not lead the partition yet.
    end: int = insisted(lambda: consumer.get_watermark_offsets(partition, timeout=10), lambda _: True)[1]
    return end
