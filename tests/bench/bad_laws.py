"""What must come of bad records among good ones: each law returns what breaks it. Pure."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from schemas.dead_letter import CONNECTOR, HEADER_BYTES_MAX, HEADERS_MAX, KEY_BYTES_MAX, PREFIX, VALUE_BYTES_MAX
from schemas.topics import DEAD_LETTERS, DUPLICATES, PROFILED, TRANSACTIONS
from tests.bench.bad_records import GROUPED_PAN, PAN, Bad
from tests.integration.faulty_worker import QUOTED_NUMBER

MASK = b"[card number removed]"
# Most of a number is as bad as all of it: 12 digits and 100 guesses with a check digit are a card.
LEAKS = tuple(number[:12].encode() for number in (PAN, GROUPED_PAN, GROUPED_PAN.replace(" ", ""), QUOTED_NUMBER))

Place = tuple[str, int, int]
"""Topic, partition, offset."""


@dataclass
class Sent:
    """What was published, and where the broker put it."""

    good: set[str] = field(default_factory=set)
    repeats: int = 0
    labels: int = 0
    bad: dict[Place, Bad] = field(default_factory=dict)
    timestamps_ms: dict[Place, int] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)


@dataclass
class Seen:
    """What was there in the end."""

    letters: list[Any]
    decisions: list[Any]
    topics: Mapping[str, list[Any]]
    counters: Mapping[str, Mapping[str, int]]
    logs: bytes
    restarts: int
    drained: bool


def facts_of(letter: Any) -> dict[str, str]:
    """Return what a dead letter's headers say of it."""
    headers = [(name, content) for name, content in letter.headers() or () if name.startswith(PREFIX)]
    return {name.removeprefix(PREFIX): content.decode() for name, content in headers}


def place_of(letter: Any) -> Place:
    """Return where a dead letter says that its record was."""
    facts = facts_of(letter)
    return facts["topic"], int(facts["partition"]), int(facts["offset"])


def masked(sent: bytes | None) -> bytes | None:
    """Return what was sent without the numbers that were planted in it."""
    for number in (PAN.encode(), GROUPED_PAN.encode()):
        sent = sent and sent.replace(number, MASK)
    return sent


def each_is_one_dead_letter(sent: Sent, seen: Seen) -> list[str]:
    """Each bad record becomes exactly one dead letter that says where it was, at which stage and why."""
    found = list(sent.failed)
    letters = Counter(expected_place(letter, seen) for letter in seen.letters)
    found += [f"{bad.name}: {letters[place]} dead letters" for place, bad in sent.bad.items() if letters[place] != 1]
    found += [f"a dead letter of a good record at {place}" for place in letters if place not in sent.bad]
    for letter in seen.letters:
        bad, facts = sent.bad.get(expected_place(letter, seen)), facts_of(letter)
        if bad and (facts["stage"], facts["exception.class.name"]) != (bad.stage, bad.reason):
            found.append(f"{bad.name}: {facts['stage']}, {facts['exception.class.name']}")
        if bad and not facts["exception.message"]:
            found.append(f"{bad.name}: no message")
        who = (facts["connector.name"], facts["task.id"], facts["class.name"].rpartition(".")[2])
        if bad and who != (CONNECTOR, str(letter.partition()), f"{bad.stage.title()}Stage"):
            found.append(f"{bad.name}: {who}")
        if bad and ("exception.stacktrace" in facts) != (bad.reason == "core_exception"):
            found.append(f"{bad.name}: where it was raised")
    return found


def expected_place(letter: Any, seen: Seen) -> Place:
    """Return where the sender's record was: a profiled record leads back to it by its positions."""
    topic, partition, offset = place_of(letter)
    if topic != PROFILED.name:
        return topic, partition, offset
    record = next(
        each for each in seen.topics[PROFILED.name] if (each.partition(), each.offset()) == (partition, offset)
    )
    if record.value() != letter.value():
        return topic, partition, offset
    came_from = json.loads(record.value())["positions"][TRANSACTIONS.name]
    return TRANSACTIONS.name, came_from[0], came_from[1]


def each_is_kept_as_it_came(sent: Sent, seen: Seen) -> list[str]:
    """Key, value, headers and timestamp are the sender's; numbers are masked; what is over 64 kB has size and hash."""
    found = []
    for letter in seen.letters:
        bad = sent.bad.get(place_of(letter))
        if not bad:
            continue
        facts, value, whole = facts_of(letter), letter.value(), bad.value or b""
        headers = [(name, content) for name, content in letter.headers() if not name.startswith(PREFIX)]
        size = len(value or b"") + len(letter.key() or b"") + sum(len(n) + len(c) for n, c in letter.headers())
        kept = masked(bad.value)
        wanted_headers = [(name, (masked(content) or b"")[:HEADER_BYTES_MAX]) for name, content in bad.headers]
        checks = {
            "key": letter.key() == (bad.key and (masked(bad.key) or b"")[:KEY_BYTES_MAX]),
            "headers": headers == wanted_headers[:HEADERS_MAX],
            "timestamp": letter.timestamp()[1] == sent.timestamps_ms[place_of(letter)],
            "size": len(value or b"") <= VALUE_BYTES_MAX and size <= DEAD_LETTERS.value_bytes_max,
            "value": value == kept if len(whole) <= VALUE_BYTES_MAX else whole.startswith((value or b"-")[:60_000]),
        }
        if len(whole) > VALUE_BYTES_MAX:
            checks["size and hash"] = (facts.get("value.bytes"), facts.get("value.sha256")) == (
                str(len(whole)),
                sha256(whole).hexdigest(),
            )
        found += [f"{bad.name}: {name}" for name, holds in checks.items() if not holds]
    return found


def each_sender_is_answered_once(sent: Sent, seen: Seen) -> list[str]:
    """A good payment gets one decision; a bad one `invalid`, or `review` where the core failed, if it has an id."""
    actions = defaultdict(list)
    for record in seen.decisions:
        decision = json.loads(record.value())
        actions[decision["transaction_id"]].append(
            (decision["action"], decision["reasons"][0]["code"] if decision.get("reasons") else None)
        )
    found = []
    for transaction_id in sorted(sent.good):
        given = actions.pop(transaction_id, [])
        if len(given) != 1 or given[0][0] not in {"approve", "step_up", "review", "block"}:
            found.append(f"{transaction_id}: {given}")
    for bad in sent.bad.values():
        given, wanted = actions.pop(bad.name, []), [(bad.answer, bad.reason)] if bad.answer else []
        if given != wanted:
            found.append(f"{bad.name}: {given}")
    return found + [f"{transaction_id}: nobody asked" for transaction_id in actions]


def no_card_number_leaves(_sent: Sent, seen: Seen) -> list[str]:
    """No card number that was sent, nor most of one, is in any byte of an output topic or a log."""
    found = [f"a log holds {leak.decode()}" for leak in LEAKS if leak in seen.logs]
    for topic, records in seen.topics.items():
        for record in records:
            content = b"\0".join(
                [
                    record.key() or b"",
                    record.value() or b"",
                    *(part for n, c in record.headers() or () for part in (n.encode(), c or b"")),
                ]
            )
            place = f"{topic}-{record.partition()} at {record.offset()}"
            found += [f"{place} holds {leak.decode()}" for leak in LEAKS if leak in content]
    return found


def what_is_counted_is_there(sent: Sent, seen: Seen) -> list[str]:
    """The counters equal what was sent, and what can be read in the topics."""
    card, merchant = seen.counters["card"], seen.counters["merchant"]
    bad = Counter((each.stage, each.reason) for each in sent.bad.values())
    answers = Counter(each.answer for each in sent.bad.values())
    failed_at_merchant = bad["merchant", "core_exception"]
    expected = {
        "card.transactions": (card.get("transactions"), len(sent.good) + failed_at_merchant),
        "card.duplicates": (card.get("duplicates"), sent.repeats),
        "card.invalid": (card.get("invalid"), answers["invalid"]),
        "card.dead_letters": (card.get("dead_letters"), sum(n for (stage, _), n in bad.items() if stage == "card")),
        "merchant.dead_letters": (merchant.get("dead_letters", 0), failed_at_merchant),
        "merchant.decided": (merchant.get("decided"), len(sent.good) + failed_at_merchant),
        "profiled": (len(seen.topics[PROFILED.name]), card.get("transactions", 0) + card.get("labels", 0)),
        "duplicates": (len(seen.topics[DUPLICATES.name]), sent.repeats),
        "letters": (len(seen.letters), card.get("dead_letters", 0) + merchant.get("dead_letters", 0)),
        "decisions": (
            len(seen.decisions),
            card.get("invalid", 0) + card.get("decided", 0) + merchant.get("decided", 0),
        ),
    } | {
        f"{stage}.dead_letters.{reason}": (seen.counters[stage].get(f"dead_letters.{reason}"), number)
        for (stage, reason), number in bad.items()
    }
    return [f"{name}: {got}, expected {wanted}" for name, (got, wanted) in expected.items() if got != wanted]


def the_stream_goes_on(_sent: Sent, seen: Seen) -> list[str]:
    """Everything is processed within the bound, by one worker process that never ended."""
    return ["not drained"] * (not seen.drained) + [f"{seen.restarts} restarts"] * bool(seen.restarts)


LAWS = {
    law.__name__: law
    for law in (
        each_is_one_dead_letter,
        each_is_kept_as_it_came,
        each_sender_is_answered_once,
        no_card_number_leaves,
        what_is_counted_is_there,
        the_stream_goes_on,
    )
}
