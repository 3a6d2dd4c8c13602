"""The bad records that a stream must survive: one row each, what is sent and what must come of it. Pure."""

import json
from dataclasses import dataclass
from random import Random
from typing import Any

from schemas.topics import LABELS, TRANSACTIONS, Topic
from tests.integration.faulty_worker import CARD, MERCHANT

PAN = "4111111111111111"
"""A published test number: it must be in no byte of what leaves us, not even most of it."""
GROUPED_PAN = "3782 822463 10005"

CARD_SENT = "card_bad"
MERCHANT_SENT = "mer_7"


@dataclass(frozen=True, slots=True)
class Bad:
    """A record, and what must become of it.

    `answer` is the action of the decision that its sender gets, and None where no id can be read. `wrong_partition`
    sends it beside the partition of its key.
    """

    name: str
    reason: str
    value: bytes | None
    answer: str | None = "invalid"
    key: bytes | None = CARD_SENT.encode()
    topic: Topic = TRANSACTIONS
    stage: str = "card"
    wrong_partition: bool = False
    headers: tuple[tuple[str, bytes], ...] = (("sent-by", b"a gateway"),)


def payment(now_ms: int, transaction_id: str, card: str = CARD_SENT, **changes: Any) -> bytes:
    """Return a valid transaction, or one with these fields changed."""
    fields = {
        "transaction_id": transaction_id,
        "card": card,
        "merchant": MERCHANT_SENT,
        "amount_minor": 1999,
        "currency": "EUR",
        "event_time_ms": now_ms,
    }
    return json.dumps(fields | changes).encode()


def label(now_ms: int, card: str = CARD_SENT, **changes: Any) -> bytes:
    """Return a valid label, or one with these fields changed."""
    fields = {
        "transaction_id": "labelled",
        "card": card,
        "merchant": MERCHANT_SENT,
        "verdict": "fraud",
        "source": "chargeback",
        "occurred_at_ms": now_ms - 1000,
        "reported_at_ms": now_ms,
    }
    return json.dumps(fields | changes).encode()


def bad_records(now_ms: int) -> list[Bad]:
    """Return all of them. Where an id can be read it is the record's name."""

    def changed(name: str, reason: str = "invalid", **changes: Any) -> Bad:
        return Bad(name, reason, payment(now_ms, name, **changes))

    def good(name: str) -> bytes:
        return payment(now_ms, name)

    year_ms = 365 * 86_400_000
    noise = Random(7).randbytes(2_000_000)
    # So placed that cutting the value at 64 kB cuts the number: what is kept must not hold most of it.
    cut_number = b'{"padding": "' + b"x" * (65_536 - 13 - 15) + PAN.encode() + b"x" * 5_000 + b'"}'
    return [
        Bad("broken_json", "not_json", good("broken_json")[:-9], None),
        Bad("empty", "not_json", b"", None),
        Bad("tombstone", "not_json", None, None),
        Bad("not_utf8", "not_json", good("not_utf8")[:-2] + b'\xff\xfe"}', None),
        Bad("deeply_nested", "not_json", b"[" * 50_000 + b"]" * 50_000, None),
        Bad("no_object", "invalid", b"[1, 2]", None),
        Bad("a_number", "invalid", b"7", None),
        changed("wrong_type", amount_minor="1999"),
        changed("negative", amount_minor=-1),
        changed("not_a_number", amount_minor=float("nan")),
        changed("huge_amount", amount_minor=10**400),
        changed("unknown_currency", currency="EUX"),
        changed("lone_surrogate", "not_json", customer="cus_\ud800"),
        changed("long_ago", event_time_ms=0),
        changed("from_the_future", "from_the_future", event_time_ms=now_ms + year_ms),
        changed("two_megabytes", "too_large", padding="x" * 2_000_000),
        Bad("cut_number", "invalid", cut_number, None),
        Bad("no_key", "no_key", good("no_key"), key=None),
        Bad("wrong_key", "key_mismatch", good("wrong_key"), key=b"card_of_another"),
        Bad("binary_key", "key_mismatch", good("binary_key"), key=b"\xff\x00"),
        Bad("wrong_partition", "wrong_partition", good("wrong_partition"), wrong_partition=True),
        Bad("number_as_card", "invalid", payment(now_ms, "number_as_card", f"card_{PAN}"), key=f"card_{PAN}".encode()),
        Bad("number_as_id", "invalid", payment(now_ms, PAN), None),
        Bad("number_in_id", "invalid", payment(now_ms, f"tx-{PAN}"), None),
        changed("grouped_number", email=GROUPED_PAN),
        Bad("number_as_key", "key_mismatch", good("number_as_key"), key=PAN.encode()),
        Bad("number_in_header", "no_key", good("number_in_header"), key=None, headers=(("pan", PAN.encode()),)),
        Bad("label_verdict", "invalid", label(now_ms, verdict="guilty"), None, topic=LABELS),
        Bad("label_reason", "invalid", label(now_ms, verdict="fraud", reason_code="Visa 13.1"), None, topic=LABELS),
        Bad("label_key", "key_mismatch", label(now_ms), None, key=b"card_of_another", topic=LABELS),
        Bad("label_number", "invalid", label(now_ms, reason_code=PAN), None, topic=LABELS),
        Bad("card_core", "core_exception", payment(now_ms, "card_core", CARD), "review", CARD.encode()),
        Bad("label_core", "core_exception", label(now_ms, CARD), None, CARD.encode(), topic=LABELS),
        Bad(
            "merchant_core",
            "core_exception",
            payment(now_ms, "merchant_core", merchant=MERCHANT),
            "review",
            stage="merchant",
        ),
        # Their size is not in the value: a dead letter of them must fit its topic too.
        Bad("huge_key", "key_mismatch", good("huge_key"), key=noise),
        Bad("huge_header", "no_key", good("huge_header"), key=None, headers=(("blob", noise),)),
        Bad("many_headers", "no_key", good("many_headers"), key=None, headers=(("h", b"x" * 50),) * 30_000),
    ]
