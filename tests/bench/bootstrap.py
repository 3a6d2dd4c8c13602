"""A system that began with an imported history, beside one that had been live all along: do they decide alike?

Both read the same recording up to a day, one as history and one as payments to be answered; then both decide the same
payments that follow. Their answers are compared byte by byte, their predictions in all but the positions of records.

What is left to chance between two runs is held still. One task a stage, because the order between two is by arrival.
The records of each part are published before a worker reads them, because of a label and a payment that are sent within
the same milliseconds either may arrive first. And nothing is learned while the answers are compared, because when a new
model comes in force is a matter of time.
"""

import csv
import hashlib
import json
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from deploy.processes import last_report, log_tail
from deploy.read_back import each_record
from deploy.system import System
from producers.duration import duration_ms
from producers.learned import wait_until_learned
from producers.world import World, cases
from schemas.fields import DAY_MS
from schemas.observer import Observer
from schemas.recordings import recording as recordings
from schemas.recordings.file_to_rows import read_frames, read_mapping
from schemas.topics import DECISIONS, MODELS, PREDICTIONS, TRAINING, Topic

WAIT_S_MAX = 6 * 3_600.0
START_S_MAX = 120.0
EXAMPLES_MAX = 5
START_MS = 1_700_006_400_000
FIELDS = ("transaction_id", "card", "merchant", "amount_minor", "currency", "event_time_ms")
ALSO = ("utc_offset_minutes", "mcc", "issuer_country", "merchant_country", "ip_country", "device")
OF_RUNS = ("positions", "probability", "model_version")
"""What a training record says of the run that made it, and nothing is learned from."""

Identity = tuple[str, str]


@dataclass(frozen=True)
class Plan:
    """What both systems are given."""

    recording: Path
    mapping: str
    label_delay: str
    cut: str
    live: int
    partitions: int
    snapshot_records: int

    def arguments(self, command: str, *bounds: str) -> list[str]:
        """Return the arguments of a producer."""
        given = [str(self.recording), "--mapping", self.mapping, "--label-delay", self.label_delay]
        return ["producers", command, *given, *bounds, "--json"]


@dataclass
class Outcome:
    """What one system said after the cut, how often it answered before, and what it learned until then."""

    decisions: dict[Identity, bytes] = field(default_factory=dict)
    predictions: dict[Identity, dict[str, Any]] = field(default_factory=dict)
    answered_before: int = 0
    history: dict[str, Any] = field(default_factory=dict)
    training_records: int = 0
    training_digest: str = ""
    models: tuple[str, ...] = ()
    history_s: float = 0.0


def run(
    recording: Path | None,
    *,
    mapping: str = "handbook",
    label_delay: str = "7d",
    history_days: float | None = None,
    live: int | None = None,
    partitions: int = 1,
) -> dict[str, Any]:
    """Let both systems decide, and compare."""
    with tempfile.TemporaryDirectory(prefix="fraud-bootstrap-") as name:
        data_dir = Path(name)
        if recording is None:
            recording, mapping = simulated(data_dir, 9_000 + (live or 3_000))
            label_delay, history_days, live = "12h", history_days or 0.75, live or 3_000
        plan = Plan(
            recording,
            mapping,
            label_delay,
            _cut(recording, mapping, label_delay, history_days or 115),
            live or 10_000,
            partitions,
            250 if live and live <= 3_000 else 1_000,
        )
        bootstrapped = _outcome(plan, data_dir / "bootstrapped", "import")
        all_along = _outcome(plan, data_dir / "all-along", "replay")
    return {
        "recording": plan.recording.name,
        "cut": plan.cut,
        "partitions": partitions,
        "import": bootstrapped.history,
        "import_seconds": round(bootstrapped.history_s, 1),
        "all_along_seconds": round(all_along.history_s, 1),
        **compared(bootstrapped, all_along),
        **_judged(bootstrapped, all_along, plan.live),
    }


def compared(one: Outcome, other: Outcome) -> dict[str, Any]:
    """Return what is equal between a system that was bootstrapped and one that was not.

    >>> same = Outcome({("card_a", "tx-1"): b"{}"}, {("card_a", "tx-1"): {"mode": "normal"}}, models=("m-1",))
    >>> other = Outcome({("card_a", "tx-1"): b"{ }"}, {("card_a", "tx-1"): {"mode": "normal"}}, models=("m-1",))
    >>> [compared(same, each)["decisions_differing"] for each in (same, other)]
    [0, 1]
    """
    differing = _differing(one.decisions, other.decisions)
    return {
        "decisions_compared": len(one.decisions.keys() & other.decisions.keys()),
        "by_the_model": sum(each["mode"] == "normal" for each in one.predictions.values()),
        "decisions_differing": len(differing),
        "predictions_differing": len(_differing(one.predictions, other.predictions)),
        "training_records": one.training_records,
        "training_log_equal": (one.training_records, one.training_digest)
        == (other.training_records, other.training_digest),
        "model_versions": len(one.models),
        "model_versions_equal": one.models == other.models,
        "history_answered": one.answered_before,
        "examples": [
            (str(one.decisions.get(each)), str(other.decisions.get(each))) for each in differing[:EXAMPLES_MAX]
        ],
    }


def _judged(one: Outcome, other: Outcome, live: int) -> dict[str, Any]:
    found = compared(one, other)
    zeroes = ("decisions_differing", "predictions_differing", "history_answered")
    return {
        "bounds": {**dict.fromkeys(zeroes, 0), "decisions_compared": live, "training_log_equal": True},
        "holds": not any(found[name] for name in zeroes)
        and found["decisions_compared"] == live
        and found["training_log_equal"]
        and found["model_versions_equal"]
        and other.answered_before > 0,
    }


def _differing(one: dict[Identity, Any], other: dict[Identity, Any]) -> list[Identity]:
    return [identity for identity in {**one, **other} if one.get(identity) != other.get(identity)]


def _outcome(plan: Plan, data_dir: Path, command: str) -> Outcome:
    """Run one system: the history by this command, learned; then what follows, live."""
    with System(data_dir, partitions=plan.partitions, snapshot_records=plan.snapshot_records) as system:
        system.start_store()
        system.start_learner()
        _until(lambda: system.store_reads, START_S_MAX, "the store does not read")
        outcome = Outcome()
        _history(plan, system, command, outcome)
        assert system.learner is not None
        assert system.store is not None
        for process in (*system.workers, system.learner, system.store):
            process.terminate()
        # What it learned is read here: labels of the part that follows may have been joined later.
        _read_learned(system, outcome)
        system.run("live", plan.arguments("replay", "--from", plan.cut, "--limit", str(plan.live)))
        for worker in system.workers:  # the same ones: their places in the group are kept for them
            worker.start()
        if not system.wait_until_drained(WAIT_S_MAX):
            raise RuntimeError("what followed the history was not decided in time")
        _read_answers(system, int(datetime.fromisoformat(plan.cut).timestamp() * 1000), outcome)
    return outcome


def _history(plan: Plan, system: System, command: str, outcome: Outcome) -> None:
    """Publish the history, then start a worker, and wait until all of it is learned."""
    publishing = system.process("history", plan.arguments(command, "--until", plan.cut)).start()
    _until(
        lambda: not publishing.running or b"published; now" in publishing.log_path.read_bytes(),
        WAIT_S_MAX,
        "the history was not published",
    )
    started = time.monotonic()
    system.start_workers()
    if command == "replay":
        with closing(Observer(system.settings)) as parts:
            wait_until_learned(
                parts, say=lambda _: None, stopping=lambda: False, now_s=time.monotonic, sleep=time.sleep
            )
    if not publishing.wait(WAIT_S_MAX) or publishing.exit_code:
        raise RuntimeError(f"{command} failed: {log_tail(publishing.log_path)}")
    outcome.history_s = time.monotonic() - started
    outcome.history = last_report(publishing.log_path)


def _until(holds: Any, timeout_s: float, complaint: str) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError(complaint)
        time.sleep(0.3)


def _read_learned(system: System, outcome: Outcome) -> None:
    digest = hashlib.sha256()
    for record in _values(system, TRAINING):
        outcome.training_records += 1
        kept = {name: value for name, value in json.loads(record).items() if name not in OF_RUNS}
        digest.update(json.dumps(kept).encode())
    outcome.training_digest = digest.hexdigest()
    outcome.models = tuple(json.loads(value)["version"] for value in _values(system, MODELS))


def _read_answers(system: System, cut_ms: int, outcome: Outcome) -> None:
    for value in _values(system, DECISIONS):
        decision = json.loads(value)
        if decision["event_time_ms"] < cut_ms:
            outcome.answered_before += 1
        else:
            outcome.decisions[decision["card"], decision["transaction_id"]] = value
    for value in _values(system, PREDICTIONS):
        prediction = json.loads(value)
        payment = prediction["transaction"]
        if payment["event_time_ms"] >= cut_ms:
            del prediction["positions"]
            outcome.predictions[payment["card"], payment["transaction_id"]] = prediction


def _values(system: System, topic: Topic) -> Iterator[bytes]:
    name = system.settings.topic_prefix + topic.name
    return (message.value() for message in each_record(system.settings, name))


def _cut(recording: Path, mapping: str, label_delay: str, history_days: float) -> str:
    columns = read_mapping(mapping)
    first = next(recordings.cases(read_frames(recording, columns), columns, duration_ms(label_delay)))
    cut_ms = first.transaction.event_time_ms + round(history_days * DAY_MS)
    return datetime.fromtimestamp(cut_ms / 1000, UTC).isoformat(timespec="milliseconds")


def simulated(folder: Path, payments: int) -> tuple[Path, str]:
    """Write a recording of simulated payments with much fraud, 12,000 a day, and return it with its mapping."""
    world = World(seed=1, start_ms=START_MS, rate=12_000 / 86_400, shoppers=500, merchants=100, fraud_rate=0.05)
    path, mapping = folder / "simulated.csv", folder / "simulated.toml"
    # A few more: who wants the last ones live must not run out of them.
    _write(path, islice(cases(world), payments + 2_000))
    lines = [f'{name} = {{ column = "{name}" }}' for name in (*FIELDS[:3], "currency", *ALSO, "fraud")]
    lines += [
        'amount = { column = "amount_minor", unit = "minor" }',
        'event_time = { column = "event_time_ms", unit = "ms" }',
    ]
    mapping.write_text("\n".join(lines) + "\n")
    return path, str(mapping)


def _write(path: Path, told: Iterable[Any]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow((*FIELDS, *ALSO, "fraud"))
        for case in told:
            values = [getattr(case.transaction, name) for name in (*FIELDS, *ALSO)]
            writer.writerow(["" if value is None else value for value in values] + [int(case.truth.fraud)])
