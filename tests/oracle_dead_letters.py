"""What dead letters, their replays and repeated payments must have left in the topics."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from schemas.dead_letter import REPLAYED_FROM, DeadLetter, Replayed
from schemas.decision import Duplicate
from schemas.topics import DEAD_LETTERS_REPLAYED, LABELS, LABELS_WAITING, PROFILED, TRANSACTIONS, Topic
from tests.findings import Place
from tests.oracle_decisions import Difference

Repeat = tuple[str, str, int, int, int]
"""A payment that came again: card, id, the time that it named, partition and offset in its topic."""


def failed_places(letters: Iterable[Any]) -> set[Place]:
    """Return where the records lie on which the detector failed."""
    failed = set()
    for message in letters:
        letter = DeadLetter.from_record(message.key(), message.value(), message.headers(), message.timestamp()[1])
        if letter.reason == "core_exception":
            failed.add((letter.origin.topic, letter.origin.partition, letter.origin.offset))
    return failed


def replayed_from(message: Any) -> str | None:
    """Return the dead letter that a record was replayed from."""
    place = dict(message.headers() or ()).get(REPLAYED_FROM)
    return place.decode() if place else None


def replay_differences(records: Mapping[Topic, Iterable[Any]]) -> list[Difference]:
    """Each dead letter has at most one marker, each marker one record, and each replayed record a marker."""
    topics = (TRANSACTIONS, LABELS, PROFILED)
    landed = Counter(place for topic in topics for message in records[topic] if (place := replayed_from(message)))
    # A label that waits again keeps its headers.
    landed.update({place for message in records[LABELS_WAITING] if (place := replayed_from(message))})
    markers = [(message.key(), message.value()) for message in records[DEAD_LETTERS_REPLAYED]]
    marked = Counter(Replayed.model_validate_json(value).place for _, value in markers)
    return [
        ("keys of markers", marked, Counter(key.decode() for key, _ in markers)),
        ("dead letters replayed more than once", set(), {place for place, times in marked.items() if times > 1}),
        ("replayed records by dead letter", marked, landed),
    ]


def duplicate_differences(repeats: Counter[Repeat], duplicates: Iterable[Any]) -> list[Difference]:
    """Each repeat of a payment has one marker, which says where it lies."""
    told: Counter[Repeat] = Counter()
    for message in duplicates:
        duplicate = Duplicate.model_validate_json(message.value())
        place = duplicate.positions[TRANSACTIONS.name]
        told[duplicate.card, duplicate.transaction_id, duplicate.event_time_ms, *place] += 1
    return [
        ("repeats that are not told", Counter(), repeats - told),
        ("repeats that are told and were none", Counter(), told - repeats),
    ]
