"""The access table tried on a broker, every cell: what is allowed is done, what is not is refused."""

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicPartition

from deploy.broker import Broker
from deploy.security import ADMIN
from schemas.access import PRINCIPALS, TABLE, Binding, bindings, covers, user_of
from schemas.access_to_kafka import apply
from schemas.connection import connection
from schemas.settings import Settings
from schemas.topics import TOPICS, TRANSACTIONS, Topic
from schemas.topics_to_kafka import create_topics
from tests.access_tries import CLUSTER, DONE, FOREIGN, REFUSED, TIMEOUT_S, outcomes

AT_ONCE = 4
"""Principals that are tried at the same time."""
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
    settings = settings_of(PRINCIPALS[0])
    rights = bindings(settings.application_id, settings.topic_prefix)
    users = {principal: user_of(settings.application_id, principal) for principal in PRINCIPALS}
    resources = {kind: names(settings, kind) for kind in OPERATIONS}

    def try_as(principal: str) -> dict[Cell, str]:
        readable = settings.topic_prefix + _readable(principal).name
        found = outcomes(settings_of(principal), users[principal], resources, readable)
        return {Cell(principal, *what): outcome for what, outcome in found.items()}

    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = dict(pair for each in pool.map(try_as, PRINCIPALS) for pair in each.items())
    return [
        Tried(cell, allowed(rights, users[cell.principal], cell), found.get(cell, "never tried"))
        for cell in cells(settings)
    ]


def _readable(principal: str) -> Topic:
    """Return a topic that a principal may read; whoever may read none may commit to no group either."""
    readable = [row.names[0] for row in TABLE if row.principal == principal and "read" in row.operations]
    return next((topic for topic in readable if isinstance(topic, Topic)), TRANSACTIONS)


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
