"""`python -m streams models`: what it looks up, what it sends, and what it says."""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException

from schemas.connection import said
from schemas.key_files import KeyFileError, trusted_of
from schemas.learning import ModelVersion
from schemas.registry import Alias
from schemas.settings import Settings
from schemas.topics import MODELS
from streams.commands_to_kafka import CommandNotSentError, command
from streams.detector.admission import Admission, NotAdmittedError
from streams.detector.stage import Record
from streams.kafka_logs import KafkaLogs, ReadError
from streams.kafka_signed import NotWrittenError
from streams.look_back import MODELS_BACK, backwards, find, last_alias
from streams.models.flags import KIND_OF
from streams.models.gating import gate
from streams.recompute.logs import Logs

DONE, REFUSED, WRONG = 0, 1, 2


class _NotThereError(Exception):
    """What was asked for is not there, or must not be believed."""


_TOLD = (_NotThereError, KeyFileError, CommandNotSentError, NotWrittenError, ReadError, KafkaException, OSError)


def run(flags: argparse.Namespace, settings: Settings) -> int:
    """Run one action; return the exit status: 0 done, 1 refused by the registry, 2 it cannot be asked."""
    try:
        admission = Admission(trusted_of(settings))
        with closing(KafkaLogs(settings, "registry")) as logs:
            if flags.action in KIND_OF:
                return _change(flags, settings, logs, admission)
            if flags.action == "gate":
                return gate(flags, settings, logs, admission)
            alias = _alias(logs, admission)
            _LOOKS[flags.action](flags, logs, admission, alias)
    except _TOLD as error:
        sys.stderr.write(f"models: {said(error)}\n")
        return WRONG
    return DONE


def _alias(logs: Logs, admission: Admission) -> Alias | None:
    found = last_alias(logs, admission)
    return found[0] if found else None


def _list(flags: argparse.Namespace, logs: Logs, admission: Admission, alias: Alias | None) -> None:
    rows = []
    for records in backwards(logs, MODELS, max(MODELS_BACK, 2 * flags.last)):
        rows += [_row(record, admission, alias) for record in reversed(list(records))]
        if len(rows) >= flags.last:
            break
    rows = rows[: flags.last]
    champion = alias.version if alias else None
    if flags.json:
        mode = alias.mode if alias else None
        sys.stdout.write(json.dumps({"champion": champion, "mode": mode, "models": rows}) + "\n")
        return
    lines = [f"champion {champion or 'none'}{f', {alias.mode}' if alias else ''}"]
    lines += ["   offset  version                        records    frauds  learned to (ms)  state"]
    lines += [
        f"{'*' if row['version'] == champion else ' '} {row['offset']:7}  {row['version']:28} {row['records']:9,}"
        f" {row['frauds']:9,}  {row['learned_to_ms'] or '':>15}  {row['state']}"
        for row in rows
    ]
    sys.stdout.write("\n".join(lines) + "\n")


def _row(record: Record, admission: Admission, alias: Alias | None) -> dict[str, Any]:
    told = {"offset": record.offset, "version": (record.key or b"").decode("utf-8", "replace"), "state": "sound"}
    numbers: dict[str, Any] = {"records": 0, "frauds": 0, "learned_to_ms": None}
    try:
        model = admission.snapshot(record).model
    except NotAdmittedError as error:
        return {**told, **numbers, "state": f"refused: {error.kind}"}
    if alias and alias.version == model.version:
        told["state"] = "champion"
    return {**told, **{name: getattr(model, name) for name in numbers}}


def _believed(logs: Logs, admission: Admission, version: str) -> Iterator[tuple[Record, ModelVersion]]:
    for record in find(logs, version):
        try:
            model = admission.snapshot(record).model
        except NotAdmittedError as error:
            sys.stderr.write(f"models: offset {record.offset} is refused: {error}\n")
        else:
            yield record, model


def _one(logs: Logs, admission: Admission, version: str) -> tuple[Record, ModelVersion]:
    found = next(_believed(logs, admission, version), None)
    if found is None:
        raise _NotThereError(f"there is no sound snapshot {version}")
    return found


def _show(flags: argparse.Namespace, logs: Logs, admission: Admission, alias: Alias | None) -> None:
    record, model = _one(logs, admission, flags.version)
    fields = {
        **model.model_dump(exclude={"state"}),
        "offset": record.offset,
        "bytes": len(record.value or b""),
        "signed_by": admission.signed(record).owner,
        "champion": bool(alias and alias.version == model.version),
    }
    if flags.json:
        sys.stdout.write(json.dumps(fields) + "\n")
        return
    sys.stdout.write("".join(f"{name:16} {value}\n" for name, value in fields.items()))


def _export(flags: argparse.Namespace, logs: Logs, admission: Admission, _alias: Alias | None) -> None:
    record, _ = _one(logs, admission, flags.version)
    Path(flags.file).write_bytes(record.value or b"")
    sys.stdout.write(f"{flags.version}: {len(record.value or b'')} bytes in {flags.file}\n")


_LOOKS = {"list": _list, "show": _show, "export": _export}


def _change(flags: argparse.Namespace, settings: Settings, logs: Logs, admission: Admission) -> int:
    arguments: dict[str, str] = {}
    if flags.action in {"promote", "rollback"}:
        version = flags.version
        if version is None:
            alias = _alias(logs, admission)
            if alias is None or not alias.history:
                raise _NotThereError("there is no champion before the one in force: name a version")
            version = alias.history[-1]
        record, _ = _one(logs, admission, version)
        arguments = {"version": version, "model_offset": str(record.offset)}
    answer = command(settings, logs, KIND_OF[flags.action], arguments, flags.wait)
    if flags.json:
        sys.stdout.write(answer.model_dump_json() + "\n")
    elif answer.outcome == "done":
        sys.stdout.write(f"champion is {answer.version}, {answer.mode}; command {answer.control_id}\n")
    else:
        sys.stderr.write(f"models: refused ({answer.reason}): {answer.text}\n")
    return DONE if answer.outcome == "done" else REFUSED
