"""What a replay writes for a dead letter, or why it writes nothing.

A replayed record is a new record of the topic that the first one came from: its key decides the partition, it has the
sender's headers and one that names its dead letter, and the time of the replay as timestamp. Kafka deletes by
timestamp and a stage bounds the future by it, so that of long ago would be wrong twice; the dead letter keeps it.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from consumers.letters import Letter, time_text
from schemas.codec import DecodeFailure, decode
from schemas.dead_letter import REPLAYED_FROM, Headers, Replayed
from schemas.decision import Profiled
from schemas.fields import MASK, without_card_numbers
from schemas.topics import BY_NAME, LABELS, LABELS_WAITING, PROFILED, TRANSACTIONS, Topic


@dataclass(frozen=True, slots=True)
class Road:
    """How a message goes into its topic again: the key it must have, and its time, which must not lie far ahead."""

    key: Callable[[Any], str]
    time_ms: Callable[[Any], int]


def _merchant(message: Profiled) -> str:
    about = message.transaction or message.label
    return about.merchant if about else ""


def _profiled_ms(message: Profiled) -> int:
    if message.transaction:
        return message.transaction.event_time_ms
    return message.label.reported_at_ms if message.label else 0


ROADS: Mapping[str, Road] = {
    TRANSACTIONS.name: Road(lambda message: message.card, lambda message: message.event_time_ms),
    LABELS.name: Road(lambda message: message.card, lambda message: message.reported_at_ms),
    LABELS_WAITING.name: Road(lambda message: message.card, lambda message: message.reported_at_ms),
    PROFILED.name: Road(_merchant, _profiled_ms),
}
"""Topic -> its road. What is learned is a fold over the training log, which its writer alone may add to."""


@dataclass(frozen=True, slots=True)
class Repair:
    """What is written instead of what was kept; None: as it was."""

    key: bytes | None = None
    value: bytes | None = None

    def __bool__(self) -> bool:
        return self.key is not None or self.value is not None


@dataclass(frozen=True, slots=True)
class Landing:
    """A record to write, and the marker that goes with it. Without a partition its key decides (murmur2)."""

    topic: Topic
    partition: int | None
    key: bytes
    value: bytes
    headers: Headers
    marker: Replayed


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing is written. `done`: because it was replayed before, which is no failure."""

    why: str
    done: bool = False


def landing_of(letter: Letter, repair: Repair, *, author: str, now_ms: int, future_ms_max: int) -> Landing | Refusal:
    """Return what a replay of a dead letter writes, or why it would be refused again. `now_ms` is the wall clock."""
    if letter.replayed:
        at = time_text(letter.replayed.replayed_at_ms)
        return Refusal(f"was replayed before, by {letter.replayed.author} at {at}", done=True)
    origin = letter.content.origin
    road = ROADS.get(origin.topic)
    if road is None:
        return Refusal(f"records of {origin.topic} are not replayed")
    topic = BY_NAME[origin.topic]
    value = (origin.value if repair.value is None else repair.value) or b""
    key = (origin.key if repair.key is None else repair.key) or b""
    why = _content_problem(letter, repair, key, value) or _message_problem(
        topic, road, key, value, now_ms, future_ms_max
    )
    if why:
        return Refusal(why)
    marker = Replayed(
        partition=letter.partition,
        offset=letter.offset,
        topic=topic.name,
        author=author,
        replayed_at_ms=now_ms,
        repaired=bool(repair),
        value_sha256=hashlib.sha256(value).hexdigest(),
    )
    headers = (
        *(header for header in origin.headers if header[0] != REPLAYED_FROM),
        (REPLAYED_FROM, letter.place.encode()),
    )
    return Landing(topic, origin.partition if topic.partitioner == "task" else None, key, value, headers, marker)


def _content_problem(letter: Letter, repair: Repair, key: bytes, value: bytes) -> str | None:
    """Return what nobody could repair but the one who replays."""
    if MASK in value:
        return "a card number was masked in its value: give a repaired one, with a token"
    if repair.value is None and letter.content.whole:
        return f"only the beginning of its {letter.content.whole.bytes} bytes was kept: give the whole value"
    if without_card_numbers(value) != value:
        return "the repaired value holds what could be a card number: give a token instead"
    if MASK in key or without_card_numbers(key) != key:
        return "its key held a card number: give the token"
    return None


def _message_problem(topic: Topic, road: Road, key: bytes, value: bytes, now_ms: int, future_ms_max: int) -> str | None:
    """Return why a record would be refused again."""
    assert topic.message is not None
    message = decode(topic.message, value)
    if isinstance(message, DecodeFailure):
        return f"its value would be refused again ({message.detail}): give a repaired one"
    expected = road.key(message)
    if not expected:
        return "it is about nothing: give a repaired value"
    if key != expected.encode():
        return f"its key must be {expected}: give it"
    ahead_ms = road.time_ms(message) - now_ms
    if ahead_ms > future_ms_max:
        return f"its time lies {ahead_ms // 1_000} s ahead of now: wait, or give a repaired value"
    return None
