"""What was published to be in force: the champion among the models, policies, rates. A thin client.

It reads four topics as they grow and hands each record to `streams.detector.following`, which judges it. Models are
large and there are many, so theirs are read from near the end, and from further back only where one is looked for.
"""

import logging
import threading
from collections.abc import Callable

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from schemas.connection import connection
from schemas.registry import Alert
from schemas.settings import Settings
from schemas.signing import TrustedKeys
from schemas.topics import ALIASES, BY_NAME, MODELS, POLICIES, RATES
from streams.detector.admission import Admission
from streams.detector.following import Document, Following
from streams.kafka_logs import KafkaLogs, record_of
from streams.look_back import MODELS_BACK, between, find, last_alias

logger = logging.getLogger(__name__)

READER = "published"
WAIT_S = 0.2


class Published:
    """Reads the topics in a thread, and hands over whatever is to be in force from now on.

    Parameters
    ----------
    put_in_force : called in the reading thread with each document that may be used.
    alert : called in the reading thread for each record that is refused.
    """

    def __init__(
        self,
        settings: Settings,
        trusted: TrustedKeys,
        put_in_force: Callable[[Document], None],
        alert: Callable[[Alert], None],
    ) -> None:
        self._prefix = settings.topic_prefix
        self._logs = KafkaLogs(settings, READER)
        self._admission = Admission(trusted)
        self.following = Following(
            self._admission, put_in_force, alert, lambda version, offset: find(self._logs, version, offset)
        )
        self._consumer = Consumer(
            {
                **connection(settings),
                "group.id": f"{settings.application_id}-{READER}",
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
        ReadError
            One could not be read to its end.
        """
        read_to = {}
        for topic, back in ((POLICIES, None), (RATES, None), (MODELS, MODELS_BACK)):
            begin, end = self._logs.bounds(topic, 0)
            for record in between(self._logs, topic, begin if back is None else max(begin, end - back), end):
                self.following.take(record)
            read_to[topic] = end
        # Behind the snapshots that it names, or one of them is still to come.
        read_to[ALIASES] = self._logs.bounds(ALIASES, 0)[1]
        if found := last_alias(self._logs, self._admission, read_to[ALIASES]):
            self.following.take(found[1])
        self.following.settle()
        self._consumer.assign([TopicPartition(self._prefix + topic.name, 0, at) for topic, at in read_to.items()])
        self._thread = threading.Thread(target=self._listen, name="published", daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while not self._stopping.is_set():
            message = self._consumer.poll(WAIT_S)
            if message is not None and not _is_end(message):
                self._take(message)
        self._consumer.close()

    def _take(self, message: Message) -> None:
        if message.error():
            logger.warning("published documents: %s", message.error())
            return
        self.following.take(record_of(BY_NAME[(message.topic() or "").removeprefix(self._prefix)], message))

    def close(self) -> None:
        """Stop reading."""
        self._stopping.set()
        if self._thread:
            self._thread.join(timeout=2)
        self._logs.close()


def _is_end(message: Message) -> bool:
    error = message.error()
    return error is not None and error.code() == KafkaError._PARTITION_EOF  # noqa: SLF001
