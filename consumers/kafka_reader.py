"""A thin confluent-kafka consumer that hands out committed records and commits positions when told to.

Rebalances are eager: every partition is taken away before new ones are given, so what was read and not committed is
read again by whoever has the partition next.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from consumers.rows import Record
from schemas.connection import connection
from schemas.settings import Settings

log = logging.getLogger(__name__)

RECORDS_MAX = 2_000
REFUSED = frozenset({KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED})


class KafkaReader:
    """A member of the group `<application id>-<role>` on some topics. Not for several threads.

    `on_revoked` is called, within `read`, when partitions are taken away and again when new ones are given: what was
    read before is no longer ours.
    """

    def __init__(self, settings: Settings, *, role: str, topics: Iterable[str], on_revoked: Callable[[], None]) -> None:
        self._on_revoked = on_revoked
        self._paused = False
        self._assigned = 0
        self._behind: set[tuple[str, int]] = set()
        self._resting: set[tuple[str, int]] = set()
        self._membership: object = None
        self._consumer = Consumer(configuration(settings, role), logger=log)
        topics = list(topics)
        self._partitions = sum(
            len(self._consumer.list_topics(topic, timeout=30).topics[topic].partitions) for topic in topics
        )
        self._consumer.subscribe(topics, on_assign=self._assign, on_revoke=self._revoke, on_lost=self._revoke)

    def read(self, timeout_s: float, records_max: int = RECORDS_MAX) -> list[Record]:
        """Return the records that came within the time. Must be called more often than every five minutes.

        Raises
        ------
        KafkaException
            The client cannot go on, for example because it may not read a topic.
        """
        return [
            record_of(message) for message in self._consumer.consume(records_max, timeout_s) if self._is_record(message)
        ]

    def pause(self) -> None:
        """Let no more records come, and stay in the group by calling `read` all the same."""
        if not self._paused:
            self._paused = True
            self._consumer.pause(self._consumer.assignment())

    def resume(self) -> None:
        """Let records come again."""
        if self._paused:
            self._paused = False
            self._consumer.resume(self._consumer.assignment())

    def rest(self, places: AbstractSet[tuple[str, int]]) -> None:
        """Let no more records come of these partitions, and of the others again. Not to be mixed with `pause`."""
        for change, changed in (
            (self._consumer.pause, places - self._resting),
            (self._consumer.resume, self._resting - places),
        ):
            if changed:
                change([TopicPartition(*place) for place in changed])
        self._resting = set(places)

    @property
    def owns_all(self) -> bool:
        """Whether every partition of the topics is ours."""
        return self._assigned == self._partitions

    @property
    def assigned(self) -> int:
        """How many partitions are ours."""
        return self._assigned

    @property
    def behind(self) -> AbstractSet[tuple[str, int]]:
        """The partitions of ours that were not read up to their last committed record."""
        return self._behind

    @property
    def membership(self) -> object:
        """What a transaction names to be refused when our partitions have gone to another member meanwhile.

        It is what we were when they were given to us. What the client says we are now would not do: of a member that
        was thrown out it says "nobody", and the broker lets nobody commit whatever it likes.
        """
        return self._membership

    def at_end(self) -> bool:
        """Return whether we have every partition and each was read up to its last committed record.

        While another member holds some, nobody here can tell; one that was killed keeps its share until its time-out.
        """
        return self.owns_all and not self._behind

    def commit(self, positions: Mapping[tuple[str, int], int]) -> None:
        """Commit the first offsets not read, by topic and partition. Where that fails, the records come again."""
        offsets = [TopicPartition(topic, partition, offset) for (topic, partition), offset in positions.items()]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            log.warning("positions were not committed, their records will be read again: %s", error)

    def close(self) -> None:
        """Leave the group. Nothing is committed."""
        self._consumer.close()

    def _is_record(self, message: Message) -> bool:
        place = (message.topic() or "", message.partition() or 0)
        error = message.error()
        if error is None:
            self._behind.add(place)
            return True
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the client's public name for it
            self._behind.discard(place)
        elif error.fatal() or error.code() in REFUSED:
            raise KafkaException(error)
        else:
            log.warning("reading %s: %s", place, error)
        return False

    def _assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        log.info("reading %d partitions", len(partitions))
        self._assigned = len(partitions)
        self._behind = {(partition.topic, partition.partition) for partition in partitions}
        self._membership = consumer.consumer_group_metadata()
        self._on_revoked()  # a read may still have given what it had when the partitions were taken away
        if self._paused:
            consumer.assign(partitions)
            consumer.pause(partitions)

    def _revoke(self, _consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        self._assigned = 0
        self._behind = set()
        self._resting = set()
        self._membership = None
        self._on_revoked()


def configuration(settings: Settings, role: str) -> dict[str, Any]:
    """Return the client's configuration.

    >>> chosen = configuration(Settings(application_id="fraud"), "sink")
    >>> chosen["group.id"], chosen["isolation.level"], chosen["enable.auto.commit"]
    ('fraud-sink', 'read_committed', False)
    """
    return {
        **connection(settings),
        "group.id": settings.consumer_group(role),
        "client.id": settings.consumer_group(role),
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "enable.partition.eof": True,
        "partition.assignment.strategy": "range",
        "session.timeout.ms": settings.session_timeout_ms,
        "heartbeat.interval.ms": max(250, settings.session_timeout_ms // 4),
        # Rows are stored in batches of a second anyhow: without a least size every record would cost the broker an
        # answer that names all partitions.
        "fetch.min.bytes": 262_144,
        "fetch.wait.max.ms": 500,
        # Above the largest record of any topic, so that one of them cannot stop a partition.
        "max.partition.fetch.bytes": 8_388_608,
        "queued.max.messages.kbytes": 65_536,
    }


def record_of(message: Message) -> Record:
    """Return a message of the client as the record that it is."""
    _, timestamp_ms = message.timestamp()
    headers = cast("list[tuple[str, str | bytes | None]]", message.headers() or [])
    return Record(
        topic=message.topic() or "",
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        timestamp_ms=timestamp_ms,
        key=_bytes(message.key()),
        value=_bytes(message.value()),
        headers=tuple((name, _bytes(content)) for name, content in headers),
    )


def _bytes(content: str | bytes | None) -> bytes | None:
    return content.encode() if isinstance(content, str) else content
