"""How long decisions take, seen from outside: from publishing to the committed decision being readable."""

import json
import threading
import time
from array import array
from collections import Counter
from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from schemas.connection import connection
from schemas.history import is_history
from schemas.settings import Settings
from schemas.topics import DECISIONS, TRANSACTIONS, Topic


class Meter:
    """Reads transactions and decisions as they come, in threads, as a downstream service would."""

    def __init__(self, settings: Settings) -> None:
        self._lock = threading.Lock()
        self.published = 0
        self.decided = 0
        self.actions: Counter[str] = Counter()
        self.latencies_ms = array("d")
        self._published_at_ms: dict[tuple[bytes, str], int] = {}
        self._early_ms: dict[tuple[bytes, str], float] = {}
        self.first_published_ms = self.last_published_ms = self.last_decided_ms = 0.0
        self._stopping = threading.Event()
        # Transactions may be heard of late: their own timestamps count. Every wake-up costs the broker an answer.
        self._threads = [
            self._reading(settings, TRANSACTIONS, self._on_transaction, {"fetch.min.bytes": 65_536}),
            self._reading(settings, DECISIONS, self._on_decision, {}),
        ]

    def _reading(
        self, settings: Settings, topic: Topic, handle: Callable[[Any], None], options: dict[str, Any]
    ) -> threading.Thread:
        consumer = Consumer(
            {
                **connection(settings),
                "group.id": "meter",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "auto.offset.reset": "latest",
                "fetch.wait.max.ms": 250,
                **options,
            }
        )
        name = settings.topic_prefix + topic.name
        partitions = [TopicPartition(name, at) for at in consumer.list_topics(name, timeout=30).topics[name].partitions]
        for partition in partitions:
            _, partition.offset = consumer.get_watermark_offsets(partition, timeout=30)
        consumer.assign(partitions)

        def read() -> None:
            while not self._stopping.is_set():
                message = consumer.poll(0.1)
                if message is not None and message.error() is None:
                    with self._lock:
                        handle(message)
            consumer.close()

        thread = threading.Thread(target=read, name=f"meter {topic.name}", daemon=True)
        thread.start()
        return thread

    def _on_transaction(self, message: Any) -> None:
        if is_history(message.headers() or ()):  # nobody will be answered
            return
        self.published += 1
        at_ms = message.timestamp()[1]
        self.first_published_ms = self.first_published_ms or at_ms
        self.last_published_ms = max(self.last_published_ms, at_ms)
        identity = _identity(message)
        if identity in self._early_ms:
            self.latencies_ms.append(self._early_ms.pop(identity) - at_ms)
        elif identity:
            self._published_at_ms.setdefault(identity, at_ms)

    def _on_decision(self, message: Any) -> None:
        now_ms = time.time() * 1000
        self.decided += 1
        self.last_decided_ms = now_ms
        self.actions[json.loads(message.value())["action"]] += 1
        identity = _identity(message)
        if identity in self._published_at_ms:
            self.latencies_ms.append(now_ms - self._published_at_ms.pop(identity))
        elif identity:
            self._early_ms[identity] = now_ms

    def latency_ms(self, last: int | None = None) -> dict[str, float]:
        """Return percentiles, of all decisions or of the last so many."""
        ordered = sorted(self.latencies_ms[-last:] if last else self.latencies_ms) or [0.0]
        shares = {"p50": 0.5, "p99": 0.99, "p99_9": 0.999}
        return {name: round(ordered[int(len(ordered) * share)], 1) for name, share in shares.items()}

    @property
    def rate_in(self) -> float:
        """Transactions a second, first to last."""
        return _rate(self.published, self.last_published_ms - self.first_published_ms)

    @property
    def rate_out(self) -> float:
        """Decisions a second, from the first transaction to the last decision."""
        return _rate(self.decided, self.last_decided_ms - self.first_published_ms)

    def close(self) -> None:
        """Stop reading."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()


def _rate(number: int, milliseconds: float) -> float:
    return round(1000 * number / milliseconds, 1) if milliseconds > 0 else 0.0


def _identity(message: Any) -> tuple[bytes, str] | None:
    try:
        return message.key() or b"", json.loads(message.value())["transaction_id"]
    except (ValueError, KeyError, TypeError):
        return None
