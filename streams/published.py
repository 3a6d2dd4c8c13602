"""What was published to be in force: models, policies, rates. A thin client that reads their topics as they grow.

Of each topic the last record counts. Models are large and there are many, so theirs is read from near its end, and from
further back only where nothing there can be used.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from schemas.codec import DecodeFailure, decode
from schemas.connection import connection
from schemas.learning import PolicyVersion, RateTable
from schemas.settings import Settings
from schemas.topics import MODELS, POLICIES, RATES, Topic
from streams.detector.policy import problems_of
from streams.detector.scorer import RefusedError, Scorer, model_of, scorer_of

logger = logging.getLogger(__name__)

MODELS_BACK = 8
"""Records and markers at the end of the models' topic that are looked at first."""
WAIT_S = 0.2
READ_S_MAX = 60.0

Document = Scorer | PolicyVersion | RateTable
AnyDocument = TypeVar("AnyDocument", PolicyVersion, RateTable)


class Published:
    """Reads the three topics in a thread, and hands over whatever is to be in force from now on.

    Parameters
    ----------
    put_in_force : called in the reading thread with each document that may be used.
    """

    def __init__(self, settings: Settings, put_in_force: Callable[[Document], None]) -> None:
        self._put_in_force = put_in_force
        self._prefix = settings.topic_prefix
        self.refused = 0
        self._consumer = Consumer(
            {
                **connection(settings),
                "group.id": f"{settings.application_id}-published",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 100,
                "fetch.message.max.bytes": MODELS.value_bytes_max,
            }
        )
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Read up to what is there now, then go on in a thread.

        Raises
        ------
        KafkaException
            The topics cannot be read.
        """
        self._read_documents()
        _, end = self._bounds(MODELS)
        back = MODELS_BACK
        while not self._read_between(MODELS, max(0, end - back), end) and back < end:
            back *= 8
        places = {topic: self._bounds(topic)[1] for topic in (POLICIES, RATES)}
        self._consumer.assign([self._at(topic, offset) for topic, offset in {**places, MODELS: end}.items()])
        self._thread = threading.Thread(target=self._listen, name="published", daemon=True)
        self._thread.start()

    def _read_documents(self) -> None:
        for topic in (POLICIES, RATES):
            start, end = self._bounds(topic)
            self._read_between(topic, start, end)

    def _at(self, topic: Topic, offset: int) -> TopicPartition:
        return TopicPartition(self._prefix + topic.name, 0, offset)

    def _bounds(self, topic: Topic) -> tuple[int, int]:
        low, high = self._consumer.get_watermark_offsets(self._at(topic, 0), timeout=30)
        return low, high

    def _read_between(self, topic: Topic, start: int, end: int) -> bool:
        """Take the records between two offsets; return whether one of them is in force now."""
        taken, reached, deadline = False, start, time.monotonic() + READ_S_MAX
        self._consumer.assign([self._at(topic, start)])
        while reached < end:
            if time.monotonic() > deadline:
                raise KafkaException(f"{topic.name}: could not be read to its end")
            message = self._consumer.poll(WAIT_S)
            if message is None:
                continue
            # At the end of a partition the client says where that is: behind markers, before an open transaction.
            at_end = _is_end(message)
            reached = (message.offset() or 0) + (not at_end)
            taken = (not at_end and self._take(message)) or taken
        return taken

    def _listen(self) -> None:
        while not self._stopping.is_set():
            message = self._consumer.poll(WAIT_S)
            if message is not None and not _is_end(message):
                self._take(message)
        self._consumer.close()

    def _take(self, message: Message) -> bool:
        if message.error():
            logger.warning("published documents: %s", message.error())
            return False
        try:
            document = self._document(message)
        except RefusedError as error:
            self.refused += 1
            logger.warning("%s offset %s is refused: %s", message.topic(), message.offset(), error)
            return False
        self._put_in_force(document)
        return True

    def _document(self, message: Message) -> Document:
        value, topic = message.value(), (message.topic() or "").removeprefix(self._prefix)
        if topic == MODELS.name:
            return scorer_of(model_of(value))
        if topic == RATES.name:
            return _whole(decode(RateTable, value))
        policy = _whole(decode(PolicyVersion, value))
        if problems := problems_of(policy):
            raise RefusedError("; ".join(problems))
        return policy

    def close(self) -> None:
        """Stop reading."""
        self._stopping.set()
        if self._thread:
            self._thread.join(timeout=2)


def _is_end(message: Message) -> bool:
    error = message.error()
    return error is not None and error.code() == KafkaError._PARTITION_EOF  # noqa: SLF001


def _whole(document: AnyDocument | DecodeFailure) -> AnyDocument:
    if isinstance(document, DecodeFailure):
        raise RefusedError(document.detail)
    return document
