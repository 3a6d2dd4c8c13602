"""A thin client that reads a topic from one place to another and then is done: no group, no positions."""

import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from consumers.kafka_reader import record_of
from consumers.rows import Record
from schemas.connection import Answer, connection, insisted
from schemas.settings import Settings
from schemas.topics import Topic

TIMEOUT_S = 30.0
POLL_S = 0.05
MESSAGES_MAX = 1_000

LEADERLESS = frozenset(
    [
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.REPLICA_NOT_AVAILABLE,
    ]
)
"""Errors that pass when a leader is found. Whether there is such a topic was asked before."""

Offsets = Mapping[int, int]
"""Partition -> offset."""


class ScanError(Exception):
    """A topic is not there, or could not be read to where it had to be."""


class KafkaScan:
    """Readings of one topic, one after the other. Only committed records are seen. Use it as a context.

    Raises
    ------
    ScanError
        There is no such topic.
    KafkaException
        The broker cannot be reached within 30 s.
    """

    def __init__(self, settings: Settings, topic: Topic) -> None:
        self._topic = settings.topic_prefix + topic.name
        servers = connection(settings) | {"log_level": 2}
        self._admin = AdminClient(servers)
        self._partitions = _led(self._partitions_now)
        self._consumer = Consumer(
            servers
            | {
                "group.id": f"{settings.application_id}-scan",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 50,
                "max.partition.fetch.bytes": 8_388_608,
            }
        )

    def _partitions_now(self) -> tuple[int, ...]:
        found = self._admin.list_topics(self._topic, timeout=TIMEOUT_S).topics[self._topic]
        if found.error and found.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise ScanError(f"there is no topic {self._topic}")
        if found.error:
            raise KafkaException(found.error)
        return tuple(found.partitions)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close()

    @property
    def start(self) -> dict[int, int]:
        """Where every partition begins."""
        return dict.fromkeys(self._partitions, 0)

    def end(self, *, committed: bool = True) -> dict[int, int]:
        """Return where every partition ends now; on request with the transactions that are not settled yet."""
        level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
        return self._offsets(OffsetSpec.latest(), level)  # type: ignore[no-untyped-call]

    def at(self, time_ms: int) -> dict[int, int]:
        """Return the first offset with this Kafka timestamp or a later one; where there is none, the end."""
        found = self._offsets(OffsetSpec.for_timestamp(max(0, time_ms)), IsolationLevel.READ_COMMITTED)
        end = self.end()
        return {partition: end[partition] if offset < 0 else offset for partition, offset in found.items()}

    def _offsets(self, spec: OffsetSpec, level: IsolationLevel) -> dict[int, int]:
        asked = {TopicPartition(self._topic, partition): spec for partition in self._partitions}

        def answers() -> dict[int, int]:
            futures = self._admin.list_offsets(asked, isolation_level=level, request_timeout=TIMEOUT_S)
            return {at.partition: future.result().offset for at, future in futures.items()}

        return _led(answers)

    def read(self, start: Offsets, end: Offsets) -> Iterator[Record]:
        """Give every record from `start` up to before `end`, those of a partition in order.

        Raises
        ------
        ScanError
            Nothing came for half a minute, although the end was not reached.
        """
        unread = {partition: at for partition, at in end.items() if start.get(partition, 0) < at}
        deadline = time.monotonic() + TIMEOUT_S
        for message in self._messages({partition: start.get(partition, 0) for partition in unread}):
            if message is None:
                if not unread:
                    return
                if time.monotonic() > deadline:
                    raise ScanError(f"{self._topic} could not be read to its end in {TIMEOUT_S:.0f} s")
                continue
            partition, offset = message.partition() or 0, message.offset() or 0
            if message.error() is None and offset < unread.get(partition, 0):
                deadline = time.monotonic() + TIMEOUT_S
                yield record_of(message)
                offset += 1
            if offset >= unread.get(partition, 0):
                unread.pop(partition, None)
                if not unread:
                    return

    def follow(self, start: Offsets, wait_s: float) -> Iterator[Record]:
        """Give every record from `start` on as it comes, until so many seconds have passed."""
        deadline = time.monotonic() + wait_s
        for message in self._messages(start):
            if message is not None and message.error() is None:
                yield record_of(message)
            if time.monotonic() > deadline:
                return

    def _messages(self, start: Offsets) -> Iterator[Message | None]:
        """Give what the client gives: records, ends of partitions, and None where nothing came for a moment."""
        self._consumer.assign([TopicPartition(self._topic, partition, at) for partition, at in start.items()])
        while True:
            messages = self._consumer.consume(MESSAGES_MAX, POLL_S) if start else []
            for message in messages:
                error = message.error()
                if error is None or error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
                    yield message
                elif not error.retriable():
                    raise KafkaException(error)
            yield None


def _led(call: Callable[[], Answer]) -> Answer:
    """Return what a call returns, made again while partitions have no leader: new ones, or those of a lost broker."""
    return insisted(call, lambda error: error.code() in LEADERLESS)
