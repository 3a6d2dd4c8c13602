"""A task's log on Kafka: a transactional confluent-kafka producer, and a reader of one state partition. Thin client."""

import time
from collections.abc import Sequence

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from schemas.connection import connection, writing
from schemas.settings import Settings
from schemas.topics import Topic
from streams.detector.stage import Output
from streams.exactly_once import FencedError, TransactionFailedError

TIMEOUT_S = 30.0
READ_WAIT_S = 0.05
LINGER_MS = 100
"""Longer than a step: its records leave together, at the commit, which waits for no linger. Sent one by one while the
step runs they are several times as many requests."""
READ_RECORDS_MAX = 5_000
READ_AHEAD_KB = 4_096
"""What a restore may have fetched and not taken yet: many tasks restore at once, and by default each takes 64 MB."""
_FENCED_CODES = frozenset(
    {
        KafkaError._FENCED,  # noqa: SLF001 - librdkafka's local error codes carry an underscore
        KafkaError.PRODUCER_FENCED,
        KafkaError.INVALID_PRODUCER_EPOCH,
    }
)


class KafkaTaskLog:
    """`TaskLog` for one stage and partition.

    Parameters
    ----------
    admin : shared by all tasks of a worker; it is thread-safe.
    """

    def __init__(self, settings: Settings, admin: AdminClient, stage: str, partition: int, state_log: Topic) -> None:
        self._settings = settings
        self._prefix = settings.topic_prefix
        self._admin = admin
        self._state = TopicPartition(settings.topic_prefix + state_log.name, partition)
        self._transactional_id = f"{settings.application_id}-{settings.topic_prefix}{stage}-{partition}"
        self._producer: Producer | None = None
        self._reader: Consumer | None = None
        self._reader_at = -1

    def fence(self) -> None:
        self._producer = Producer(
            {
                **writing(self._settings),
                "transactional.id": self._transactional_id,
                "log_level": 3,
                "transaction.timeout.ms": self._settings.transaction_timeout_ms,
                # Java's partitioner: librdkafka's own default puts 87 % of keys elsewhere.
                "partitioner": "murmur2_random",
                "linger.ms": LINGER_MS,
                "compression.type": "lz4",
                "message.max.bytes": 5_000_000,
                "queue.buffering.max.messages": 1_000_000,
            }
        )
        _translated(self._producer.init_transactions, TIMEOUT_S)
        # Learns every topic's leaders now, or the first records to each topic would wait for that.
        self._producer.list_topics(timeout=TIMEOUT_S)

    def state_end(self) -> int:
        return end_of(self._admin, self._state, IsolationLevel.READ_UNCOMMITTED)

    def read_state(self, start: int) -> tuple[Sequence[tuple[bytes, bytes | None]], int]:
        if self._reader is None or self._reader_at != start:
            self._seek_reader(start)
        assert self._reader is not None
        records: list[tuple[bytes, bytes | None]] = []
        for message in self._reader.consume(READ_RECORDS_MAX, READ_WAIT_S):
            error = message.error()
            if error is None:
                key = message.key()
                assert isinstance(key, bytes)
                records.append((key, message.value()))
                self._reader_at = (message.offset() or 0) + 1
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                self._reader_at = message.offset() or 0
            elif not error.retriable():
                raise KafkaException(error)
        return records, max(self._reader_at, start)

    def _seek_reader(self, start: int) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader = Consumer(
            {
                **connection(self._settings),
                "group.id": f"{self._settings.application_id}-restore",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 50,
                "queued.max.messages.kbytes": READ_AHEAD_KB,
            }
        )
        self._reader.assign([TopicPartition(self._state.topic, self._state.partition, start)])
        self._reader_at = start

    def begin(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        assert self._producer is not None
        _translated(self._producer.begin_transaction)

    def write(self, output: Output) -> None:
        assert self._producer is not None
        topic, key, value, partition, headers, timestamp_ms = output
        deadline = 0.0
        while True:
            try:
                # By place, which takes a third of the time that names take: seven records a payment are written.
                self._producer.produce(
                    self._prefix + topic.name,
                    value,
                    key,
                    -1 if partition is None else partition,
                    None,  # callback
                    None,  # on_delivery
                    timestamp_ms or 0,
                    list(headers) if headers else None,
                )
            except BufferError:
                deadline = deadline or time.monotonic() + TIMEOUT_S
                if time.monotonic() > deadline:
                    raise TransactionFailedError("the producer's queue stayed full") from None
                self._producer.poll(0.01)
            except KafkaException as error:
                raise _translation(error) from error
            else:
                return

    def commit(self) -> None:
        assert self._producer is not None
        _translated(self._producer.commit_transaction, TIMEOUT_S)

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
        if self._producer is not None:
            self._producer.purge()
        self._reader = self._producer = None


def end_of(admin: AdminClient, at: TopicPartition, isolation: IsolationLevel) -> int:
    """Return the end of a partition, as readers of this isolation level see it."""
    # The client asks the leader that it knows, and looks for no other when that is refused: let it look first.
    admin.list_topics(at.topic, timeout=TIMEOUT_S)
    request = {at: OffsetSpec.latest()}  # type: ignore[no-untyped-call]
    end: int = admin.list_offsets(request, isolation_level=isolation)[at].result(timeout=TIMEOUT_S).offset
    return end


def _translated(call: "type[object] | object", *arguments: float) -> None:
    try:
        call(*arguments)  # type: ignore[operator]
    except KafkaException as error:
        raise _translation(error) from error


def _translation(error: KafkaException) -> FencedError | TransactionFailedError:
    """Return what an error means to a task. Whether a timed-out commit took effect only its log can tell."""
    cause: KafkaError = error.args[0]
    if cause.code() in _FENCED_CODES or cause.fatal():
        return FencedError(str(cause))
    return TransactionFailedError(str(cause))
