"""Bad records among good ones, on a real broker with a real worker: each is answered or explained, and none is lost.

After each bad record a good payment follows on every partition, so a task that one of them stops is seen.
"""

import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from aiokafka.partitioner import murmur2
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from deploy.broker import Broker
from deploy.system import System
from schemas.connection import connection
from schemas.dead_letter import VALUE_BYTES_MAX
from schemas.settings import Settings
from schemas.topics import BY_NAME, DEAD_LETTERS, DECISIONS, LABELS, OUTCOMES, TRANSACTIONS, Topic
from tests.bench.bad_laws import LAWS, Seen, Sent
from tests.bench.bad_records import PAN, Bad, bad_records, payment

DRAIN_S_MAX = 30.0
READ_S_MAX = 30.0


def run(data_dir: Path, *, broker: Broker | None = None, topic_prefix: str = "") -> dict[str, object]:
    """Return the figures, the bounds, what broke them by law, and whether all hold."""
    started = time.monotonic()
    with System(data_dir, broker=broker, topic_prefix=topic_prefix) as system:
        worker = system.process(
            "worker-1", ["tests.integration.faulty_worker", "worker"], restart=True, FRAUD_WORKER_ID="worker-1"
        )
        system.workers.append(worker.start())
        sent = publish(system)
        published = time.monotonic()
        drained = system.wait_until_drained(DRAIN_S_MAX)
        drain_s = time.monotonic() - published
        restarts = worker.restarts
        worker.terminate()
        topics = read_topics(system.settings, BY_NAME.keys() - {TRANSACTIONS.name, LABELS.name, OUTCOMES.name})
        counters = system.counters()
    logs = b"".join(path.read_bytes() for path in system.logs_dir.glob("*.log"))
    seen = Seen(topics[DEAD_LETTERS.name], topics[DECISIONS.name], topics, counters, logs, restarts, drained)
    problems = {name: law(sent, seen) for name, law in LAWS.items()}
    return {
        "figures": {
            "good": len(sent.good),
            "bad": len(sent.bad),
            "dead_letters": len(seen.letters),
            "decisions": len(seen.decisions),
            "drain_s": round(drain_s, 2),
            "seconds": round(time.monotonic() - started, 1),
        },
        "bounds": {"drain_s_max": DRAIN_S_MAX, "value_bytes_max": VALUE_BYTES_MAX, "problems_max": 0},
        "problems": problems,
        "holds": not any(problems.values()),
    }


def publish(system: System) -> Sent:
    """Publish every bad record, each followed by a good one on all partitions, and one payment twice."""
    sent, now_ms, partitions = Sent(), time.time_ns() // 1_000_000, system.settings.partitions
    producer = Producer(
        {
            **connection(system.settings),
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "message.max.bytes": 4_000_000,
            "linger.ms": 0,
        }
    )
    cards = cards_by_partition(partitions)

    def send(topic: Topic, key: bytes | None, value: bytes | None, bad: Bad | None = None, partition: int = -1) -> None:
        def put(error: KafkaError | None, message: Message) -> None:
            if error:
                sent.failed.append(f"{bad.name if bad else 'good'}: {error}")
                return
            place = (topic.name, message.partition() or 0, message.offset() or 0)
            sent.timestamps_ms[place] = message.timestamp()[1]
            if bad:
                sent.bad[place] = bad

        name = system.settings.topic_prefix + topic.name
        headers: list[tuple[str, str | bytes | None]] = [*bad.headers] if bad else []
        producer.produce(name, value, key, partition, put, headers=headers)

    def send_good(transaction_id: str, card: str, **unknown: Any) -> None:
        sent.good.add(transaction_id)
        send(TRANSACTIONS, card.encode(), payment(now_ms, transaction_id, card, **unknown))

    for number, bad in enumerate(bad_records(now_ms)):
        beside = (partition_of(bad.key or b"", partitions) + 1) % partitions if bad.wrong_partition else -1
        send(bad.topic, bad.key, bad.value, bad, beside)
        for partition, card in enumerate(cards):
            send_good(f"good-{number}-{partition}", card)
        producer.flush(10)
    # The A, B, A of one id; the same id of another card is another payment; what we do not know is not looked at.
    for transaction_id in ("A", "B", "A"):
        send_good(transaction_id, cards[0])
    sent.repeats = 1
    send_good("unknown-field", cards[1], added_later={"pan": PAN, "deep": [[[1]]]})
    sent.failed += [f"{left} left"] if (left := producer.flush(10)) else []
    return sent


def read_topics(settings: Settings, names: Collection[str]) -> dict[str, list[Any]]:
    """Return every committed record of topics that nobody writes to any more."""
    prefix = settings.topic_prefix
    consumer = Consumer(
        {
            **connection(settings),
            "group.id": "bad-input",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
        }
    )
    metadata = consumer.list_topics(timeout=30).topics
    left = {(prefix + name, partition) for name in names for partition in metadata[prefix + name].partitions}
    consumer.assign([TopicPartition(topic, partition, 0) for topic, partition in left])
    found: dict[str, list[Any]] = {name: [] for name in names}
    deadline = time.monotonic() + READ_S_MAX
    while left and time.monotonic() < deadline:
        for message in consumer.consume(500, 0.1):
            topic, error = message.topic() or "", message.error()
            if error is None:
                found[topic.removeprefix(prefix)].append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                left.discard((topic, message.partition()))
    consumer.close()
    if left:
        raise TimeoutError(f"not read to their ends in {READ_S_MAX} s: {sorted(left)}")
    return found


def partition_of(key: bytes, partitions: int) -> int:
    """Return where the Java client puts a key."""
    number: int = (murmur2(key) & 0x7FFFFFFF) % partitions
    return number


def cards_by_partition(partitions: int) -> list[str]:
    """Return a card for each partition."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < partitions:
        card = f"card_good-{number}"
        found.setdefault(partition_of(card.encode(), partitions), card)
        number += 1
    return [found[partition] for partition in range(partitions)]
