"""In which order each card task took its payments and labels: the positions in what it wrote. Pure.

A profiled record of a payment at offset `t` that names `l` for the labels was made when every label before `l` had been
taken, and none behind. Of labels likewise, and of the marker of a repeated payment. So the records of a task are points
of one path through both topics. What names no place (a refusal, a repeated label) may stand anywhere between two
points: what becomes of it depends on its own topic alone, and it changes nothing that is remembered.
"""

import struct
from collections import defaultdict
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import NamedTuple

from schemas.codec import DecodeFailure, decode
from schemas.dead_letter import REPLAYED_FROM
from schemas.decision import Duplicate, Profiled
from schemas.topics import DUPLICATES, LABELS, PROFILED, TRANSACTIONS
from streams.detector.stage import Record
from streams.recompute.logs import ZERO, Logs, Starts

_PACKED = struct.Struct("<qq?iqi16s")


class Point(NamedTuple):
    """One profiled record: where its task stood, where it lies, by which rates, and a digest of its content.

    A repeated payment has none: of it `partition` is -1, and only where its task stood is known.
    """

    label: int
    transaction: int
    is_label: bool
    partition: int
    offset: int
    rates: int
    digest: bytes

    @property
    def own(self) -> tuple[str, int]:
        """The topic and offset of the record that it was made from."""
        return (LABELS.name, self.label) if self.is_label else (TRANSACTIONS.name, self.transaction)


def digest_of(partition: int, key: bytes | None, value: bytes | None) -> bytes:
    """Return 16 bytes that stand for a record's content and partition.

    >>> digest_of(0, b"a", b"bc") == digest_of(0, b"ab", b"c")
    False
    """
    lengths = struct.pack("<iii", partition, *(-1 if part is None else len(part) for part in (key, value)))
    return blake2b(lengths + (key or b"") + (value or b""), digest_size=16).digest()


class Order:
    """The points of all card tasks: packed, 49 bytes each."""

    def __init__(self) -> None:
        self._packed: defaultdict[int, bytearray] = defaultdict(bytearray)
        self.rates: list[str] = []
        """The versions that `Point.rates` counts."""

    def add(self, record: Record) -> None:
        """Take a profiled record.

        One that names no place of its card task has none, and one that was replayed from a dead letter was not written
        by it: they are left out.
        """
        if REPLAYED_FROM in dict(record.headers):
            return
        message = decode(Profiled, record.value)
        if isinstance(message, DecodeFailure) or not {LABELS.name, TRANSACTIONS.name} <= message.positions.keys():
            return
        if message.rates_version not in self.rates:
            self.rates.append(message.rates_version)
        (card, label), (_, transaction) = (message.positions[topic.name] for topic in (LABELS, TRANSACTIONS))
        self._packed[card] += _PACKED.pack(
            label,
            transaction,
            message.label is not None,
            record.partition,
            record.offset,
            self.rates.index(message.rates_version),
            digest_of(record.partition, record.key, record.value),
        )

    def add_repeat(self, record: Record) -> None:
        """Take the marker of a repeated payment."""
        message = decode(Duplicate, record.value)
        if isinstance(message, DecodeFailure) or not {LABELS.name, TRANSACTIONS.name} <= message.positions.keys():
            return
        (card, label), (_, transaction) = (message.positions[topic.name] for topic in (LABELS, TRANSACTIONS))
        self._packed[card] += _PACKED.pack(label, transaction, False, -1, -1, -1, b"")  # noqa: FBT003

    def points(self, card: int) -> list[Point]:
        """Return the points of a card task in the order in which it went through them."""
        points = map(Point._make, _PACKED.iter_unpack(self._packed[card]))
        return sorted(points, key=lambda point: point.label + point.transaction)


def order_of(logs: Logs, starts: Starts, card: str, merchant: str) -> Order:
    """Return the order of everything that the card tasks wrote since the starts of these stages."""
    order = Order()
    for partition in range(logs.partitions(PROFILED)):
        start = starts.get((merchant, partition), ZERO).position.next.get(PROFILED.name, 0)
        for record in logs.read(PROFILED, partition, start):
            order.add(record)
    for partition in range(logs.partitions(DUPLICATES)):
        start = starts.get((card, partition), ZERO).outputs.get(DUPLICATES.name, 0)
        for record in logs.read(DUPLICATES, partition, start):
            order.add_repeat(record)
    return order


def merged(points: Sequence[Point], labels: Iterator[Record], transactions: Iterator[Record]) -> Iterator[Record]:
    """Give a card task's records in an order that agrees with its points; those behind the last one come last.

    >>> def record(topic, offset):
    ...     return Record(topic.name, 0, offset, 0, None, None)
    >>> point = Point(2, 1, is_label=False, partition=0, offset=0, rates=0, digest=b"")
    >>> given = merged([point], (record(LABELS, at) for at in range(3)), (record(TRANSACTIONS, at) for at in range(3)))
    >>> "".join(f"{each.topic[9]}{each.offset} " for each in given)
    't0 l0 l1 t1 l2 t2 '
    """
    heads = {LABELS.name: labels, TRANSACTIONS.name: transactions}
    waiting = {name: next(records, None) for name, records in heads.items()}

    def before(name: str, end: int) -> Iterator[Record]:
        while (record := waiting[name]) is not None and record.offset < end:
            waiting[name] = next(heads[name], None)
            yield record

    for point in points:
        # Up to the point in both topics, then the record that it was made from.
        yield from before(TRANSACTIONS.name, point.transaction)
        yield from before(LABELS.name, point.label)
        name, offset = point.own
        yield from before(name, offset + 1)
    for name in heads:
        yield from before(name, 2**63)
