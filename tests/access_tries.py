"""What a principal tries on a broker: each operation of the access table, as the client libraries do it."""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from schemas.access_to_kafka import EVERYTHING
from schemas.connection import connection
from schemas.settings import Settings

TIMEOUT_S = 30.0
FOREIGN = "somebody-elses"
"""A group and a transactional id of another deployment."""
CLUSTER = "kafka-cluster"
DONE, REFUSED = "done", "refused"
AUTHORIZATION = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    }
)
NOT_TOLD = logging.getLogger(f"{__name__}.refused")
"""What a client says of its own accord when it is refused."""
NOT_TOLD.addHandler(logging.NullHandler())
NOT_TOLD.propagate = False
Outcomes = dict[tuple[str, str, str], str]
"""Kind, name and operation -> done, refused, or what else the broker said."""


def outcomes(settings: Settings, user: str, resources: Mapping[str, list[str]], readable: str) -> Outcomes:
    """Try everything as one user, on the resources of each kind; return what came of it.

    `readable` is a topic that the user may read: to commit a position is to read the topic as well.
    """
    quiet = connection(settings) | {"log_level": 0}
    admin = AdminClient(quiet)
    topics, groups = resources["topic"], resources["group"]
    steps: tuple[tuple[str, str, Iterable[tuple[str, str]]], ...] = (
        ("topic", "write", _written(quiet, topics)),
        ("topic", "read", _read(quiet, admin, topics)),
        ("topic", "create", _created(admin, topics)),
        ("topic", "describe_configs", _configured(admin, topics)),
        ("topic", "alter_configs", _reconfigured(admin, topics)),
        ("group", "describe", _described(admin, groups)),
        ("group", "read", _committed(admin, groups, readable)),
        ("transactional_id", "write", _fenced(quiet, resources["transactional_id"])),
        ("cluster", "describe", _looked(admin)),
        ("cluster", "alter", _granted(admin, user)),
        ("topic", "delete", _deleted(admin, topics)),
    )
    return {(kind, name, operation): outcome for kind, operation, told in steps for name, outcome in told}


def _said(error: KafkaError | None, *, done: int | None = None) -> str:
    if error is None or error.code() == done:
        return DONE
    return REFUSED if error.code() in AUTHORIZATION else str(error)


def _answers(futures: Mapping[Any, "Future[Any]"], *, done: int | None = None) -> Iterator[tuple[str, str]]:
    for asked, future in futures.items():
        yield getattr(asked, "name", asked), _answer(future, done=done)


def _answer(future: "Future[Any]", *, done: int | None = None) -> str:
    try:
        future.result(timeout=TIMEOUT_S)
    except KafkaException as error:
        return _said(error.args[0], done=done)
    return DONE


def _written(quiet: dict[str, Any], topics: Iterable[str]) -> Iterator[tuple[str, str]]:
    outcomes: dict[str, str] = {}

    def told(error: KafkaError | None, message: Message) -> None:
        outcomes[message.topic() or ""] = _said(error)

    producer = Producer({**quiet, "message.timeout.ms": TIMEOUT_S * 1000, "linger.ms": 0})
    for topic in topics:
        producer.produce(topic, b"{}", b"nobody", partition=0, on_delivery=told)
    producer.flush(TIMEOUT_S)
    yield from outcomes.items()


def _read(quiet: dict[str, Any], admin: AdminClient, topics: list[str]) -> Iterator[tuple[str, str]]:
    # A consumer waits for a topic that it may not even see: that is refused before anything is read.
    outcomes = dict(_answers(admin.describe_topics(TopicCollection(topics))))
    seen = [topic for topic, outcome in outcomes.items() if outcome == DONE]
    consumer = Consumer(
        {
            **quiet,
            "group.id": FOREIGN,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 50,
        }
    )
    consumer.assign([TopicPartition(topic, 0, 0) for topic in seen])
    read: dict[str, str] = {}
    deadline = time.monotonic() + TIMEOUT_S
    while len(read) < len(seen) and time.monotonic() < deadline:
        for message in consumer.consume(100, 0.1):
            # An error of the group's names no topic: to read, nobody has to be in one.
            if topic := message.topic():
                read.setdefault(topic, _said(message.error(), done=KafkaError._PARTITION_EOF))
    consumer.close()
    yield from {**outcomes, **dict.fromkeys(seen, "nothing came"), **read}.items()


def _created(admin: AdminClient, topics: Iterable[str]) -> Iterator[tuple[str, str]]:
    wanted = [NewTopic(topic, 1, 1) for topic in topics]
    # They are there: who may create one is told so.
    yield from _answers(admin.create_topics(wanted, validate_only=True), done=KafkaError.TOPIC_ALREADY_EXISTS)


def _configured(admin: AdminClient, topics: Iterable[str]) -> Iterator[tuple[str, str]]:
    yield from _answers(admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic) for topic in topics]))


def _reconfigured(admin: AdminClient, topics: Iterable[str]) -> Iterator[tuple[str, str]]:
    change = ConfigEntry("retention.ms", "1", incremental_operation=AlterConfigOpType.SET)
    changes = [ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[change]) for topic in topics]
    yield from _answers(admin.incremental_alter_configs(changes))


def _deleted(admin: AdminClient, topics: list[str]) -> Iterator[tuple[str, str]]:
    yield from _answers(admin.delete_topics(topics))


def _described(admin: AdminClient, groups: Iterable[str]) -> Iterator[tuple[str, str]]:
    asked = {group: admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group] for group in groups}
    yield from _answers(asked)


def _committed(admin: AdminClient, groups: Iterable[str], topic: str) -> Iterator[tuple[str, str]]:
    offsets = [TopicPartition(topic, 0, 0)]
    told = {
        group: admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, offsets)])[group]
        for group in groups
    }
    for group, future in told.items():
        outcome = _answer(future)
        # Who may describe the group and not commit to it is told so of each partition.
        yield group, _said(future.result().topic_partitions[0].error) if outcome == DONE else outcome


def _fenced(quiet: dict[str, Any], transactional_ids: Iterable[str]) -> Iterator[tuple[str, str]]:
    for transactional_id in transactional_ids:
        try:
            Producer({**quiet, "transactional.id": transactional_id}, logger=NOT_TOLD).init_transactions(TIMEOUT_S)
        except KafkaException as error:
            yield transactional_id, _said(error.args[0])
        else:
            yield transactional_id, DONE


def _looked(admin: AdminClient) -> Iterator[tuple[str, str]]:
    # The client shows a refusal as an empty list; there are rights, or nothing here would be allowed.
    yield CLUSTER, DONE if admin.describe_acls(EVERYTHING).result(timeout=TIMEOUT_S) else REFUSED


def _granted(admin: AdminClient, user: str) -> Iterator[tuple[str, str]]:
    right = AclBinding(
        ResourceType.TOPIC,
        "*",
        ResourcePatternType.LITERAL,
        f"User:{user}",
        "*",
        AclOperation.ALL,
        AclPermissionType.ALLOW,
    )
    yield CLUSTER, _answer(admin.create_acls([right])[right])
