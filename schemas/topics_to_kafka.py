"""Create the topics of the table on a broker, and refuse to go on with ones that were made otherwise."""

from collections.abc import Iterable

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from schemas.settings import Settings
from schemas.topics import TOPICS, Topic

TIMEOUT_S = 30.0


class TopicMismatchError(Exception):
    """A topic exists with other partitions or another cleanup policy than the table says."""


def create_topics(settings: Settings, topics: Iterable[Topic] = TOPICS) -> None:
    """Create what is missing and check what is there. Safe to call from several processes at once.

    Raises
    ------
    TopicMismatchError
        An existing topic has another number of partitions or another cleanup policy: results would be wrong.
    KafkaException
        The broker refused or could not be reached within 30 s.
    """
    # A broker that cannot be reached is told once, as an exception, and not twenty times a second on stderr.
    quiet = {"log_level": 2, "reconnect.backoff.ms": 500, "reconnect.backoff.max.ms": 500}
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap, **quiet})
    wanted = {settings.topic_prefix + topic.name: topic for topic in topics}
    existing = admin.list_topics(timeout=TIMEOUT_S).topics
    missing = [_new_topic(settings, name, topic) for name, topic in wanted.items() if name not in existing]
    if missing:
        for future in admin.create_topics(missing, operation_timeout=TIMEOUT_S).values():
            try:
                future.result()
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise
    _check(admin, settings, {name: topic for name, topic in wanted.items() if name in existing})


def _configs(topic: Topic, replication_factor: int) -> dict[str, str]:
    return {
        "cleanup.policy": topic.cleanup,
        "retention.ms": str(topic.retention_ms),
        "max.message.bytes": str(topic.value_bytes_max + 65_536),
        "min.insync.replicas": str(max(1, replication_factor - 1)),
        **topic.configs,
    }


def _new_topic(settings: Settings, name: str, topic: Topic) -> NewTopic:
    return NewTopic(
        name,
        num_partitions=topic.partitions(settings.partitions),
        replication_factor=settings.replication_factor,
        config=_configs(topic, settings.replication_factor),
    )


def _check(admin: AdminClient, settings: Settings, existing: dict[str, Topic]) -> None:
    if not existing:
        return
    metadata = admin.list_topics(timeout=TIMEOUT_S).topics
    for name, topic in existing.items():
        found, expected = len(metadata[name].partitions), topic.partitions(settings.partitions)
        if found != expected:
            raise TopicMismatchError(
                f"topic {name} has {found} partitions and {expected} are asked for: set FRAUD_PARTITIONS={found}"
                " or use another FRAUD_TOPIC_PREFIX"
            )
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in existing]
    for resource, future in admin.describe_configs(resources).items():
        found_policy = future.result()["cleanup.policy"].value
        if found_policy != existing[resource.name].cleanup:
            raise TopicMismatchError(
                f"topic {resource.name} has cleanup.policy={found_policy};"
                f" set it to {existing[resource.name].cleanup} with kafka-configs"
            )
