"""A gateway that plays tricks beside the source: what it hears it sends again, late or by a wrong clock, or poisoned.

What it sent, and what must become of what is refused, it keeps for the audit.
"""

import heapq
import random
import threading
import time
from collections import Counter
from functools import partial
from itertools import count
from types import TracebackType
from typing import Any, NamedTuple, Self

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from schemas.codec import decode, encode
from schemas.connection import connection, writing
from schemas.settings import Settings
from schemas.topics import TRANSACTIONS
from schemas.transaction import Transaction
from tests.bench.bad_input import partition_of
from tests.bench.bad_laws import Place
from tests.bench.bad_records import CARD_SENT, bad_records
from tests.faults.tricks import DERIVED, TRICKS, Counted, Sending, is_derived

FLUSH_S = 120.0


class Expected(NamedTuple):
    """What must become of a refused record: why it is, and whose id is answered `invalid`, if any can be read."""

    reason: str
    answered_id: str | None


class _Due(NamedTuple):
    at_s: float
    number: int
    topic: str
    key: bytes | None
    value: bytes | None
    counted: Counted
    expected: Expected | None = None
    partition: int = -1
    timestamp_ms: int | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


class Gateway:
    """Follows the topic of transactions from its beginning. Which of them a trick is played on is drawn from the seed.

    `heard_any` is set by the first transaction. `acknowledged` counts what is in the topics by what it counts as,
    `refused` holds what is refused by its place; both are complete after the exit.
    """

    def __init__(self, settings: Settings, *, seed: int) -> None:
        self.acknowledged: Counter[Counted] = Counter()
        self.refused: dict[Place, Expected] = {}
        self.failures: list[str] = []
        self.heard_any = threading.Event()
        self._settings = settings
        self._chance = random.Random(seed)
        self._numbers = count(1)
        self._kinds: set[str] = set()
        self._played: Counter[tuple[str, str]] = Counter()
        self._due: list[_Due] = []
        self._lock = threading.Lock()
        self._producer = Producer(
            {
                **writing(settings),
                "partitioner": "murmur2_random",
                "linger.ms": 5,
                "message.max.bytes": 4_000_000,
            }
        )
        self._consumer = Consumer({**connection(settings), "group.id": "gateway", "enable.auto.commit": False})
        topic = settings.topic_prefix + TRANSACTIONS.name
        self._consumer.assign([TopicPartition(topic, partition, 0) for partition in range(settings.partitions)])
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="gateway", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()
        if left := self._producer.flush(FLUSH_S):
            self.failures.append(f"{left} records of the gateway were not acknowledged")
        self._consumer.close()

    def begin(self, kind: str) -> None:
        """Play the tricks of a kind from now on."""
        self._kinds.add(kind)

    def played(self, kind: str) -> dict[str, int]:
        """Return how often each trick of a kind was played."""
        return {trick.name: self._played[kind, trick.name] for trick in TRICKS if trick.kind == kind}

    def poison(self, seconds: float) -> int:
        """Send every bad record once, spread over so many seconds; return how many those are."""
        now_ms, partitions = time.time_ns() // 1_000_000, self._settings.partitions
        # What the detector itself fails on takes a detector with a fault: `tests.bench bad-input` has one.
        records = [bad for bad in bad_records(now_ms) if bad.reason != "core_exception"]
        for number, bad in enumerate(records):
            beside = (partition_of(bad.key or b"", partitions) + 1) % partitions if bad.wrong_partition else -1
            self._put(
                number * seconds / len(records),
                bad.topic.name,
                bad.key,
                bad.value,
                "refused",
                Expected(bad.reason, bad.name if bad.answer == "invalid" else None),
                beside,
                headers=bad.headers,
            )
        return len(records)

    @property
    def bad_left(self) -> int:
        """How many bad records are still to be sent."""
        with self._lock:
            return sum(due.counted == "refused" for due in self._due)

    def _put(self, after_s: float, topic: str, key: bytes | None, value: bytes | None, *rest: Any, **more: Any) -> None:
        due = _Due(time.monotonic() + after_s, next(self._numbers), topic, key, value, *rest, **more)
        with self._lock:
            heapq.heappush(self._due, due)

    def _follow(self) -> None:
        while not self._stopping.is_set():
            message = self._consumer.poll(0.02)
            heard = None if message is None or message.error() else decode(Transaction, message.value())
            if isinstance(heard, Transaction):
                self.heard_any.set()
                self._hear(heard)
            self._send_due()
            self._producer.poll(0)

    def _hear(self, heard: Transaction) -> None:
        now_ms = time.time_ns() // 1_000_000
        # What is refused is not sent again: it would be refused as often.
        if heard.card == CARD_SENT or heard.event_time_ms > now_ms + self._settings.future_ms_max:
            return
        for trick in TRICKS:
            wanted = trick.kind in self._kinds and (trick.of_derived or not is_derived(heard))
            if wanted and self._chance.random() < trick.share:
                self._played[trick.kind, trick.name] += 1
                for sending in trick.sendings(heard, self._chance, f"{DERIVED}{next(self._numbers)}"):
                    self._plan(sending)

    def _plan(self, sending: Sending) -> None:
        told = sending.transaction
        expected = Expected("from_the_future", told.transaction_id) if sending.counted == "refused" else None
        self._put(
            sending.after_s,
            TRANSACTIONS.name,
            told.card.encode(),
            encode(told),
            sending.counted,
            expected,
            timestamp_ms=sending.timestamp_ms,
        )

    def _send_due(self) -> None:
        while (due := self._next_due()) is not None:
            try:
                self._producer.produce(
                    self._settings.topic_prefix + due.topic,
                    due.value,
                    due.key,
                    due.partition,
                    partial(self._answered, due),
                    timestamp=due.timestamp_ms or 0,
                    headers=list(due.headers),
                )
            except BufferError:
                with self._lock:
                    heapq.heappush(self._due, due)
                return

    def _next_due(self) -> _Due | None:
        with self._lock:
            return heapq.heappop(self._due) if self._due and self._due[0].at_s <= time.monotonic() else None

    def _answered(self, due: _Due, error: KafkaError | None, message: Message) -> None:
        if error:
            self.failures.append(f"a record of the gateway was not taken: {error.str()}")
            return
        self.acknowledged[due.counted] += 1
        if due.expected:
            self.refused[due.topic, message.partition() or 0, message.offset() or 0] = due.expected
