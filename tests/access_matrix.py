"""The access table tried on a broker, every cell: what is allowed is done, what is not is refused."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import product
from typing import Any, NamedTuple

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

from deploy.broker import Broker
from deploy.security import ADMIN
from schemas.access import PRINCIPALS, TABLE, Binding, bindings, covers, user_of
from schemas.access_to_kafka import EVERYTHING, apply
from schemas.connection import connection
from schemas.settings import Settings
from schemas.topics import TOPICS, TRANSACTIONS, Topic
from schemas.topics_to_kafka import create_topics

TIMEOUT_S = 30.0
AT_ONCE = 4
"""Principals that are tried at the same time."""
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
OPERATIONS: Mapping[str, tuple[str, ...]] = {
    "topic": ("read", "write", "create", "describe_configs", "alter_configs", "delete"),
    "group": ("describe", "read"),
    "transactional_id": ("write",),
    "cluster": ("describe", "alter"),
}
"""What is tried on each kind of resource."""


class Cell(NamedTuple):
    """One thing that one principal may or may not do."""

    principal: str
    kind: str
    name: str
    operation: str


class Tried(NamedTuple):
    """A cell, whether the table allows it, and what the broker did."""

    cell: Cell
    allowed: bool
    outcome: str

    @property
    def wrong(self) -> bool:
        """Whether the broker did otherwise than the table says."""
        return self.outcome != (DONE if self.allowed else REFUSED)


def deployed(broker: Broker, topic_prefix: str = "matrix.") -> Callable[[str], Settings]:
    """Create the topics on a secure broker, give the rights of the table, and return each principal's settings."""

    def settings_of(principal: str) -> Settings:
        return Settings.model_validate({**broker.client(principal), "topic_prefix": topic_prefix, "partitions": 1})

    create_topics(settings_of(ADMIN))
    apply(settings_of(ADMIN))
    _wait_for_groups(settings_of(ADMIN))
    return settings_of


def _wait_for_groups(settings: Settings) -> None:
    """Make the topic of all groups, which their first use does, and wait until it is read."""
    asked = [TopicPartition(settings.topic_prefix + TRANSACTIONS.name, 0)]
    for group in names(settings, "group"):
        consumer, deadline = Consumer(connection(settings) | {"group.id": group}), time.monotonic() + TIMEOUT_S
        while True:
            try:
                consumer.committed(asked, timeout=TIMEOUT_S)
                break
            except KafkaException:
                if time.monotonic() > deadline:
                    raise
        consumer.close()


def tried(settings_of: Callable[[str], Settings]) -> list[Tried]:
    """Try every cell; `settings_of` gives the settings of a principal's process. Nobody else may use the topics."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = dict(
            pair
            for each in pool.map(lambda principal: _outcomes(principal, settings_of(principal)), PRINCIPALS)
            for pair in each.items()
        )
    settings = settings_of(PRINCIPALS[0])
    rights = bindings(settings.application_id, settings.topic_prefix)
    return [
        Tried(
            cell,
            allowed(rights, user_of(settings.application_id, cell.principal), cell),
            outcomes.get(cell, "never tried"),
        )
        for cell in cells(settings)
    ]


def cells(settings: Settings) -> list[Cell]:
    """Return every cell: each principal, each resource that the table names and foreign ones, each operation."""
    return [
        Cell(principal, kind, name, operation)
        for principal, (kind, operations) in product(PRINCIPALS, OPERATIONS.items())
        for name in names(settings, kind)
        for operation in operations
    ]


def names(settings: Settings, kind: str) -> list[str]:
    """Return the resources of a kind, one for each pattern of names, and a foreign one."""
    if kind == "cluster":
        return [CLUSTER]
    if kind == "topic":
        return [settings.topic_prefix + topic.name for topic in TOPICS]
    rights = bindings(settings.application_id, settings.topic_prefix)
    named = {each.name + ("0" if each.pattern == "prefixed" else "") for each in rights if each.kind == kind}
    return [*sorted(named), FOREIGN]


def allowed(rights: Iterable[Binding], user: str, cell: Cell) -> bool:
    """Return whether these rights give a user a cell; to read, write or delete is to describe."""
    enough = {cell.operation} | ({"read", "write", "delete"} if cell.operation == "describe" else set())
    return any(
        right.principal == f"User:{user}" and right.operation in enough and covers(right, cell.kind, cell.name)
        for right in rights
    )


def _outcomes(principal: str, settings: Settings) -> dict[Cell, str]:
    quiet = connection(settings) | {"log_level": 0}
    admin = AdminClient(quiet)
    topics, groups = names(settings, "topic"), names(settings, "group")
    steps: tuple[tuple[str, str, Iterable[tuple[str, str]]], ...] = (
        ("topic", "write", _written(quiet, topics)),
        ("topic", "read", _read(quiet, admin, topics)),
        ("topic", "create", _created(admin, topics)),
        ("topic", "describe_configs", _configured(admin, topics)),
        ("topic", "alter_configs", _reconfigured(admin, topics)),
        ("group", "describe", _described(admin, groups)),
        ("group", "read", _committed(admin, groups, settings.topic_prefix + _readable(principal).name)),
        ("transactional_id", "write", _fenced(quiet, names(settings, "transactional_id"))),
        ("cluster", "describe", _looked(admin)),
        ("cluster", "alter", _granted(admin, user_of(settings.application_id, principal))),
        ("topic", "delete", _deleted(admin, topics)),
    )
    return {
        Cell(principal, kind, name, operation): outcome
        for kind, operation, outcomes in steps
        for name, outcome in outcomes
    }


def _readable(principal: str) -> Topic:
    """Return a topic that a principal may read; whoever may read none may commit to no group either."""
    readable = [row.names[0] for row in TABLE if row.principal == principal and "read" in row.operations]
    return next((topic for topic in readable if isinstance(topic, Topic)), TRANSACTIONS)


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
