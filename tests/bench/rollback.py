"""A bad model promoted and rolled back under traffic, and every record that must never decide: refused, and told."""

import json
import time
from collections.abc import Callable
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from deploy.read_back import read_topic
from deploy.system import System
from schemas.codec import encode
from schemas.decision import Prediction
from schemas.key_files import signer_of
from schemas.learning import ModelNeeds, PolicyVersion
from schemas.registry import Alert, Audit
from schemas.topics import ALERTS, AUDIT, CONTROLS, DECISIONS, MODELS, PREDICTIONS
from streams.detector.decide import InForce, judge
from streams.detector.scorer import Scorer, model_of, scorer_of
from streams.detector.stage import Record
from streams.documents import shipped_policy, shipped_rates
from streams.documents_to_kafka import publish
from streams.kafka_logs import KafkaLogs
from tests.bench.rollback_attacks import Attack, attacks, weighing, write
from tests.faults.run import LABELLING

SNAPSHOT_RECORDS = 100
NEEDS = ModelNeeds(records=200, frauds=5)
"""Few, so that the first models decide."""
SNAPSHOTS_FIRST = 5
"""Snapshots that must be there before anybody commands anything."""
SECONDS_MAX = 600.0
PHASE_S = 6.0
"""How long each champion decides."""
TAKES_EFFECT_S_MAX = 2.0
"""From the answer to a command to the last decision by the model before."""
READY_S_MAX = 180.0
DRAIN_S_MAX = 180.0


class Step(NamedTuple):
    """A command: which, the champion after it, and when it was given and answered."""

    action: str
    version: str
    given_ms: int
    answered_ms: int


def run(data_dir: Path, *, rate: float = 300) -> dict[str, Any]:
    """Return the figures, the bounds, and whether all hold."""
    with System(data_dir, workers=2, snapshot_records=SNAPSHOT_RECORDS) as system:
        system.start(READY_S_MAX)
        policy = shipped_policy().model_copy(update={"version": "policy-published", "model_needs": NEEDS})
        publish(system.settings, policy, signer_of(system.settings_of("publisher")))
        flags = ["--rate", str(rate), "--seed", "1", "--seconds", str(SECONDS_MAX), *chain(*LABELLING.items())]
        source = system.process("producer", ["producers", "simulate", *flags, "--json"])
        with source:
            steps, places = _commands(system)
            source.terminate()
        drained = system.wait_until_drained(DRAIN_S_MAX)
        for process in system.workers:
            process.terminate()
        system.stop_store()
        return _judged(system, policy, steps, places) | {"drained": drained}


def _commands(system: System) -> tuple[list[Step], dict[str, tuple[Attack, str]]]:
    """Promote, let a bad model decide, roll back, attack, follow again; return what was done and where attacks lie."""
    with closing(KafkaLogs(system.settings)) as logs:
        records = _waited(lambda: list(logs.read(MODELS, 0)), lambda held: len(held) >= SNAPSHOTS_FIRST)
        _waited(lambda: _decided_by_model(system), bool)
        old, good = records[0], records[3]
        steps = [_step(system, "promote", _name(good))]
        time.sleep(PHASE_S)
        learner = signer_of(system.settings_of("learner"))
        bad = weighing(model_of(good.value), "m-bad", -1.0)
        key, value = b"m-bad", encode(bad)
        write(system.settings, Attack(MODELS, key, value, learner.headers(MODELS, key, value), "replayed"))
        steps.append(_step(system, "promote", "m-bad"))
        time.sleep(PHASE_S)
        steps.append(_step(system, "rollback"))
        command = next(iter(logs.read(CONTROLS, 0)))
        planned = attacks(old, learner, command)
        places = {name: (attack, write(system.settings, attack)) for name, attack in planned.items()}
        time.sleep(2 * PHASE_S)
        steps.append(_step(system, "follow"))
        time.sleep(PHASE_S)
    return steps, places


def _name(record: Record) -> str:
    return (record.key or b"").decode()


def _waited(look: Callable[[], Any], enough: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + SECONDS_MAX / 2
    while not enough(found := look()):
        if time.monotonic() > deadline:
            raise RuntimeError("the models did not come")
        time.sleep(1.0)
    return found


def _decided_by_model(system: System) -> bool:
    return any(b'"mode":"normal"' in message.value() for message in _read(system, DECISIONS.name))


def _read(system: System, topic: str) -> list[Any]:
    return read_topic(system.settings, system.settings.topic_prefix + topic)


def _step(system: System, action: str, *version: str) -> Step:
    given_ms = time.time_ns() // 1_000_000
    answer = json.loads(system.run("models", ["streams", "models", action, *version, "--wait", "60", "--json"]))
    return Step(action, answer["version"], given_ms, time.time_ns() // 1_000_000)


def _judged(
    system: System, policy: PolicyVersion, steps: list[Step], places: dict[str, tuple[Attack, str]]
) -> dict[str, Any]:
    predictions = [
        (message.timestamp()[1], Prediction.model_validate_json(message.value()))
        for message in _read(system, PREDICTIONS.name)
    ]
    predictions.sort(key=lambda pair: pair[0])
    decisions = len(_read(system, DECISIONS.name))
    identities = {(each.transaction.card, each.transaction.transaction_id) for _, each in predictions}
    scorers = _scorers(system)
    promoted, bad, back, follow = steps
    first_ms = next(at_ms for at_ms, each in predictions if each.mode == "normal")
    # Until every worker has met its first model there is none to name.
    unversioned = sum(at_ms > promoted.given_ms and not each.model_version for at_ms, each in predictions)
    audits = [(message.timestamp()[1], _audit(message)) for message in _read(system, AUDIT.name)]
    answered_ms = next(at_ms for at_ms, each in audits if each.kind == "roll_back")
    settled_ms = answered_ms + round(TAKES_EFFECT_S_MAX * 1000)
    after = [each for at_ms, each in predictions if settled_ms <= at_ms < follow.given_ms]
    in_force = InForce(policy, shipped_rates(), scorers[promoted.version])
    differing = sum(not _is_judged_so(each, in_force) for each in after)
    by_bad_ms = [at_ms for at_ms, each in predictions if each.model_version == bad.version]
    effect_s = (max(by_bad_ms, default=answered_ms) - answered_ms) / 1000
    alerts = {(each.subject, each.kind) for each in (_alert(message) for message in _read(system, ALERTS.name))}
    refused = {name: (place, attack.kind) in alerts for name, (attack, place) in places.items()}
    holds = {
        "answered_once": decisions == len(predictions) == len(identities),
        "versioned": unversioned == 0,
        "the_bad_one_decided": bool(by_bad_ms),
        "rolled_back_to": back.version == promoted.version,
        "equal_after_rollback": bool(after) and differing == 0,
        "takes_effect": effect_s <= TAKES_EFFECT_S_MAX,
        "attacks_refused": all(refused.values()),
        "commands_answered": sum(each.outcome == "done" for _, each in audits) == len(steps),
        "follows_again": predictions[-1][1].model_version not in {promoted.version, bad.version},
        "stored": _stored(system) == (len(audits), len(alerts)),
    }
    return {
        "decisions": decisions,
        "seconds": round((predictions[-1][0] - first_ms) / 1000, 1),
        "models_that_decided": len({each.model_version for _, each in predictions} - {None}),
        "unversioned": unversioned,
        "decided_by_the_bad_one": len(by_bad_ms),
        "after_rollback": len(after),
        "after_rollback_differing": differing,
        "rollback_takes_effect_s": effect_s,
        "command_seconds": [round((step.answered_ms - step.given_ms) / 1000, 2) for step in steps],
        "attacks": {name: "refused, alert" if told else "NOT TOLD" for name, told in refused.items()},
        "alerts": len(alerts),
        "bounds": {"differing": 0, "unversioned": 0, "takes_effect_s_max": TAKES_EFFECT_S_MAX, "attacks_not_told": 0},
        "not_held": [name for name, held_it in holds.items() if not held_it],
        "holds": all(holds.values()),
    }


def _scorers(system: System) -> dict[str, Scorer]:
    with closing(KafkaLogs(system.settings)) as logs:
        sound = [record for record in logs.read(MODELS, 0) if record.value and record.value.endswith(b"}")]
    return {model.version: scorer_of(model) for model in map(model_of, _first_of_each(sound))}


def _first_of_each(records: list[Record]) -> list[bytes | None]:
    first: dict[bytes | None, bytes | None] = {}
    for record in records:
        first.setdefault(record.key, record.value)
    return [value for key, value in first.items() if key and key.startswith(b"m-") and key[2:3].isdigit()]


def _is_judged_so(each: Prediction, in_force: InForce) -> bool:
    """Return whether a decision is the one that the promoted model makes, as if nothing had ever come between."""
    again = judge(each.features, in_force)
    told = (each.model_version, each.score, each.probability, each.action, each.reasons, each.mode)
    return told == (again.model_version, again.score, again.probability, again.action, again.reasons, again.mode)


def _audit(message: Any) -> Audit:
    return Audit.model_validate_json(message.value())


def _alert(message: Any) -> Alert:
    return Alert.model_validate_json(message.value())


def _stored(system: System) -> tuple[int, int]:
    counted = system.query("SELECT (SELECT count() FROM v_audit) AS audit, (SELECT count() FROM v_alerts) AS alerts")[0]
    return counted["audit"], counted["alerts"]
