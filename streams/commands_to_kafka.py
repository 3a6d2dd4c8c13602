"""A person's command to the registry, signed, and the answer that it waits for."""

import time
import uuid
from collections.abc import Mapping

from confluent_kafka import KafkaError, Message, Producer

from schemas.codec import decode, encode
from schemas.connection import connection
from schemas.key_files import signer_of, trusted_of
from schemas.registry import Audit, Control
from schemas.settings import Settings
from schemas.topics import AUDIT, CONTROLS
from streams.recompute.logs import Logs

TIMEOUT_S = 30.0
LOOK_S = 0.2


class CommandNotSentError(Exception):
    """The command was not written, or nobody answered it."""


def command(settings: Settings, logs: Logs, kind: str, arguments: Mapping[str, str], wait_s: float) -> Audit:
    """Write a command and return its answer.

    Raises
    ------
    KeyFileError
        Our key, or the keys that are trusted, cannot be read.
    CommandNotSentError
        Our key is of no operator; the broker did not take the command; or nobody answered in time. In the last case it
        is carried out when the learner is there, once: do not repeat it, look for its answer.
    """
    signer = signer_of(settings)
    author = trusted_of(settings).owner_of("operator", signer.key_id)
    if author is None:
        raise CommandNotSentError(f"key {signer.key_id} is of no trusted operator: nobody would believe it")
    control = Control.model_validate(
        {
            "control_id": f"c-{uuid.uuid4().hex}",
            "author": author,
            "kind": kind,
            "arguments": dict(arguments),
            "issued_at_ms": time.time_ns() // 1_000_000,
        }
    )
    _, end = logs.bounds(AUDIT, 0)
    key, value = control.control_id.encode(), encode(control)
    write(settings, key, value, signer.headers(CONTROLS, key, value, control.issued_at_ms))
    return _answer(logs, control.control_id, end, wait_s)


def write(settings: Settings, key: bytes, value: bytes, headers: tuple[tuple[str, bytes], ...]) -> None:
    """Write a record of commands and wait until the broker has it. Raises CommandNotSentError."""
    failed: list[KafkaError] = []

    def on_delivery(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failed.append(error)

    producer = Producer({**connection(settings), "acks": "all", "enable.idempotence": True})
    topic = settings.topic_prefix + CONTROLS.name
    given: list[tuple[str, str | bytes | None]] = [*headers]
    producer.produce(topic, value, key, partition=0, headers=given, on_delivery=on_delivery)
    if producer.flush(TIMEOUT_S) or failed:
        raise CommandNotSentError(failed[0].str() if failed else f"no answer within {TIMEOUT_S:.0f} s")


def _answer(logs: Logs, control_id: str, start: int, wait_s: float) -> Audit:
    deadline = time.monotonic() + wait_s
    while True:
        for record in logs.read(AUDIT, 0, start):
            start = record.offset + 1
            audit = decode(Audit, record.value)
            if isinstance(audit, Audit) and audit.control_id == control_id:
                return audit
        if time.monotonic() > deadline:
            raise CommandNotSentError(f"no learner answered {control_id} within {wait_s:.0f} s: it stands, and is done")
        time.sleep(LOOK_S)
