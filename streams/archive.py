"""The state of every task as files, to recompute from there when what led to it was deleted by retention.

One file a task: the newest piece of every key, and the position that belongs to them, as lines of JSON, compressed. The
manifest names them with their SHA-256, and says from where on outputs are later than all of it. It is written last.
"""

import gzip
import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from schemas.topics import DECISIONS, DUPLICATES, LABELS_WAITING, PREDICTIONS
from streams.detector.stage import Record, Stage
from streams.exactly_once import POSITION_KEY
from streams.recompute.logs import Logs, Piece, Position, Start, Starts

FORMAT = 1
MANIFEST = "manifest.json"
OUTPUTS = (LABELS_WAITING, DUPLICATES, PREDICTIONS, DECISIONS)


class ArchiveError(ValueError):
    """The folder cannot be written, or does not hold what its manifest says."""


def write_archive(logs: Logs, stages: Sequence[Stage], directory: Path, code_version: str) -> dict[str, Any]:
    """Write the state of all tasks of these stages at their committed positions; return the manifest.

    Later stages first, or a record might have been passed on by a task before it is in the state of the one behind.

    Raises
    ------
    ArchiveError
        The folder holds something already.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise ArchiveError(f"{directory} is not empty")
    ends = {
        topic.name: [logs.stable(topic, partition) for partition in range(logs.partitions(topic))] for topic in OUTPUTS
    }
    tasks = [
        _write_task(stage.name, partition, committed(logs.read(stage.state_log, partition)), directory)
        for stage in reversed(stages)
        for partition in range(logs.partitions(stage.state_log))
    ]
    manifest = {"format": FORMAT, "code_version": code_version, "ends": ends, "tasks": tasks}
    (directory / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return manifest


def committed(records: Iterable[Record]) -> dict[bytes, bytes]:
    """Return the pieces that belong to the last position in a state log.

    A reader that stops at some offset may stop within a transaction. The position ends each.

    >>> def records(*pairs):
    ...     return [Record("s", 0, at, 0, key, value) for at, (key, value) in enumerate(pairs)]
    >>> committed(records((b"a", b"1"), (b"!position", b"{}"), (b"a", b"2")))
    {b'a': b'1', b'!position': b'{}'}
    """
    held: dict[bytes, bytes] = {}
    open_ones: list[Piece] = []
    for record in records:
        open_ones.append((record.key or b"", record.value))
        if record.key != POSITION_KEY:
            continue
        for key, value in open_ones:
            if value is None:
                held.pop(key, None)
            else:
                held[key] = value
        open_ones.clear()
    return held


def _write_task(stage: str, partition: int, pieces: dict[bytes, bytes], directory: Path) -> dict[str, Any]:
    lines = "".join(json.dumps([key.decode(), b64encode(value).decode()]) + "\n" for key, value in pieces.items())
    content = gzip.compress(lines.encode(), mtime=0)
    name = f"{stage}-{partition}.jsonl.gz"
    (directory / name).write_bytes(content)
    return {
        "stage": stage,
        "partition": partition,
        "file": name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "pieces": len(pieces),
        "next": dict(Position.of(pieces.get(POSITION_KEY)).next),
    }


def read_archive(directory: Path) -> Starts:
    """Return where each task begins.

    Raises
    ------
    ArchiveError
        A file is missing, or is not what the manifest says.
    """
    try:
        manifest = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT:
            raise ArchiveError(f"{directory}: format {manifest['format']} is not {FORMAT}")
        return {(task["stage"], task["partition"]): _start(directory, task, manifest) for task in manifest["tasks"]}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ArchiveError(f"{directory}: {error}") from None


def _start(directory: Path, task: dict[str, Any], manifest: dict[str, Any]) -> Start:
    content = (directory / task["file"]).read_bytes()
    if hashlib.sha256(content).hexdigest() != task["sha256"]:
        raise ArchiveError(f"{directory / task['file']}: is not what the manifest says")
    lines = map(json.loads, gzip.decompress(content).splitlines())
    pieces = tuple((key.encode(), b64decode(value)) for key, value in lines)
    position = Position.of(dict(pieces).get(POSITION_KEY))
    outputs = {topic: ends[task["partition"]] for topic, ends in manifest["ends"].items()}
    return Start(position, pieces, outputs)
