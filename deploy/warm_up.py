"""Requests that get a newly started broker up to speed before anything is measured.

A JVM interprets code until it has run it some thousand times, so the first seconds of transactions are many times as
slow as later ones. A broker in production has long been warm; one that was started for a demo has not.
"""

import threading
import uuid

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from schemas.connection import connection, writing
from schemas.settings import Settings

PARTITIONS = 12
PRODUCERS = 6
TRANSACTIONS_EACH = 80


def warm_up(settings: Settings) -> None:
    """Commit some hundred small transactions to a topic of their own, read them, and delete the topic.

    Raises
    ------
    KafkaException
        The broker refused.
    """
    topic = f"warm-up.{uuid.uuid4().hex}"
    admin = AdminClient(connection(settings) | {"log_level": 2})
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(timeout=30)
    failures: list[KafkaException] = []

    def commit(number: int) -> None:
        try:
            _transactions(settings, topic, f"{topic}-{number}")
        except KafkaException as error:
            failures.append(error)

    threads = [threading.Thread(target=commit, args=(number,)) for number in range(PRODUCERS)]
    for thread in threads:
        thread.start()
    _read(settings, topic, records=PRODUCERS * TRANSACTIONS_EACH * 3)
    for thread in threads:
        thread.join()
    admin.delete_topics([topic])[topic].result(timeout=30)
    if failures:
        raise failures[0]


def _transactions(settings: Settings, topic: str, transactional_id: str) -> None:
    producer = Producer(writing(settings) | {"transactional.id": transactional_id, "log_level": 2})
    producer.init_transactions(30)
    for number in range(TRANSACTIONS_EACH):
        producer.begin_transaction()
        for offset in range(3):
            producer.produce(topic, b"x" * 1_000, partition=(number + offset) % PARTITIONS)
        producer.commit_transaction(30)


def _read(settings: Settings, topic: str, *, records: int) -> None:
    consumer = Consumer(connection(settings) | {"group.id": topic, "isolation.level": "read_committed"})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    for _ in range(records):
        if consumer.poll(5.0) is None:
            break
    consumer.close()
