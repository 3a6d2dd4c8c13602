"""A run with kills, made again from its log: every byte the same, and a planted change shows exactly where it must."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from deploy.processes import Process, bound, log_tail
from deploy.system import System
from schemas.codec import encode
from schemas.decision import Prediction
from schemas.key_files import signer_of
from schemas.label import Label
from schemas.learning import ModelNeeds, ModelVersion, PolicyVersion, Threshold, TrainingRecord
from schemas.settings import Settings
from schemas.topics import DECISIONS, MODELS, POLICIES, PREDICTIONS, TRAINING
from streams.documents import shipped_policy, shipped_rates
from streams.documents_to_kafka import publish
from streams.kafka_logs import KafkaLogs
from streams.recompute.command import stages
from streams.recompute.compare import Found
from streams.recompute.documents import Documents
from streams.recompute.logs import Logs
from streams.recompute.run import Asked, Recomputation
from tests.faults.run import LABELLING
from tests.planted import Held, PlantedLogs, accepted_labels, all_of, depending_on, name_of, other_verdict, predicted

SNAPSHOT_RECORDS = 100
NEEDS = ModelNeeds(records=200, frauds=5)
"""Few, so that many models decide."""
MODELS_MIN = 3
"""Versions of the model that must have decided, or a run has shown nothing of models."""
KILL_AT = (0.3, 0.6)
"""When a worker is killed, as shares of the run."""
READY_S_MAX = 120.0
DRAIN_S_MAX = 120.0
RAISED = 25
"""Points by which the planted policy asks for 3-D Secure later."""
PEAK_MB_MAX = 1_000


class Run(NamedTuple):
    """One run of the command."""

    exit_code: int
    figures: dict[str, Any]
    seconds: float
    cpu_s: float
    peak_mb: int


def run(*, transactions: int = 20_000, rate: float = 200, seed: int = 1) -> dict[str, Any]:
    """Return the figures, the bounds, and whether all hold."""
    data_dir = Path(tempfile.mkdtemp(prefix="fraud-recompute-"))
    try:
        with System(data_dir, workers=2, snapshot_records=SNAPSHOT_RECORDS) as system:
            kills = _decide(system, transactions, rate, seed)
            whole = _command(system, "--all")
            with closing(KafkaLogs(system.settings)) as logs:
                label = _changed_label(system.settings, logs)
                policy = _changed_policy(system.settings, logs)
                held = len(all_of(logs, DECISIONS)), len(all_of(logs, PREDICTIONS))
                models = {each for each in _versions(logs) if each}
    finally:
        shutil.rmtree(data_dir, ignore_errors=True)
    compared = whole.figures.get("compared", {})
    equal = {topic: compared.get(topic, {}).get("equal", 0) for topic in (DECISIONS.name, PREDICTIONS.name)}
    holds = {
        "equal": whole.exit_code == 0 and whole.figures.get("equal") is True,
        "all_compared": tuple(equal.values()) == held and held[1] == transactions,
        "models": len(models) >= MODELS_MIN,
        "killed": kills == len(KILL_AT),
        "label": label["expected"] == label["changed"] == label["both"] and label["by_model"] > 0,
        "policy": policy["expected"] == policy["changed"] == policy["both"] > 0,
        "peak_mb": whole.peak_mb <= PEAK_MB_MAX,
    }
    return {
        "transactions": transactions,
        "decisions": held[0],
        "kills": kills,
        "models_that_decided": len(models),
        "seconds": round(whole.seconds, 1),
        "cpu_seconds": round(whole.cpu_s, 1),
        "cpu_ms_per_transaction": round(1000 * whole.cpu_s / transactions, 3),
        "peak_mb": whole.peak_mb,
        "compared": compared,
        "notes": whole.figures.get("notes", []),
        "differences": whole.figures.get("differences", [])[:3],
        "changed_label": label,
        "changed_policy": policy,
        "bounds": {"different": 0, "models_min": MODELS_MIN, "kills": len(KILL_AT), "peak_mb_max": PEAK_MB_MAX},
        "not_held": [name for name, held_it in holds.items() if not held_it],
        "holds": all(holds.values()),
    }


def _decide(system: System, transactions: int, rate: float, seed: int) -> int:
    """Let the whole system decide and learn, with workers killed; return how often one was."""
    system.start(READY_S_MAX)
    policy = shipped_policy().model_copy(update={"version": "policy-published", "model_needs": NEEDS})
    publish(system.settings, policy, signer_of(system.settings_of("publisher")))
    flags = ["--rate", str(rate), "--seed", str(seed), "--limit", str(transactions), *chain(*LABELLING.items())]
    source, kills = system.process("producer", ["producers", "simulate", *flags, "--json"]), 0
    with source:
        started = time.monotonic()
        for worker, share in zip(system.workers, KILL_AT, strict=True):
            source.wait(max(0.0, started + share * transactions / rate - time.monotonic()))
            kills += worker.pid is not None
            worker.kill()
        source.wait(3 * transactions / rate + 60)
    rest_s_max = DRAIN_S_MAX + transactions / 200
    drained = system.wait_until_drained(rest_s_max)
    for process in system.workers:
        process.terminate()
    system.stop_store()
    learned = system.wait_until_learned(rest_s_max)
    _end(system.learner)
    if not (drained and learned):
        raise RuntimeError(f"not at rest: drained {drained}, learned {learned}")
    return kills


def _end(process: Process | None) -> None:
    assert process is not None
    process.terminate()


def _command(system: System, *flags: str) -> Run:
    """Run the command as whoever wants to know would."""
    started = time.monotonic()
    with (system.logs_dir / "recompute.log").open("ab") as log:
        running = subprocess.Popen(
            bound([sys.executable, "-P", "-m", "streams", "recompute", *flags, "--json"]),
            env={**os.environ, **system.environment(["streams", "recompute"])},
            stdout=subprocess.PIPE,
            stderr=log,
        )
        assert running.stdout is not None
        told = running.stdout.read()
        _, status, used = os.wait4(running.pid, 0)
    running.returncode = os.waitstatus_to_exitcode(status)
    lines = told.splitlines()
    figures = json.loads(lines[-1]) if lines else {"notes": [log_tail(system.logs_dir / "recompute.log")]}
    return Run(
        running.returncode, figures, time.monotonic() - started, used.ru_utime + used.ru_stime, used.ru_maxrss // 1024
    )


def _recomputed(settings: Settings, logs: Logs) -> Found:
    documents = Documents(logs, (shipped_policy(), shipped_rates()))
    asked = Asked(kept_one_in=settings.legitimate_kept_one_in, listed_max=0)
    return Recomputation(logs, stages(settings), documents, asked).run()


def _changed_label(settings: Settings, logs: Logs) -> dict[str, int]:
    """Turn one label's verdict round, and compare what changes with what depends on it."""
    place, label = _label_learned_halfway(logs)
    found = _recomputed(settings, PlantedLogs(logs, {place: encode(other_verdict(label))}))
    expected = depending_on(logs, label)
    by_features = depending_on(logs, label, learned=False)
    return {
        **_overlap(expected, found.decisions),
        "by_features": len(by_features),
        "by_model": len(expected - by_features),
    }


def _label_learned_halfway(logs: Logs) -> tuple[Held, Label]:
    """Return a known fraud in the middle of what decided models learned: some depend on it, and some do not."""
    decided = set(_versions(logs))
    models = [ModelVersion.model_validate_json(record.value or b"") for record in all_of(logs, MODELS)]
    offsets = [model.training_offset for model in models if model.version in decided]
    middle = offsets[len(offsets) // 2 - 1]
    places = {name_of(each): held for held, each in accepted_labels(logs).items()}
    for record in all_of(logs, TRAINING):
        example = TrainingRecord.model_validate_json(record.value or b"")
        if record.offset >= middle and example.verdict == "fraud":
            held = places[name_of(example)]
            return held, accepted_labels(logs)[held]
    raise RuntimeError("no fraud was learned in the second half")


def _versions(logs: Logs) -> list[str | None]:
    return [Prediction.model_validate_json(each.value or b"").model_version for each in all_of(logs, PREDICTIONS)]


def _changed_policy(settings: Settings, logs: Logs) -> dict[str, int]:
    """Raise one threshold of the published policy, and compare what changes with what that alone changes."""
    record = all_of(logs, POLICIES)[-1]
    policy = PolicyVersion.model_validate_json(record.value or b"")
    first = min(policy.thresholds, key=lambda each: each.at_least_score)
    raised = Threshold(at_least_score=first.at_least_score + RAISED, action=first.action)
    others = tuple(raised if each == first else each for each in policy.thresholds)
    changed = policy.model_copy(update={"thresholds": others})

    def turns(prediction: Prediction) -> bool:
        """Only the threshold asked for it: the score lies between the old one and the new one, and no rule holds."""
        between = first.at_least_score <= (prediction.score or 0) < raised.at_least_score
        return prediction.policy_version == policy.version and between and not prediction.rule_hits

    planted = PlantedLogs(logs, {(POLICIES.name, record.partition, record.offset): encode(changed)})
    return _overlap(predicted(logs, turns), _recomputed(settings, planted).decisions)


def _overlap(expected: set[Any], changed: set[Any]) -> dict[str, int]:
    return {"expected": len(expected), "changed": len(changed), "both": len(expected & changed)}
