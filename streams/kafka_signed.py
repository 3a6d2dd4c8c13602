"""One signed record of a person's to its topic: written, and waited for until the broker has it."""

from confluent_kafka import KafkaError, Message, Producer

from schemas.connection import writing
from schemas.settings import Settings
from schemas.signing import Signer
from schemas.topics import Topic

TIMEOUT_S = 30.0


class NotWrittenError(Exception):
    """The broker did not take the record."""


def write_signed(settings: Settings, signer: Signer, topic: Topic, key: bytes, value: bytes, *, at_ms: int) -> None:
    """Write a record to the one partition of a topic, signed as of a time. Raises NotWrittenError."""
    failed: list[KafkaError] = []

    def on_delivery(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failed.append(error)

    producer = Producer(writing(settings))
    headers: list[tuple[str, str | bytes | None]] = [*signer.headers(topic, key, value, at_ms)]
    name = settings.topic_prefix + topic.name
    producer.produce(name, value, key, partition=0, headers=headers, on_delivery=on_delivery)
    if producer.flush(TIMEOUT_S) or failed:
        raise NotWrittenError(failed[0].str() if failed else f"no answer within {TIMEOUT_S:.0f} s")
