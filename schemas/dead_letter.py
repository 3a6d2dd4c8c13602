"""A record that could not be processed, kept as it came, with the reason in Kafka Connect's error headers (KIP-298).

Key, value, headers and timestamp stay the sender's. Two things are taken away: what is over 64 kB (size and SHA-256 of
the whole are kept; a key and headers are cut at 4 kB) and anything that could be a card number.

The error headers follow the sender's own, so that tools which know Kafka Connect's dead letters know these:

| `__connect.errors.` | what it says |
| --- | --- |
| `topic`, `partition`, `offset` | where the record was |
| `connector.name`, `task.id` | who read it: this application, and the number of the task |
| `stage` | where it failed: `card`, `merchant`, `label-join` or `learning` |
| `class.name` | the class that was at work |
| `exception.class.name` | the reason: a stable code, one of `DeadLetterReason` |
| `exception.message` | what was wrong, without the values that were sent |
| `exception.stacktrace` | where an error in the detector was raised, innermost call first; only with `core_exception` |
| `value.bytes`, `value.sha256` | not of Connect: size and hash of the whole value, only where it was cut |
"""

import hashlib
from collections.abc import Iterable
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field

from schemas.fields import Identifier, Message, TimeMs, without_card_numbers

VALUE_BYTES_MAX = 65_536
KEY_BYTES_MAX = 4_096
HEADER_BYTES_MAX = 4_096
HEADERS_MAX = 64
DETAIL_CHARS_MAX = 1_000
PREFIX = "__connect.errors."
CONNECTOR = "fraud-detection"
REPLAYED_FROM = "dead_letter"
"""Header of a record that was replayed: the partition and offset of its dead letter, as `3/17`."""

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

Headers = tuple[tuple[str, bytes | None], ...]


class Origin(BaseModel):
    """Where a record came from and what it was."""

    model_config = ConfigDict(frozen=True)

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class Whole(NamedTuple):
    """Size and SHA-256 (hex) of a value of which only the beginning was kept."""

    bytes: int
    sha256: str


class DeadLetter(BaseModel):
    """One record of `fraud.dead-letters.v1`.

    `reason` is a `DeadLetterReason`, or one that a newer writer knows. `whole` is known of what was read and had been
    cut.
    """

    model_config = ConfigDict(frozen=True)

    origin: Origin
    stage: str
    reason: str
    detail: str
    class_name: str = ""
    stacktrace: str = ""
    whole: Whole | None = None

    def to_record(self) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]:
        """Return key, value and headers to write.

        >>> letter = DeadLetter(origin=Origin(topic="t", partition=0, offset=7, timestamp_ms=0, key=b"k", value=b"{"),
        ...                     stage="card", reason="not_json", detail="EOF at column 1")
        >>> key, value, headers = letter.to_record()
        >>> value, dict(headers)["__connect.errors.offset"]
        (b'{', b'7')
        """
        key, value = self.origin.key, self.origin.value
        headers: list[tuple[str, bytes | None]] = [
            (without_card_numbers(name[:256].encode()).decode(), content and _kept(content, HEADER_BYTES_MAX))
            for name, content in self.origin.headers[:HEADERS_MAX]
        ]
        whole = self.whole
        if value is not None and len(value) > VALUE_BYTES_MAX:
            whole = Whole(len(value), hashlib.sha256(value).hexdigest())
        facts = {
            "topic": self.origin.topic,
            "partition": self.origin.partition,
            "offset": self.origin.offset,
            "connector.name": CONNECTOR,
            "task.id": self.origin.partition,
            "stage": self.stage,
            "class.name": self.class_name,
            "exception.class.name": self.reason,
            "exception.message": self.detail[:DETAIL_CHARS_MAX],
            **({"exception.stacktrace": self.stacktrace[:HEADER_BYTES_MAX]} if self.stacktrace else {}),
            **({"value.bytes": whole.bytes, "value.sha256": whole.sha256} if whole else {}),
        }
        headers += [(PREFIX + name, without_card_numbers(str(fact).encode())) for name, fact in facts.items()]
        return key and _kept(key, KEY_BYTES_MAX), value and _kept(value, VALUE_BYTES_MAX), headers

    @classmethod
    def from_record(
        cls,
        key: bytes | None,
        value: bytes | None,
        headers: Iterable[tuple[str, bytes | None]],
        timestamp_ms: int,
    ) -> Self:
        """Return the dead letter in a record. What its sender wrote under our names comes before ours, and stays his.

        Raises
        ------
        KeyError
            A header is missing; the exception names it.
        ValueError
            A header that should be a number is none.
        """
        headers = tuple(headers)
        ours = max((at for at, (name, _) in enumerate(headers) if name == PREFIX + "topic"), default=len(headers))
        facts = {
            name.removeprefix(PREFIX): (content or b"").decode("utf-8", "backslashreplace")
            for name, content in headers[ours:]
        }
        origin = Origin(
            topic=facts["topic"],
            partition=int(facts["partition"]),
            offset=int(facts["offset"]),
            timestamp_ms=timestamp_ms,
            key=key,
            value=value,
            headers=headers[:ours],
        )
        return cls(
            origin=origin,
            stage=facts["stage"],
            reason=facts["exception.class.name"],
            detail=facts["exception.message"],
            class_name=facts.get("class.name", ""),
            stacktrace=facts.get("exception.stacktrace", ""),
            whole=Whole(int(facts["value.bytes"]), facts["value.sha256"]) if "value.bytes" in facts else None,
        )


class Replayed(Message):
    """That a dead letter was replayed: written in one transaction with the record, so there is one or there is neither.

    The record's key is the partition and offset of the dead letter, as `3/17`.
    """

    partition: Annotated[int, Field(ge=0, description="Of the dead letter.")]
    offset: Annotated[int, Field(ge=0, description="Of the dead letter.")]
    topic: str = Field(description="Where the record went: the topic that it had come from.")
    author: Identifier = Field(description="Who replayed it.")
    replayed_at_ms: TimeMs = Field(description="When it was replayed.")
    repaired: bool = Field(description="Whether its key or its value was given anew.")
    value_sha256: str = Field(description="Of the value that was written, in hex.")

    @property
    def place(self) -> str:
        """Partition and offset of the dead letter, as in keys and headers."""
        return place_text(self.partition, self.offset)


def place_text(partition: int, offset: int) -> str:
    """Return the name of a dead letter.

    >>> place_text(3, 17)
    '3/17'
    """
    return f"{partition}/{offset}"


def _kept(content: bytes, bytes_max: int) -> bytes:
    # Masked with as much again behind the cut: a number on the cut is whole there, and a mask may be the shorter one.
    return without_card_numbers(content[: 2 * bytes_max])[:bytes_max]
