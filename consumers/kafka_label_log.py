"""Labels that wait, on Kafka: read by a group, and answered in transactions that commit the group's positions."""

import time
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from consumers.kafka_reader import KafkaReader
from consumers.labels_to_training import AbortedError
from consumers.rows import Record
from consumers.training import Write
from schemas.connection import insisted, writing
from schemas.settings import Settings
from schemas.topics import LABELS_WAITING

TIMEOUT_S = 30.0


class KafkaLabelLog:
    """`LabelLog` on a broker, for one thread.

    Two things keep a run that was taken for dead from writing after its successor. The transaction names the membership
    under which its labels were read, and the broker refuses it once they were given to another member (KIP-447). And a
    run of the same `name` fences the one before at once, so that nobody waits for what that one left open.
    """

    def __init__(self, settings: Settings, *, name: str, on_revoked: Callable[[], None]) -> None:
        self._prefix = settings.topic_prefix
        self._topic = settings.topic_prefix + LABELS_WAITING.name
        self._producer = Producer(
            {
                **writing(settings),
                "transactional.id": f"{settings.application_id}-{settings.topic_prefix}label-join-{name}",
                "transaction.timeout.ms": settings.transaction_timeout_ms,
                "log_level": 3,
                "linger.ms": 5,
                "compression.type": "lz4",
                "message.max.bytes": 5_000_000,
                "queue.buffering.max.messages": 1_000_000,
            }
        )
        self._settled(lambda: self._producer.init_transactions(TIMEOUT_S))
        # After the fence: the positions of a transaction that was left open are settled by it.
        self._reader = KafkaReader(settings, role="label-join", topics=[self._topic], on_revoked=on_revoked)

    @property
    def behind(self) -> AbstractSet[int]:
        return {partition for _, partition in self._reader.behind}

    @property
    def assigned(self) -> int:
        return self._reader.assigned

    @property
    def owns_all(self) -> bool:
        return self._reader.owns_all

    def read(self, timeout_s: float) -> list[Record]:
        return self._reader.read(timeout_s)

    def rest(self, partitions: AbstractSet[int]) -> None:
        self._reader.rest({(self._topic, partition) for partition in partitions})

    def begin(self) -> None:
        self._producer.begin_transaction()

    def write(self, write: Write) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            try:
                self._producer.produce(
                    self._prefix + write.topic.name,
                    value=write.value,
                    key=write.key,
                    partition=write.partition,
                    headers=list(write.headers),
                    timestamp=write.timestamp_ms or 0,
                )
            except BufferError:
                if time.monotonic() > deadline:
                    raise AbortedError("the producer's queue stayed full") from None
                self._producer.poll(0.01)
            except KafkaException as error:
                if error.args[0].fatal():
                    raise
                raise AbortedError(str(error.args[0])) from error
            else:
                return

    def commit(self, after: Mapping[int, int]) -> None:
        if self._reader.membership is None:
            raise AbortedError("the partitions were taken away")
        offsets = [TopicPartition(self._topic, partition, offset) for partition, offset in after.items()]
        self._settled(lambda: self._producer.send_offsets_to_transaction(offsets, self._reader.membership, TIMEOUT_S))
        self._settled(lambda: self._producer.commit_transaction(TIMEOUT_S))

    def abort(self) -> None:
        self._settled(lambda: self._producer.abort_transaction(TIMEOUT_S))

    def close(self) -> None:
        """Leave the group. A transaction that is open is left to the next run of this name, or to its time-out."""
        self._reader.close()
        self._producer.purge()

    def _settled(self, call: Callable[[], object]) -> None:
        """Make a call of the transaction's until it is answered: one that is repeated after a time-out goes on.

        Raises
        ------
        AbortedError
            The transaction must be aborted.
        KafkaException
            It is not known what became of it, or another run has fenced this one: only a new run can tell.
        """
        try:
            insisted(call, KafkaError.retriable)
        except KafkaException as error:
            if error.args[0].txn_requires_abort():
                raise AbortedError(str(error.args[0])) from error
            raise
