"""A person's command to the registry, signed, and the answer that it waits for."""

import time
import uuid
from collections.abc import Mapping

from schemas.codec import decode, encode
from schemas.key_files import signer_of, trusted_of
from schemas.registry import Audit, Control
from schemas.settings import Settings
from schemas.topics import AUDIT, CONTROLS
from streams.kafka_signed import write_signed
from streams.recompute.logs import Logs

LOOK_S = 0.2


class CommandNotSentError(Exception):
    """Nobody would believe the command, or nobody answered it."""


def command(settings: Settings, logs: Logs, kind: str, arguments: Mapping[str, str], wait_s: float) -> Audit:
    """Write a command and return its answer.

    Raises
    ------
    KeyFileError
        Our key, or the keys that are trusted, cannot be read.
    CommandNotSentError
        Our key is of no operator; or nobody answered in time: then it is carried out when the learner is there, once.
        Do not repeat it, look for its answer.
    NotWrittenError
        The broker did not take the command.
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
    write_signed(settings, signer, CONTROLS, key, value, at_ms=control.issued_at_ms)
    return _answer(logs, control.control_id, end, wait_s)


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
