"""Dead letters back to the topics that they came from, each once: record and marker are one Kafka transaction.

Every replay has the same transactional id. A new one fences the one before, which settles whatever that left open, and
then reads the markers to their end; so it knows of every dead letter that landed, and nobody else can add one.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from consumers.kafka_scan import KafkaScan
from consumers.letters import Asked, Letter, letter_of
from consumers.replay import Landing
from schemas.codec import DecodeFailure, decode, encode
from schemas.connection import insisted, writing
from schemas.dead_letter import Replayed
from schemas.settings import Settings
from schemas.topics import DEAD_LETTERS, DEAD_LETTERS_REPLAYED

TIMEOUT_S = 30.0


class ReplayError(Exception):
    """The transaction did not commit, or nobody knows. Another replay does what is left, and repeats nothing."""


class LettersToTopics:
    """The one who replays, until another begins.

    Raises
    ------
    ReplayError
        The broker did not let us begin.
    """

    def __init__(self, settings: Settings) -> None:
        self._prefix = settings.topic_prefix
        self._producer = Producer(
            {
                **writing(settings),
                "transactional.id": f"{settings.application_id}-{settings.topic_prefix}dead-letter-replay",
                "transaction.timeout.ms": settings.transaction_timeout_ms,
                "log_level": 3,
                # The Java client's partitioner, which put the first record where its key belongs, if it did.
                "partitioner": "murmur2_random",
                "linger.ms": 5,
                "compression.type": "lz4",
                "message.max.bytes": 5_000_000,
            }
        )
        _settled(lambda: self._producer.init_transactions(TIMEOUT_S))

    def replay(self, landings: Sequence[Landing]) -> None:
        """Write records and their markers: on return all are there, on an error all or none.

        Raises
        ------
        ReplayError
            See there.
        """
        _settled(self._producer.begin_transaction)
        for landing in landings:
            self._write(landing.topic.name, landing.key, landing.value, landing.partition, landing.headers)
            marker = landing.marker
            self._write(DEAD_LETTERS_REPLAYED.name, marker.place.encode(), encode(marker), 0)
        self.commit()

    def commit(self) -> None:
        """Commit what was written."""
        _settled(lambda: self._producer.commit_transaction(TIMEOUT_S))

    def _write(
        self,
        topic: str,
        key: bytes,
        value: bytes,
        partition: int | None,
        headers: Sequence[tuple[str, bytes | None]] = (),
    ) -> None:
        try:
            self._producer.produce(
                self._prefix + topic, value, key, -1 if partition is None else partition, headers=list(headers)
            )
        except KafkaException as error:
            raise ReplayError(str(error.args[0])) from error


def markers(settings: Settings, *, settled: bool) -> dict[str, Replayed]:
    """Return what was replayed, by the places of the dead letters.

    `settled`: read to the uncommitted end, which whoever has fenced all others can wait for and must; to its last
    committed record a reader may be behind one that was committed just now.
    """
    found = {}
    with KafkaScan(settings, DEAD_LETTERS_REPLAYED) as scan:
        for record in scan.read(scan.start, scan.end(committed=not settled)):
            marker = decode(Replayed, record.value)
            if not isinstance(marker, DecodeFailure):
                found[marker.place] = marker
    return found


def letters(settings: Settings, asked: Asked, replayed: Mapping[str, Replayed]) -> Iterator[Letter]:
    """Give the dead letters that are asked for, partition by partition as they come."""
    with KafkaScan(settings, DEAD_LETTERS) as scan:
        start = scan.start if asked.since_ms is None else scan.at(asked.since_ms)
        for record in scan.read(start, scan.end()):
            letter = letter_of(record, replayed)
            if isinstance(letter, Letter) and asked.takes(letter):
                yield letter


def letter_at(
    settings: Settings, replayed: Mapping[str, Replayed], partition: int, offset: int
) -> Letter | DecodeFailure:
    """Return one dead letter, or why there is none at that place."""
    nothing = DecodeFailure("invalid", f"there is no dead letter at {partition}/{offset}")
    with KafkaScan(settings, DEAD_LETTERS) as scan:
        end = scan.end().get(partition, 0)
        if not 0 <= offset < end:
            return nothing
        found = next(scan.read({partition: offset}, {partition: offset + 1}), None)
    return letter_of(found, replayed) if found and found.offset == offset else nothing


def _settled(call: Any) -> None:
    """Make a call of the transaction's until it is answered: one that is repeated after a time-out goes on."""
    try:
        insisted(call, KafkaError.retriable)
    except KafkaException as error:
        raise ReplayError(str(error.args[0])) from error
