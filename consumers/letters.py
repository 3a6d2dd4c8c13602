"""Dead letters for people and machines: which of them are asked for, and how they are shown."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from consumers.rows import Record, dead_letter_of
from schemas.codec import DecodeFailure
from schemas.dead_letter import DeadLetter, Replayed, place_text

DETAIL_CHARS = 60
"""As much of a detail as a line of the table shows."""

TIME_MS_MAX = 253_402_300_799_999
"""End of the year 9999: a dead letter has its sender's timestamp, which may be anything."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter, where it lies, and its replay if there was one."""

    partition: int
    offset: int
    content: DeadLetter
    replayed: Replayed | None = None

    @property
    def place(self) -> str:
        """Its name, as in headers and keys: `3/17`."""
        return place_text(self.partition, self.offset)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which dead letters are asked for: all that hold. `since_ms` and `until_ms` bound the sender's timestamp.

    >>> from schemas.dead_letter import Origin
    >>> origin = Origin(topic="t", partition=0, offset=7, timestamp_ms=1_000, key=None, value=b"{")
    >>> letter = Letter(0, 3, DeadLetter(origin=origin, stage="card", reason="not_json", detail="EOF"))
    >>> [asked.takes(letter) for asked in (Asked(), Asked(reason="invalid"), Asked(until_ms=1_000), Asked(since_ms=1))]
    [True, False, False, True]
    """

    reason: str | None = None
    stage: str | None = None
    topic: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None

    def takes(self, letter: Letter) -> bool:
        """Return whether a dead letter is one of them."""
        content = letter.content
        wanted = (
            (self.reason, content.reason),
            (self.stage, content.stage),
            (self.topic, content.origin.topic),
        )
        sent_ms = content.origin.timestamp_ms
        return (
            all(asked in (None, found) for asked, found in wanted)
            and (self.since_ms is None or sent_ms >= self.since_ms)
            and (self.until_ms is None or sent_ms < self.until_ms)
        )


def letter_of(record: Record, replayed: Mapping[str, Replayed]) -> Letter | DecodeFailure:
    """Return the dead letter in a record, by the markers of what was replayed; or why it is none."""
    content = dead_letter_of(record)
    if isinstance(content, DecodeFailure):
        return content
    return Letter(record.partition, record.offset, content, replayed.get(place_text(record.partition, record.offset)))


def time_text(time_ms: int) -> str:
    """Return a time for people, UTC.

    >>> time_text(1_522_540_800_123)
    '2018-04-01T00:00:00.123Z'
    """
    seconds, milliseconds = divmod(min(max(time_ms, 0), TIME_MS_MAX), 1_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{milliseconds:03}Z"


def table(letters: Sequence[Letter]) -> str:
    """Return a table for people: a line each, as wide as it needs to be."""
    head = ("PLACE", "SENT", "STAGE", "REASON", "TOPIC", "DETAIL", "REPLAYED")
    lines = [head] + [
        (
            letter.place,
            time_text(letter.content.origin.timestamp_ms),
            letter.content.stage,
            letter.content.reason,
            letter.content.origin.topic,
            printable(letter.content.detail)[:DETAIL_CHARS],
            letter.replayed.author if letter.replayed else "-",
        )
        for letter in letters
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "".join("  ".join(map(str.ljust, line, widths)).rstrip() + "\n" for line in lines)


def fields_of(letter: Letter) -> dict[str, Any]:
    """Return what is known of a dead letter but its key, value and headers, for a machine."""
    content, replayed = letter.content, letter.replayed
    origin = content.origin
    return {
        "partition": letter.partition,
        "offset": letter.offset,
        "sent_at_ms": origin.timestamp_ms,
        "topic": origin.topic,
        "topic_partition": origin.partition,
        "topic_offset": origin.offset,
        "stage": content.stage,
        "reason": content.reason,
        "detail": content.detail,
        "value_bytes": content.whole.bytes if content.whole else len(origin.value or b""),
        "replayed": replayed.model_dump(mode="json") if replayed else None,
    }


def whole_fields_of(letter: Letter) -> dict[str, Any]:
    """Return everything, for a machine: bytes as text, or as `{"hex": …}` where they are none."""
    content = letter.content
    return fields_of(letter) | {
        "class_name": content.class_name,
        "stacktrace": content.stacktrace,
        "value_sha256": content.whole.sha256 if content.whole else None,
        "key": _text_or_hex(content.origin.key),
        "headers": [[name, _text_or_hex(value)] for name, value in content.origin.headers],
        "value": _text_or_hex(content.origin.value),
    }


def page(letter: Letter, verdict: str) -> str:
    """Return everything, for people. `verdict` says whether it could be replayed as it is."""
    content, replayed = letter.content, letter.replayed
    origin, whole = content.origin, content.whole
    size = f"{len(origin.value or b'')} bytes" if origin.value is not None else "none"
    cut = f", the beginning of {whole.bytes} with SHA-256 {whole.sha256}" if whole else ""
    at = f"{replayed.author} at {time_text(replayed.replayed_at_ms)}" if replayed else "no"
    rows = [
        ("dead letter", letter.place),
        ("came from", f"{origin.topic} partition {origin.partition} offset {origin.offset}"),
        ("sent", time_text(origin.timestamp_ms)),
        ("stage", f"{content.stage}, task {origin.partition}"),
        ("class", content.class_name or "-"),
        ("reason", content.reason),
        ("detail", printable(content.detail)),
        ("replayed", at + (", repaired" if replayed and replayed.repaired else "")),
        ("replay", verdict),
        ("key", _shown(origin.key)),
        *(("header", f"{printable(name)}: {_shown(value)}") for name, value in origin.headers),
        ("value", size + cut),
    ]
    lines = [f"{name:<12}{text}" for name, text in rows]
    stack = ["", "raised", *printable(content.stacktrace).splitlines()] if content.stacktrace else []
    return "\n".join([*lines, "", _pretty(origin.value), *stack]) + "\n"


def printable(text: str) -> str:
    r"""Return text that cannot steer a terminal: what cannot be printed stands as its code.

    >>> printable("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    return "".join(
        character if character.isprintable() or character == "\n" else f"\\x{ord(character):02x}" for character in text
    )


def _text_or_hex(content: bytes | None) -> str | dict[str, str] | None:
    if content is None:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"hex": content.hex()}


def _shown(content: bytes | None) -> str:
    shown = _text_or_hex(content)
    return "none" if shown is None else printable(shown) if isinstance(shown, str) else f"hex {shown['hex']}"


def _pretty(value: bytes | None) -> str:
    """Return a value as it is best read: JSON indented, other text as it is, anything else as a dump in hex."""
    shown = _text_or_hex(value)
    if shown is None:
        return ""
    if not isinstance(shown, str):
        dump = shown["hex"]
        return "\n".join(f"{at // 2:08x}  {dump[at : at + 64]}" for at in range(0, len(dump), 64))
    try:
        return printable(json.dumps(json.loads(shown), indent=2, ensure_ascii=False))
    except (ValueError, RecursionError):
        return printable(shown)
