"""How far the parts have come, asked of Kafka by somebody who takes part in nothing."""

import time
from collections.abc import Collection, Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from schemas.connection import connection, insisted
from schemas.settings import Settings
from schemas.topics import DECISIONS, LABELS, LABELS_WAITING, PREDICTIONS, PROFILED, TRAINING, TRANSACTIONS, Topic

Place = tuple[str, int]
"""Topic, with its prefix, and partition."""

INPUTS: Mapping[str, tuple[Topic, ...]] = {
    "decided": (TRANSACTIONS, LABELS, PROFILED),
    "stored": (PREDICTIONS,),
    "joined": (LABELS_WAITING,),
    "learned": (TRAINING,),
}
"""What is done with what, in the order in which one leads to the next: by workers, sink, label join and learner."""

TIMEOUT_S = 10
OUTAGE_S = 60
LOOK_S_MAX = 3.0
LOOK_OFFSETS_MAX = 1_000
"""More offsets than these are not all markers of transactions."""


class Observer:
    """Consumers that never join the groups of the parts, only ask what these have committed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        groups = {
            "decided": settings.worker_group(),
            "stored": settings.consumer_group("sink"),
            "joined": settings.consumer_group("label-join"),
            "learned": settings.worker_group("learning"),
        }
        self._members = {done: _member_of(settings, group) for done, group in groups.items()}

    def committed(self, done: str = "decided") -> dict[Place, int]:
        """Return how far every input of a part is processed, as its group tells; negative where it tells nothing."""
        places = [place for topic in INPUTS[done] for place in self._places(topic)]
        asked = [TopicPartition(*place) for place in places]
        try:
            told = self._members[done].committed(asked, timeout=TIMEOUT_S)
        except KafkaException:  # the broker has not made the topic of group offsets yet, or is down
            return dict.fromkeys(places, -1)
        return {(at.topic, at.partition): at.offset for at in told}

    def left(self, done: str = "decided") -> int:
        """Return how many offsets a part has still to process: 0 where nothing but markers of transactions is left.

        Workers and learner commit the end of what they have read; sink and label join the place behind a record, and
        the marker of its transaction lies behind that.
        """
        member, committed = self._members[done], self.committed(done)
        behind: dict[Place, tuple[int, int]] = {}
        for place, offset in committed.items():
            low, high = _ends(member, place)
            if high > max(low, offset):
                behind[place] = max(low, offset), high
        offsets = sum(high - start for start, high in behind.values())
        if 0 < offsets <= LOOK_OFFSETS_MAX:
            held = _with_records(member, {place: start for place, (start, _) in behind.items()})
            offsets = sum(high - start for place, (start, high) in behind.items() if place in held)
        return offsets

    def _written(self, topic: Topic) -> int:
        member = self._members["learned"]
        return sum(_ends(member, place)[1] for place in self._places(topic))

    def joined(self) -> int:
        """Return a number that grows whenever labels are joined."""
        return self._written(TRAINING)

    def has_decided(self) -> bool:
        """Return whether any payment was ever answered."""
        return self._written(DECISIONS) > 0

    def _places(self, topic: Topic) -> list[Place]:
        name = self._settings.topic_prefix + topic.name
        return [(name, partition) for partition in range(topic.partitions(self._settings.partitions))]

    def close(self) -> None:
        """Let go of Kafka."""
        for member in self._members.values():
            member.close()


def _ends(member: Consumer, place: Place) -> tuple[int, int]:
    """Return beginning and end of a partition; a broker that has just no leader for it is asked again."""
    at = TopicPartition(*place)
    low, high = insisted(lambda: member.get_watermark_offsets(at, timeout=TIMEOUT_S), lambda _: True, outage_s=OUTAGE_S)
    return low, high


def _with_records(member: Consumer, starts: Mapping[Place, int]) -> Collection[Place]:
    """Return the partitions with a committed record at or behind an offset; one that does not answer counts as such."""
    member.assign([TopicPartition(*place, offset) for place, offset in starts.items()])
    held, unanswered = set[Place](), set(starts)
    deadline = time.monotonic() + LOOK_S_MAX
    while unanswered and time.monotonic() < deadline:
        for message in member.consume(100, 0.1):
            place, error = (message.topic() or "", message.partition() or 0), message.error()
            if error is None:
                held.add(place)
            if error is None or error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
                unanswered.discard(place)
    member.unassign()
    return held | unanswered


def _member_of(settings: Settings, group: str) -> Consumer:
    return Consumer(
        {
            **connection(settings),
            "group.id": group,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 50,
            "log_level": 2,
        }
    )
