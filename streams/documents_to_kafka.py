"""Publish a policy or a rate table: the last record of its topic is in force."""

import time

from confluent_kafka import Consumer, KafkaError, TopicPartition

from schemas.codec import encode
from schemas.connection import connection
from schemas.learning import PolicyVersion, RateTable
from schemas.settings import Settings
from schemas.signing import Signer
from schemas.topics import POLICIES, RATES
from streams.kafka_signed import write_signed

TIMEOUT_S = 30.0


class PublishError(Exception):
    """The document was not published."""


def publish(settings: Settings, document: PolicyVersion | RateTable, signer: Signer) -> None:
    """Write a document to its topic, signed, and wait until the broker has it.

    What is in force already is not written again.

    Raises
    ------
    PublishError
        Its version was published before with another content, or what was published cannot be read.
    NotWrittenError
        The broker did not take it.
    """
    to = POLICIES if isinstance(document, PolicyVersion) else RATES
    topic = settings.topic_prefix + to.name
    published = _published(settings, topic)
    key, value = document.version.encode(), encode(document)
    before = [held for version, held in published if version == key]
    if before and before[-1] != value:
        raise PublishError(f"version {document.version} was published before and is another: give this one a new name")
    if published and published[-1] == (key, value):
        return
    # The time keeps who would bring an older document back from doing so with its old signature.
    write_signed(settings, signer, to, key, value, at_ms=time.time_ns() // 1_000_000)


def _published(settings: Settings, topic: str) -> list[tuple[bytes, bytes]]:
    consumer = Consumer(
        {
            **connection(settings),
            "group.id": f"{settings.application_id}-publish",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
        }
    )
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        held: list[tuple[bytes, bytes]] = []
        while True:
            message = consumer.poll(TIMEOUT_S)
            if message is None:
                raise PublishError(f"{topic} could not be read within {TIMEOUT_S:.0f} s")
            error = message.error()
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                    return held
                raise PublishError(error.str())
            held.append((_bytes(message.key()), _bytes(message.value())))
    finally:
        consumer.close()


def _bytes(value: str | bytes | None) -> bytes:
    return value if isinstance(value, bytes) else (value or "").encode()
