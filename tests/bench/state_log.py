"""State logs as the codec writes them, for as many entities as a benchmark wants, and what workers make of them."""

from collections.abc import Iterable, Iterator
from itertools import cycle
from pathlib import Path
from random import Random
from typing import NamedTuple

from aiokafka.partitioner import murmur2
from confluent_kafka import Producer

from schemas.connection import connection
from schemas.fields import DAY_MS
from schemas.settings import Settings
from schemas.topics import Topic
from schemas.transaction import Transaction
from streams.detector.look import Payment
from streams.detector.profile import Kind
from streams.detector.state import State

LIVES = 997
"""Different lives, which entities share in turn."""
MERCHANTS_MET = 200

Pieces = tuple[tuple[str, bytes], ...]
"""Ends of keys, and values."""


class Filled(NamedTuple):
    """What was written: entities, records, and the bytes of keys and values that the last of each key has."""

    entities: int
    records: int
    live_bytes: int


def lives(kind: Kind, *, payments: int, until_ms: int, seed: int = 1) -> list[Pieces]:
    """Return the pieces of entities that made so many payments in the 20 days before."""
    chance = Random(seed)
    return [_life(kind, chance, payments, until_ms) for _ in range(LIVES)]


def _life(kind: Kind, chance: Random, payments: int, until_ms: int) -> Pieces:
    state = State(kind)
    for number, time_ms in enumerate(
        sorted(chance.randrange(until_ms - 20 * DAY_MS, until_ms) for _ in range(payments))
    ):
        merchant, amount = f"mer_{chance.randrange(MERCHANTS_MET)}", chance.randrange(100, 20_000)
        # Ids as long as the simulation's, which are as long as most.
        transaction = Transaction(
            transaction_id=f"tx-{chance.randrange(10**6):06}-{time_ms:x}-{number}",
            card="card_a",
            merchant=merchant,
            amount_minor=amount,
            currency="EUR",
            event_time_ms=time_ms,
            device="dev_a",
        )
        payment = Payment(transaction, amount, transaction.transaction_id, merchant)
        state.apply("", state.profile("").pay(payment).changes)
    return tuple((key.decode(), value) for key, value in state.take_changed_pieces().items() if value is not None)


def fill(settings: Settings, topic: Topic, entities: Iterable[str], pieces: list[Pieces], *, rounds: int = 1) -> Filled:
    """Write the pieces of entities to their partitions of a state log, so many times each."""
    producer = Producer(
        {
            **connection(settings),
            "enable.idempotence": True,
            "compression.type": "lz4",
            "linger.ms": 20,
            "queue.buffering.max.kbytes": 262_144,
        }
    )
    name, number, records, live_bytes = settings.topic_prefix + topic.name, 0, 0, 0
    named = list(entities)
    partitions = [(murmur2(entity.encode()) & 0x7FFFFFFF) % settings.partitions for entity in named]
    for round_number in range(rounds):
        for entity, partition, life in zip(named, partitions, cycle(pieces), strict=False):
            for end, value in life:
                key = f"{entity}{end}".encode()
                while True:
                    try:
                        producer.produce(name, value, key, partition)
                        break
                    except BufferError:
                        producer.poll(0.05)
                records += 1
                live_bytes += (len(key) + len(value)) * (round_number == 0)
            number += 1
            if number % 1_000 == 0:
                producer.poll(0)
    assert producer.flush(120) == 0
    return Filled(len(named), records, live_bytes)


def log_bytes(data_dir: Path, topic: str) -> int:
    """Return what the segments of a topic take in a broker's data directory."""
    return sum(path.stat().st_size for path in _segments(data_dir, topic))


def _segments(data_dir: Path, topic: str) -> Iterator[Path]:
    # The cleaner replaces files at any moment.
    return (path for path in data_dir.glob(f"topics/{topic}-*/*.log") if path.exists())


def resident_bytes(pid: int, name: str = "VmRSS") -> int:
    """Return the memory that a process holds now, or `VmHWM` at most so far."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(name)
