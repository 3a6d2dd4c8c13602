"""Dead letters: their headers there and back, which are asked for, how they look, and what a replay writes."""

import json
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.letters import Asked, Letter, page, table, whole_fields_of
from consumers.replay import Landing, Refusal, Repair, landing_of
from schemas.codec import encode
from schemas.dead_letter import CONNECTOR, PREFIX, VALUE_BYTES_MAX, DeadLetter, Origin, Replayed, Whole
from schemas.decision import Profiled
from schemas.fields import DAY_MS
from schemas.label import Label
from schemas.topics import LABELS, LABELS_WAITING, PROFILED, TRAINING, TRANSACTIONS, Topic
from schemas.transaction import Transaction

NOW_MS = 1_600_000_000_000
CARD_NUMBER = "4111111111111111"
PAYMENT = Transaction(
    transaction_id="tx-1", card="card_a", merchant="mer_b", amount_minor=1999, currency="EUR", event_time_ms=NOW_MS
)
LABEL = Label(
    transaction_id="tx-1",
    card="card_a",
    merchant="mer_b",
    verdict="fraud",
    source="chargeback",
    occurred_at_ms=NOW_MS - 1,
    reported_at_ms=NOW_MS,
)
MARKER = Replayed(
    partition=3, offset=17, topic="t", author="ada", replayed_at_ms=NOW_MS, repaired=True, value_sha256="0"
)

names = st.text(max_size=8) | st.sampled_from([PREFIX + "topic", PREFIX + "value.bytes", PREFIX + "exception.message"])
contents = st.none() | st.text(alphabet="ab{\x00\xff", max_size=12).map(str.encode)
origins = st.builds(
    Origin,
    topic=st.sampled_from([TRANSACTIONS.name, LABELS.name]),
    partition=st.integers(0, 511),
    offset=st.integers(0, 2**62),
    timestamp_ms=st.integers(-(2**63), 2**63 - 1),
    key=contents,
    value=contents,
    headers=st.lists(st.tuples(names, contents), max_size=4).map(tuple),
)
dead_letters = st.builds(
    DeadLetter,
    origin=origins,
    stage=st.sampled_from(["card", "label-join"]),
    reason=st.sampled_from(["not_json", "a_reason_of_a_newer_writer"]),
    detail=st.text(alphabet="ab:é", max_size=20),
    class_name=st.sampled_from(["", "streams.detector.card.CardStage"]),
    stacktrace=st.sampled_from(["", "at a.b:7\nat a.c:9"]),
)


def read(letter: DeadLetter) -> DeadLetter:
    key, value, headers = letter.to_record()
    return DeadLetter.from_record(key, value, headers, letter.origin.timestamp_ms)


@given(dead_letters)
def test_a_dead_letter_says_all_of_itself(letter: DeadLetter) -> None:
    """Law: what is written is read back equal, whatever headers the sender had, under our names too."""
    assert read(letter) == letter


def test_a_cut_letter_keeps_what_is_known_of_the_whole() -> None:
    """Law: a letter of which a part was kept is read back as that part, and written anew it is the same record."""
    letter = letter_of(value=b"x" * (VALUE_BYTES_MAX + 1)).content
    again = read(letter)
    assert again.whole == Whole(VALUE_BYTES_MAX + 1, sha256(b"x" * (VALUE_BYTES_MAX + 1)).hexdigest())
    assert again.to_record() == letter.to_record()


def test_the_headers_are_kafka_connects() -> None:
    """Law: each fact has the name that Kafka Connect gives it, once, and no other of Connect's is used."""
    failed = DeadLetter(
        origin=Origin(topic="t", partition=3, offset=41, timestamp_ms=0, key=b"k", value=b"v"),
        stage="card",
        reason="core_exception",
        detail="ValueError: broken",
        class_name="streams.detector.card.CardStage",
        stacktrace="at a.b:7",
    )
    assert [(name, value) for name, value in failed.to_record()[2]] == [
        ("__connect.errors.topic", b"t"),
        ("__connect.errors.partition", b"3"),
        ("__connect.errors.offset", b"41"),
        ("__connect.errors.connector.name", CONNECTOR.encode()),
        ("__connect.errors.task.id", b"3"),
        ("__connect.errors.stage", b"card"),
        ("__connect.errors.class.name", b"streams.detector.card.CardStage"),
        ("__connect.errors.exception.class.name", b"core_exception"),
        ("__connect.errors.exception.message", b"ValueError: broken"),
        ("__connect.errors.exception.stacktrace", b"at a.b:7"),
    ]


def letter_of(
    topic: Topic = TRANSACTIONS,
    value: bytes | None = encode(PAYMENT),
    key: bytes | None = b"card_a",
    replayed: Replayed | None = None,
    **changes: Any,
) -> Letter:
    headers = (("trace", b"t-1"), ("dead_letter", b"0/2"))
    origin = Origin(
        topic=topic.name, partition=2, offset=41, timestamp_ms=NOW_MS - 9, key=key, value=value, headers=headers
    )
    written = DeadLetter(origin=origin, stage="card", reason="invalid", detail="d", **changes)
    return Letter(3, 17, read(written), replayed)


@pytest.mark.parametrize(
    ("asked", "takes"),
    [
        (Asked(), True),
        (Asked(reason="invalid", stage="card", topic=TRANSACTIONS.name), True),
        (Asked(reason="not_json"), False),
        (Asked(stage="merchant"), False),
        (Asked(topic=LABELS.name), False),
        (Asked(since_ms=NOW_MS - 9, until_ms=NOW_MS - 8), True),
        (Asked(since_ms=NOW_MS - 8), False),
        (Asked(until_ms=NOW_MS - 9), False),
    ],
)
def test_a_filter_takes_what_holds_everywhere(asked: Asked, takes: bool) -> None:
    """Law: a dead letter is taken where all that is asked holds; times from `since` on and before `until`."""
    assert asked.takes(letter_of()) == takes


def test_a_table_has_a_line_each() -> None:
    """Law: a line for each, none broken by what a sender wrote."""
    lines = table([letter_of(), letter_of(value=b"{\x1b\n", replayed=MARKER)]).splitlines()
    assert [line.split()[0] for line in lines] == ["PLACE", "3/17", "3/17"]
    assert [line.split()[-1] for line in lines] == ["REPLAYED", "-", "ada"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b'{"a":[1]}', '{\n  "a": [\n    1\n  ]\n}'),
        (b"no \x1b[2J json\n", "no \\x1b[2J json\n"),
        (b"\xff\x00", "00000000  ff00"),
        (None, "value       none"),
    ],
)
def test_a_value_is_shown_as_it_is_best_read(value: bytes | None, shown: str) -> None:
    """Law: JSON indented, text without what steers a terminal, hex where it is no text; all of it in JSON, too."""
    letter = letter_of(value=value)
    assert shown in page(letter, "can be replayed as it is")
    told = json.loads(json.dumps(whole_fields_of(letter)))
    assert (told["partition"], told["offset"], told["key"]) == (3, 17, "card_a")
    assert told["value"] == ({"hex": "ff00"} if value == b"\xff\x00" else value and value.decode())


AS_IT_WAS = Repair()


def landing(letter: Letter, repair: Repair = AS_IT_WAS) -> Landing | Refusal:
    return landing_of(letter, repair, author="ada", now_ms=NOW_MS, future_ms_max=DAY_MS)


@pytest.mark.parametrize(
    ("topic", "message", "key", "partition"),
    [
        (TRANSACTIONS, PAYMENT, b"card_a", None),
        (LABELS, LABEL, b"card_a", None),
        (LABELS_WAITING, LABEL, b"card_a", 2),
        (PROFILED, Profiled(transaction=PAYMENT, positions={}), b"mer_b", None),
        (PROFILED, Profiled(label=LABEL, positions={}), b"mer_b", None),
    ],
)
def test_a_good_record_goes_where_it_came_from(topic: Topic, message: Any, key: bytes, partition: int | None) -> None:
    """Law: key and value as they were, the sender's headers and one for the dead letter, and a marker that says so."""
    lands = landing(letter_of(topic, encode(message), key))
    assert isinstance(lands, Landing)
    assert (lands.topic, lands.partition, lands.key, lands.value) == (topic, partition, key, encode(message))
    assert lands.headers == (("trace", b"t-1"), ("dead_letter", b"3/17"))
    marker = lands.marker
    assert (marker.place, marker.topic, marker.author, marker.replayed_at_ms) == ("3/17", topic.name, "ada", NOW_MS)
    assert not marker.repaired


def changed(**fields: Any) -> bytes:
    return json.dumps(PAYMENT.model_dump(exclude_none=True) | fields).encode()


REFUSED = {
    "done": (letter_of(replayed=MARKER), Repair(), "was replayed before, by ada at 2020-09-13"),
    "training log": (letter_of(TRAINING), Repair(), "records of fraud.training.v1 are not replayed"),
    "bad value": (letter_of(value=changed(amount_minor="1")), Repair(), "amount_minor: Input should be a valid int"),
    "no value": (letter_of(value=None), Repair(), "would be refused again"),
    "bad repair": (letter_of(value=b"{"), Repair(value=changed(currency="EUX")), "would be refused again (currency"),
    "cut": (letter_of(value=changed(pad="x" * 70_000)), Repair(), "only the beginning of its 70"),
    "masked value": (letter_of(value=changed(note=CARD_NUMBER)), Repair(), "a card number was masked in its value"),
    "mask in repair": (letter_of(), Repair(value=changed(note="[card number removed]")), "was masked in its value"),
    "number in repair": (letter_of(), Repair(value=changed(note=CARD_NUMBER)), "could be a card number"),
    "masked key": (letter_of(key=CARD_NUMBER.encode()), Repair(), "its key held a card number"),
    "no key": (letter_of(key=None), Repair(), "its key must be card_a: give it"),
    "wrong key": (letter_of(key=b"card_b"), Repair(), "its key must be card_a: give it"),
    "wrong repaired key": (letter_of(), Repair(key=b"card_b"), "its key must be card_a: give it"),
    "ahead": (letter_of(value=changed(event_time_ms=NOW_MS + DAY_MS + 1_000)), Repair(), "lies 86401 s ahead of now"),
    "about nothing": (letter_of(PROFILED, encode(Profiled(positions={})), b""), Repair(), "it is about nothing"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_be_refused_again_is_not_written(name: str) -> None:
    """Law: a replay writes nothing that is not accepted, and says what to do; done before is no failure."""
    letter, repair, why = REFUSED[name]
    refusal = landing(letter, repair)
    assert isinstance(refusal, Refusal)
    assert why in refusal.why
    assert refusal.done == (name == "done")


@pytest.mark.parametrize(
    ("letter", "repair"),
    [
        (letter_of(value=b"{"), Repair(value=encode(PAYMENT))),
        (letter_of(key=None), Repair(key=b"card_a")),
        (letter_of(key=CARD_NUMBER.encode(), value=CARD_NUMBER.encode()), Repair(b"card_a", encode(PAYMENT))),
        (letter_of(value=changed(pad="x" * 70_000)), Repair(value=encode(PAYMENT))),
    ],
)
def test_a_repaired_record_is_written_as_it_was_given(letter: Letter, repair: Repair) -> None:
    """Law: what is given stands instead of what was kept, and the marker says that it was repaired."""
    lands = landing(letter, repair)
    assert isinstance(lands, Landing)
    assert (lands.key, lands.value, lands.marker.repaired) == (b"card_a", repair.value or encode(PAYMENT), True)
