"""A gateway that sends some transactions again, seconds later: duplicates that cross crashes and take-overs."""

import heapq
import random
import threading
import time
from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, TopicPartition

from producers.kafka_writer import KafkaWriter
from schemas.codec import decode
from schemas.connection import connection
from schemas.settings import Settings
from schemas.topics import TRANSACTIONS
from schemas.transaction import Transaction

SHARE = 0.03
DELAY_S = (0.0, 15.0)
"""Least and most time between hearing of a transaction and sending it again."""


class Repeats:
    """Follows the topic of transactions from its beginning and publishes a share of them once more.

    Which ones is drawn from the seed; a repeat may be repeated like any other. `heard_any` is set by the first
    transaction. `published` counts what the broker acknowledged, `failed` what it did not; both are complete after the
    exit.
    """

    def __init__(self, settings: Settings, *, seed: int, share: float = SHARE) -> None:
        self._chance = random.Random(seed)
        self._share = share
        self._writer = KafkaWriter(settings)
        self._consumer = Consumer({**connection(settings), "group.id": "repeats", "enable.auto.commit": False})
        topic = settings.topic_prefix + TRANSACTIONS.name
        self._consumer.assign([TopicPartition(topic, partition, 0) for partition in range(settings.partitions)])
        self._due: list[tuple[float, int, Transaction]] = []
        self.heard_any = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="repeats", daemon=True)

    @property
    def published(self) -> int:
        """How many repeats are in the topic."""
        return self._writer.delivered

    @property
    def failed(self) -> int:
        """How many repeats the broker did not acknowledge."""
        return self._writer.failed

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()
        self._writer.close()
        self._consumer.close()

    def _follow(self) -> None:
        heard = 0
        while not self._stopping.is_set():
            message = self._consumer.poll(0.05)
            transaction = None if message is None or message.error() else decode(Transaction, message.value())
            if isinstance(transaction, Transaction):
                self.heard_any.set()
                if self._chance.random() < self._share:
                    heard += 1
                    due_s = time.monotonic() + self._chance.uniform(*DELAY_S)
                    heapq.heappush(self._due, (due_s, heard, transaction))
            while self._due and self._due[0][0] <= time.monotonic() and self._writer.send(self._due[0][2]):
                heapq.heappop(self._due)
            self._writer.poll()
