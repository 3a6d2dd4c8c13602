"""`python -m streams models`: what it looks up, what it sends, and what it says."""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException

from schemas.connection import said
from schemas.key_files import KeyFileError, trusted_of
from schemas.learning import ModelVersion
from schemas.registry import Alias
from schemas.settings import Settings
from schemas.topics import MODELS, TRAINING
from streams.commands_to_kafka import CommandNotSentError, command
from streams.detector.admission import Admission, NotAdmittedError
from streams.detector.stage import Record
from streams.documents import shipped_policy
from streams.experiments import Run, log_range, log_ranges, recorded
from streams.kafka_logs import KafkaLogs, ReadError
from streams.kafka_signed import NotWrittenError
from streams.look_back import MODELS_BACK, backwards, find, last_alias, last_policy
from streams.models import experimenting, tuning
from streams.models.extra import MlflowError, with_mlflow
from streams.models.flags import KIND_OF
from streams.models.gating import answered, gate
from streams.recompute.logs import Logs

DONE, REFUSED, WRONG = 0, 1, 2


class _NotThereError(Exception):
    """What was asked for is not there, or must not be believed."""


_TOLD = (_NotThereError, KeyFileError, CommandNotSentError, NotWrittenError, ReadError, MlflowError, KafkaException,
         OSError)  # fmt: skip


def run(flags: argparse.Namespace, settings: Settings) -> int:
    """Run one action; return the exit status: 0 done, 1 refused by the registry, 2 it cannot be asked."""
    if flags.action in _WITHOUT_KAFKA:
        return _WITHOUT_KAFKA[flags.action](flags, settings)
    try:
        if flags.action in _LOOKS:
            with _registry(settings) as (logs, admission):
                _LOOKS[flags.action](flags, logs, admission, _alias(logs, admission))
            return DONE
        act, configuration = gate if flags.action == "gate" else _change, _configuration(flags, settings)
        with recorded(settings, flags.action, configuration) as run_, _registry(settings) as (logs, admission):
            return act(flags, settings, logs, admission, run_)
    except _TOLD as error:
        sys.stderr.write(f"models: {said(error)}\n")
        return WRONG


_WITHOUT_KAFKA = {"experiments": experimenting.run, "tune": tuning.run}


@contextmanager
def _registry(settings: Settings) -> Iterator[tuple[Logs, Admission]]:
    admission = Admission(trusted_of(settings))
    with closing(KafkaLogs(settings, "registry")) as logs:
        yield logs, admission


def _configuration(flags: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Return what a command is recorded with; None where it has no such flag."""
    names = ("version", "challenger", "days", "promote")
    deployment = {"application_id": settings.application_id, "topic_prefix": settings.topic_prefix}
    return {**{name: getattr(flags, name, None) for name in names}, **deployment}


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
    record, model = _one(logs, admission, flags.version)
    if flags.format == "mlflow":
        with with_mlflow("--format mlflow"):
            # Here, because MLflow takes seconds to import, and is an extra.
            from streams.models.mlflow_model import Origin, write  # noqa: PLC0415
        policy = last_policy(logs, admission) or shipped_policy()
        write(Path(flags.file), model, Origin(record, admission.signed(record).owner, policy))
        sys.stdout.write(f"{flags.version}: an MLflow model in {flags.file}\n")
        return
    Path(flags.file).write_bytes(record.value or b"")
    sys.stdout.write(f"{flags.version}: {len(record.value or b'')} bytes in {flags.file}\n")


_LOOKS = {"list": _list, "show": _show, "export": _export}


def _change(flags: argparse.Namespace, settings: Settings, logs: Logs, admission: Admission, run_: Run) -> int:
    arguments: dict[str, str] = {}
    run_.log = log_ranges(logs, [TRAINING if flags.action == "rebuild" else MODELS])
    if flags.action in {"promote", "rollback"}:
        version = flags.version
        if version is None:
            alias = _alias(logs, admission)
            if alias is None or not alias.history:
                raise _NotThereError("there is no champion before the one in force: name a version")
            version = alias.history[-1]
        record, _ = _one(logs, admission, version)
        arguments = {"version": version, "model_offset": str(record.offset)}
        run_.log = (log_range(MODELS, 0, record.offset, record.offset + 1),)
    answer = command(settings, logs, KIND_OF[flags.action], arguments, flags.wait)
    answered(run_, answer)
    if flags.json:
        sys.stdout.write(answer.model_dump_json() + "\n")
    elif answer.outcome == "done":
        sys.stdout.write(f"champion is {answer.version}, {answer.mode}; command {answer.control_id}\n")
    else:
        sys.stderr.write(f"models: refused ({answer.reason}): {answer.text}\n")
    return DONE if answer.outcome == "done" else REFUSED
