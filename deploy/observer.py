"""How far the parts have come, asked of Kafka by somebody who takes part in nothing."""

import time
from collections.abc import Iterator

from confluent_kafka import Consumer, KafkaException, TopicPartition

from schemas.connection import connection
from schemas.settings import Settings
from schemas.topics import LABELS, PROFILED, TRAINING, TRANSACTIONS

STAGE_INPUTS = (TRANSACTIONS, LABELS, PROFILED)
TIMEOUT_S = 10
OUTAGE_S = 60
AGAIN_S = 0.5


class Observer:
    """Consumers that never join the groups of workers and learner, only ask what these have committed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._workers = _member_of(settings, settings.application_id)
        self._learner = _member_of(settings, f"{settings.application_id}-learning")

    def committed(self) -> dict[tuple[str, int], int]:
        """Return how far every input is processed, as the workers' group tells; negative where it tells nothing yet."""
        try:
            told = self._workers.committed(list(self._inputs()), timeout=TIMEOUT_S)
        except KafkaException:  # the broker has not made the topic of group offsets yet, or is down
            told = [TopicPartition(at.topic, at.partition, -1) for at in self._inputs()]
        return {(at.topic, at.partition): at.offset for at in told}

    def _inputs(self) -> Iterator[TopicPartition]:
        for topic in STAGE_INPUTS:
            for partition in range(topic.partitions(self._settings.partitions)):
                yield TopicPartition(self._settings.topic_prefix + topic.name, partition)

    def lag(self) -> int:
        """Return how many offsets the workers have still to process."""
        committed = self.committed()
        return sum(
            max(0, _end(self._workers, TopicPartition(*at)) - max(0, offset)) for at, offset in committed.items()
        )

    def learned(self) -> bool:
        """Whether the learner has learned all that is in the training log."""
        training = TopicPartition(self._settings.topic_prefix + TRAINING.name, 0)
        end = _end(self._learner, training)
        try:
            told = self._learner.committed([training], timeout=TIMEOUT_S)[0].offset
        except KafkaException:
            return False
        # Negative where nothing was ever learned, which is all where nothing is to be learned.
        return max(0, told) >= end

    def close(self) -> None:
        """Let go of Kafka."""
        self._workers.close()
        self._learner.close()


def _end(consumer: Consumer, at: TopicPartition) -> int:
    """Return the end of a partition; a broker that has just no leader for it is asked again."""
    give_up_at = time.monotonic() + OUTAGE_S
    while True:
        try:
            end: int = consumer.get_watermark_offsets(at, timeout=TIMEOUT_S)[1]
        except KafkaException:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(AGAIN_S)
        else:
            return end


def _member_of(settings: Settings, group: str) -> Consumer:
    return Consumer(
        {
            **connection(settings),
            "group.id": settings.topic_prefix + group,
            "enable.auto.commit": False,
            "log_level": 2,
        }
    )
