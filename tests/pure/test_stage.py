"""What a stage answers to records it cannot process: every reason, dead letters, and a core that raises."""

import hashlib
import json
from collections.abc import Sequence

import pytest

from schemas.codec import decode, encode
from schemas.decision import Decision, Duplicate, Profiled
from schemas.fields import DAY_MS
from schemas.topics import DEAD_LETTERS, DUPLICATES, LABELS, PROFILED, TRANSACTIONS
from streams.detector.card import CardStage
from streams.detector.decide import InForce
from streams.detector.merchant import MerchantStage
from streams.detector.stage import Context, Event, Output, Record, Refusal
from streams.detector.state import State
from streams.documents import shipped_policy, shipped_rates

NOW_MS = 1_600_000_000_000
CARD_NUMBER = "4111111111111111"
IN_FORCE = InForce(shipped_policy(), shipped_rates())
CONTEXT = Context(IN_FORCE, "test", lambda key: 1 if key == b"card_elsewhere" else 0, DAY_MS)
CARD_STAGE, MERCHANT_STAGE = CardStage(CONTEXT), MerchantStage(CONTEXT)
PAYMENT: dict[str, object] = {
    "transaction_id": "tx-1",
    "card": "card_a",
    "merchant": "mer_b",
    "amount_minor": 1999,
    "currency": "EUR",
    "event_time_ms": NOW_MS,
}


def _record(
    value: bytes | None,
    key: bytes | None = b"card_a",
    offset: int = 0,
    headers: tuple[tuple[str, bytes | None], ...] = (),
) -> Record:
    return Record(TRANSACTIONS.name, 0, offset, NOW_MS, key, value, headers)


def _payment(offset: int = 0, **changes: object) -> Record:
    value = json.dumps({**PAYMENT, **changes}).encode()
    return _record(value, str(changes.get("card", "card_a")).encode(), offset)


def _refused(record: Record) -> Refusal:
    refusal = CARD_STAGE.read(record)
    assert isinstance(refusal, Refusal)
    return refusal


def _dead_letter(outputs: Sequence[Output]) -> tuple[Output, dict[str, bytes]]:
    letter = outputs[0]
    assert letter.topic is DEAD_LETTERS
    return letter, {name.removeprefix("__connect.errors."): value or b"" for name, value in letter.headers}


BIG = json.dumps({**PAYMENT, "note": "x" * 2_000_000}).encode()
REFUSALS = {
    "no value": (_record(None), "not_json", "no value", None),
    "broken JSON": (_record(b'{"transaction_id": "tx-1", '), "not_json", "EOF", None),
    "not UTF-8": (_record(b'{"transaction_id": "\xff"}'), "not_json", "", None),
    "not an object": (_record(b"[1]"), "invalid", "object", None),
    "missing field": (_record(b'{"transaction_id": "tx-1"}'), "invalid", "card: Field required", "tx-1"),
    "wrong type": (_payment(amount_minor="1999"), "invalid", "amount_minor: Input should be a valid integer", "tx-1"),
    "fraction of a cent": (_payment(amount_minor=19.5), "invalid", "amount_minor", "tx-1"),
    "negative amount": (_payment(amount_minor=-1), "invalid", "greater than or equal to 0", "tx-1"),
    "not a number": (_payment(amount_minor=float("nan")), "invalid", "amount_minor", "tx-1"),
    "infinite": (_payment(amount_minor=float("inf")), "invalid", "amount_minor", "tx-1"),
    "absurd amount": (_payment(amount_minor=10**30), "invalid", "amount_minor", "tx-1"),
    "unknown currency": (_payment(currency="XXZ"), "invalid", "currency: Value error, is not an ISO 4217", "tx-1"),
    "seconds for milliseconds": (_payment(event_time_ms=NOW_MS // 1000), "invalid", "event_time_ms", "tx-1"),
    "bad id": (_payment(transaction_id="tx 1"), "invalid", "transaction_id", None),
    "2 MB": (_record(BIG), "too_large", f"{len(BIG)} bytes", "tx-1"),
    "no key": (_record(_payment().value, None), "no_key", "the key must be the card token", "tx-1"),
    "another key": (_record(_payment().value, b"card_b"), "key_mismatch", "not the entity", "tx-1"),
    "empty key": (_record(_payment().value, b""), "key_mismatch", "not the entity", "tx-1"),
    "wrong partition": (_payment(card="card_elsewhere"), "wrong_partition", "belongs to partition 1", "tx-1"),
    "from the future": (_payment(event_time_ms=NOW_MS + DAY_MS + 1000), "from_the_future", "86401 s after", "tx-1"),
    "card number for a token": (_payment(card=CARD_NUMBER), "invalid", "card: String should match", "tx-1"),
    "card number in a token": (_payment(card=f"card_{CARD_NUMBER}"), "invalid", "could be a card number", "tx-1"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusal(name: str) -> None:
    """Law: each bad record has one reason, one dead letter, and an `invalid` decision where its id can be read."""
    record, reason, detail, transaction_id = REFUSALS[name]
    refusal = _refused(record)
    assert refusal.reason == reason
    assert detail in refusal.detail
    step = CARD_STAGE.refuse(refusal)
    letter, headers = _dead_letter(step.outputs)
    assert (headers["topic"], headers["partition"], headers["offset"]) == (TRANSACTIONS.name.encode(), b"0", b"0")
    assert (headers["stage"], headers["exception.class.name"]) == (b"card", reason.encode())
    assert (letter.partition, letter.timestamp_ms) == (0, NOW_MS)
    decisions = [decode(Decision, output.value) for output in step.outputs[1:]]
    assert [each.transaction_id for each in decisions if isinstance(each, Decision)] == [transaction_id] * bool(
        transaction_id
    )
    for decision in decisions:
        assert isinstance(decision, Decision)
        assert (decision.action, decision.mode, decision.reasons[0].code) == ("invalid", "fallback", reason)
    assert step.counts == ("dead_letters", f"dead_letters.{reason}", *["invalid"] * bool(transaction_id))


def test_every_reason_has_a_case() -> None:
    """Law: the table above leaves no reason out; `core_exception` has tests of its own."""
    assert {case[1] for case in REFUSALS.values()} == {
        "not_json",
        "invalid",
        "too_large",
        "no_key",
        "key_mismatch",
        "wrong_partition",
        "from_the_future",
    }


def test_a_day_ahead_is_accepted() -> None:
    """Law: a clock that runs a day ahead is no reason to refuse; late is never one."""
    assert isinstance(CARD_STAGE.read(_payment(event_time_ms=NOW_MS + DAY_MS)), Event)
    assert isinstance(CARD_STAGE.read(_payment(event_time_ms=NOW_MS - 900 * DAY_MS)), Event)


def test_small_dead_letter_is_as_it_came() -> None:
    """Law: key, value, headers and timestamp of a dead letter are the sender's."""
    record = _record(b'{"half": ', headers=(("trace", b"t-1"), ("empty", None)))
    letter, _ = _dead_letter(CARD_STAGE.refuse(_refused(record)).outputs)
    assert (letter.key, letter.value, letter.headers[:2]) == (b"card_a", b'{"half": ', record.headers)


def test_large_dead_letter_is_cut() -> None:
    """Law: of a large value 64 kB are kept, with the size and the SHA-256 of the whole."""
    letter, headers = _dead_letter(CARD_STAGE.refuse(_refused(_record(BIG))).outputs)
    assert letter.value == BIG[:65_536]
    assert headers["value.bytes"] == str(len(BIG)).encode()
    assert headers["value.sha256"] == hashlib.sha256(BIG).hexdigest().encode()


@pytest.mark.parametrize("record", [_record(b"{", b"k" * 2_000_000), _record(b"{", headers=(("h", b"x" * 2_000_000),))])
def test_dead_letter_always_fits_its_topic(record: Record) -> None:
    """Law: whatever a record was, its dead letter can be written; else its task would fail on it for ever."""
    letter, _ = _dead_letter(CARD_STAGE.refuse(_refused(record)).outputs)
    size = len(letter.key or b"") + len(letter.value or b"")
    size += sum(len(name) + len(value or b"") for name, value in letter.headers)
    assert size <= DEAD_LETTERS.value_bytes_max


@pytest.mark.parametrize("written", [CARD_NUMBER, "4111-1111-1111-1111", "4111 1111 1111 1111"])
def test_card_number_is_masked_everywhere(written: str) -> None:
    """Law: a card number leaves no trace, wherever the sender put it: token, note, key or header."""
    value = json.dumps({**PAYMENT, "card": f"card_{CARD_NUMBER}", "note": written}).encode()
    record = _record(value, written.encode(), headers=(("pan", written.encode()),))
    step = CARD_STAGE.refuse(_refused(record))
    everything = repr(step)
    assert written not in everything
    assert CARD_NUMBER not in everything
    letter, headers = _dead_letter(step.outputs)
    assert letter.key == headers["pan"] == b"[card number removed]"
    decision = decode(Decision, step.outputs[1].value)
    assert isinstance(decision, Decision)
    assert (decision.transaction_id, decision.card, step.outputs[1].key) == ("tx-1", None, None)


def test_card_number_on_the_cut_is_masked() -> None:
    """Law: where a large value is cut, no part of a card number is left."""
    value = b"x" * (65_536 - 15) + CARD_NUMBER.encode() + b"x" * 300_000
    letter, _ = _dead_letter(CARD_STAGE.refuse(_refused(_record(value))).outputs)
    assert CARD_NUMBER[:13].encode() not in (letter.value or b"")


@pytest.mark.parametrize("before", [b"12 ", b"2018-04-01 ", CARD_NUMBER.encode() + b" "])
def test_card_number_beside_other_digits_is_masked(before: bytes) -> None:
    """Law: digits before a card number, a blank or a dash away, do not hide it."""
    letter, _ = _dead_letter(CARD_STAGE.refuse(_refused(_record(before + CARD_NUMBER.encode()))).outputs)
    assert CARD_NUMBER.encode() not in (letter.value or b"")


def test_bad_label_gets_no_decision() -> None:
    """Law: only a transaction is answered; a bad label is a dead letter and no more."""
    record = _payment()._replace(topic=LABELS.name)
    step = CARD_STAGE.refuse(_refused(record))
    assert [output.topic for output in step.outputs] == [DEAD_LETTERS]


def test_profiled_record_must_be_about_something() -> None:
    """Law: a profiled record without transaction and label is refused by the merchant stage."""
    record = Record(PROFILED.name, 0, 0, NOW_MS, b"mer_b", encode(Profiled(positions={})))
    refusal = MERCHANT_STAGE.read(record)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "invalid"


def test_payment_without_a_rate_is_decided_without_an_amount() -> None:
    """Law: a currency that the rate table does not have costs the amount features and nothing else, and is counted."""
    state = State(CARD_STAGE.kind)
    for offset, (currency, counts) in enumerate(
        (("XOF", ("transactions", "without_rate")), ("USD", ("transactions",)))
    ):
        event = CARD_STAGE.read(_payment(offset, currency=currency, transaction_id=f"tx-{offset}"))
        assert isinstance(event, Event)
        step = CARD_STAGE.step(state, event, {})
        assert step.counts == counts
        profiled = decode(Profiled, step.outputs[0].value)
        assert isinstance(profiled, Profiled)
        assert profiled.rates_version == shipped_rates().version
        assert ("payment_amount_minor" in profiled.features) == (currency == "USD")
        assert profiled.features["card_count_24h"] == offset + 1


def test_core_exception_on_a_label_is_a_dead_letter() -> None:
    """Law: a label that the core fails on is kept as dead letter, and nothing is decided."""
    label = {
        "card": "card_a",
        "merchant": "mer_b",
        "verdict": "fraud",
        "source": "chargeback",
        "transaction_id": "tx-1",
    }
    value = json.dumps({**label, "occurred_at_ms": NOW_MS, "reported_at_ms": NOW_MS}).encode()
    event = CARD_STAGE.read(Record(LABELS.name, 0, 0, NOW_MS, b"card_a", value))
    assert isinstance(event, Event)
    step = CARD_STAGE.fail(event, ValueError("broken"))
    assert [output.topic for output in step.outputs] == [DEAD_LETTERS]
    assert step.counts == ("dead_letters", "dead_letters.core_exception")


def test_duplicate_leads_to_a_marker_and_nothing_else() -> None:
    """Law: each repeat of a payment is told once, with its place, and is neither passed on nor remembered anew."""
    state = State(CARD_STAGE.kind)
    for offset in range(3):
        event = CARD_STAGE.read(_payment(offset, event_time_ms=NOW_MS + offset))
        assert isinstance(event, Event)
        step = CARD_STAGE.step(state, event, {TRANSACTIONS.name: (0, offset)})
        if offset == 0:
            assert [output.topic for output in step.outputs] == [PROFILED]
            continue
        (marker,) = step.outputs
        assert (marker.topic, marker.key, marker.partition, step.counts) == (DUPLICATES, b"card_a", 0, ("duplicates",))
        assert decode(Duplicate, marker.value) == Duplicate(
            transaction_id="tx-1",
            card="card_a",
            event_time_ms=NOW_MS + offset,
            positions={TRANSACTIONS.name: (0, offset)},
        )


def test_core_exception_says_where_it_was_raised() -> None:
    """Law: the dead letter names the calls by module and line, innermost first, and no value of the sender's."""
    event = CARD_STAGE.read(_payment())
    assert isinstance(event, Event)
    try:
        json.loads("secret")
    except ValueError as error:
        _, headers = _dead_letter(CARD_STAGE.fail(event, error).outputs)
    calls = headers["exception.stacktrace"].decode().splitlines()
    assert calls[0].startswith("at json.decoder.JSONDecoder.raw_decode:")
    assert calls[-1].startswith(f"at {__name__}.test_core_exception_says_where_it_was_raised:")
    assert "secret" not in headers["exception.stacktrace"].decode()
    assert headers["class.name"] == b"streams.detector.card.CardStage"
