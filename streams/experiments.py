"""The log of experiments: one line of JSON for each run in `experiments.jsonl` of the data directory, only appended.

Writers take turns by a lock on the file, and a line is on the disk before its command ends. A line that was cut by a
crash is passed over, and said; the next writer begins a new one. What cannot be recorded is said, and changes nothing
of the run.
"""

import fcntl
import hashlib
import os
import resource
import sys
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from schemas.codec import DecodeFailure, decode, encode
from schemas.connection import said
from schemas.experiment import Cost, Experiment, FileRange, LogRange, RunKind, RunStatus, Setting
from schemas.settings import Settings
from schemas.topics import Topic
from streams.code_version import code_version
from streams.detector.admission import words
from streams.recompute.logs import Logs

FILE = "experiments.jsonl"
RSS_BYTES = 1 if sys.platform == "darwin" else 1024
"""What `ru_maxrss` counts in."""


@dataclass(slots=True)
class Run:
    """What a run tells of itself while it runs."""

    configuration: Mapping[str, Any]
    experiment_id: str = field(default_factory=lambda: f"e-{uuid.uuid4().hex[:12]}")
    file: FileRange | None = None
    log: tuple[LogRange, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    answer: Mapping[str, str] = field(default_factory=dict)
    refused: str | None = None
    """Why the answer was no, where it was."""


@contextmanager
def recorded(settings: Settings, kind: RunKind, configuration: Mapping[str, Any]) -> Iterator[Run]:
    """Record a run when it ends, as failed where it ends by an exception, which goes on its way.

    `configuration` must name nothing secret; what is None in it is left out.
    """
    run, started_at_ms, started_s = Run(configuration), time.time_ns() // 1_000_000, time.perf_counter()
    status: RunStatus = "done"
    reason: str | None = None
    try:
        yield run
        status, reason = ("refused", run.refused) if run.refused else ("done", None)
    except BaseException as error:
        status = "failed"
        reason = reason_of(error)
        raise
    finally:
        cost = Cost(wall_s=round(time.perf_counter() - started_s, 3), peak_memory_bytes=_peak_memory_bytes())
        # Here, because only what runs once can wait for River; and behind the cost, of which it is no part.
        from streams.detector.learner import libraries  # noqa: PLC0415

        ended = Experiment(
            experiment_id=run.experiment_id,
            kind=kind,
            started_at_ms=started_at_ms,
            status=status,
            reason=_text(reason, settings) if reason else None,
            configuration={name: _setting(value, settings) for name, value in run.configuration.items()
                           if value is not None},
            file=run.file,
            log=run.log,
            code_version=code_version(),
            libraries=libraries(),
            metrics=dict(run.metrics),
            answer={name: _text(value, settings) for name, value in run.answer.items()},
            cost=cost,
        )  # fmt: skip
        try:
            append(settings.data_dir, ended)
        except OSError as error:
            sys.stderr.write(f"{settings.data_dir / FILE}: {error.strerror}: {kind} is not recorded\n")


def reason_of(error: BaseException) -> str:
    """Return why something failed, as people are told it: of a file its name, of anything at least what it is.

    >>> reason_of(FileNotFoundError(2, "No such file or directory", "a.csv")), reason_of(KeyboardInterrupt())
    ('a.csv: No such file or directory', 'KeyboardInterrupt')
    """
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return (said(error) if isinstance(error, Exception) else "") or type(error).__name__


def append(data_dir: Path, experiment: Experiment) -> None:
    """Write one run behind all others; when this returns it is on the disk.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / FILE).open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - 1))
        begin = b"" if file.read(1) in {b"", b"\n"} else b"\n"  # behind a line that was cut
        file.write(begin + encode(experiment) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read(data_dir: Path) -> tuple[list[Experiment], list[str]]:
    """Return all runs in the order in which they ended, and what is wrong with lines that hold none.

    Raises
    ------
    OSError
        The file is there and cannot be read.
    """
    path = data_dir / FILE
    runs: list[Experiment] = []
    wrong: list[str] = []
    for number, line in enumerate(path.read_bytes().split(b"\n") if path.exists() else (), start=1):
        if not line:
            continue
        run = decode(Experiment, line)
        if isinstance(run, DecodeFailure):
            wrong.append(f"{path}:{number}: a line that was cut, or is no run, is passed over: {run.detail}")
        else:
            runs.append(run)
    return runs, wrong


def file_range(path: Path) -> FileRange:
    """Return a file by its content, nothing read of it yet.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return FileRange(name=words(path.name), sha256=digest, file_bytes=file.tell())


def log_ranges(logs: Logs, topics: Iterable[Topic]) -> tuple[LogRange, ...]:
    """Return what there is now of all partitions of some topics."""
    return tuple(
        log_range(topic, partition, *logs.bounds(topic, partition))
        for topic in topics
        for partition in range(logs.partitions(topic))
    )


def log_range(topic: Topic, partition: int, begin: int, end: int) -> LogRange:
    """Return a part of a partition, its end exclusive, as a client has it."""
    return LogRange(topic=topic.name, partition=partition, first_offset=begin, last_offset=end - 1)


def _setting(value: Any, settings: Settings) -> Setting:
    if isinstance(value, bool | int) or (isinstance(value, float) and isfinite(value)):
        return value
    if isinstance(value, list | tuple):
        return tuple(_text(str(each), settings) for each in value)
    return _text(str(value), settings)


def _text(text: str, settings: Settings) -> str:
    """Return a text as one line of bounded length, without card numbers and what is secret in the settings."""
    for secret in _secrets(settings):
        text = text.replace(secret, "[removed]")
    return words(" ".join(text.split()))


def _secrets(settings: Settings) -> Iterator[str]:
    held = (getattr(settings, name) for name in Settings.model_fields)
    values = [each.get_secret_value() for each in held if isinstance(each, SecretStr)]
    yield from filter(None, [*values, settings.clickhouse_url])


def _peak_memory_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_BYTES
