"""A record that could not be processed, kept as it came, with the reason in Kafka Connect's error headers.

Key, value, headers and timestamp stay the sender's. Two things are taken away: what is over 64 kB (size and SHA-256 of
the whole are kept; a key and headers are cut at 4 kB) and anything that could be a card number.
"""

import hashlib
from typing import Literal

from pydantic import BaseModel, ConfigDict

from schemas.fields import without_card_numbers

VALUE_BYTES_MAX = 65_536
KEY_BYTES_MAX = 4_096
HEADER_BYTES_MAX = 4_096
HEADERS_MAX = 64
DETAIL_CHARS_MAX = 1_000
PREFIX = "__connect.errors."

DeadLetterReason = Literal[
    "not_json",
    "invalid",
    "too_large",
    "no_key",
    "key_mismatch",
    "wrong_partition",
    "from_the_future",
    "core_exception",
    "label_without_prediction",
]


class Origin(BaseModel):
    """Where a record came from and what it was."""

    model_config = ConfigDict(frozen=True)

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


class DeadLetter(BaseModel):
    """One record of `fraud.dead-letters.v1`."""

    model_config = ConfigDict(frozen=True)

    origin: Origin
    stage: str
    reason: DeadLetterReason
    detail: str

    def to_record(self) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]:
        """Return key, value and headers to write.

        >>> letter = DeadLetter(origin=Origin(topic="t", partition=0, offset=7, timestamp_ms=0, key=b"k", value=b"{"),
        ...                     stage="card", reason="not_json", detail="EOF at column 1")
        >>> key, value, headers = letter.to_record()
        >>> value, dict(headers)["__connect.errors.offset"]
        (b'{', b'7')
        """
        value = self.origin.value
        headers: list[tuple[str, bytes | None]] = [
            (without_card_numbers(name[:256].encode()).decode(), content and _kept(content, HEADER_BYTES_MAX))
            for name, content in self.origin.headers[:HEADERS_MAX]
        ]
        facts = {
            "topic": self.origin.topic,
            "partition": self.origin.partition,
            "offset": self.origin.offset,
            "stage": self.stage,
            "exception.class.name": self.reason,
            "exception.message": self.detail[:DETAIL_CHARS_MAX],
        }
        if value is not None and len(value) > VALUE_BYTES_MAX:
            facts |= {"value.bytes": len(value), "value.sha256": hashlib.sha256(value).hexdigest()}
        headers += [(PREFIX + name, without_card_numbers(str(fact).encode())) for name, fact in facts.items()]
        key = self.origin.key
        return key and _kept(key, KEY_BYTES_MAX), value and _kept(value, VALUE_BYTES_MAX), headers


def _kept(content: bytes, bytes_max: int) -> bytes:
    # Masked with as much again behind the cut: a number on the cut is whole there, and a mask may be the shorter one.
    return without_card_numbers(content[: 2 * bytes_max])[:bytes_max]
