"""Unattended retraining on a real broker: an alert starts a rebuild and a gate, once, and a restart starts nothing."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Producer

from deploy.keys import Keys
from schemas.codec import encode
from schemas.connection import connection
from schemas.registry import Alert, Audit
from schemas.settings import Settings
from schemas.topics import ALERTS, AUDIT
from streams.kafka_logs import KafkaLogs
from streams.retrain import LOOK_S, promotable
from tests.integration.test_registry import _learn, _task
from tests.pure.test_learning_task import STAGE, _training

pytestmark = pytest.mark.kafka


def _alert(settings: Settings, name: str) -> None:
    now_ms = time.time_ns() // 1_000_000
    alert = Alert.model_validate(
        {
            "alert_id": name,
            "kind": "feature_drift",
            "severity": "warning",
            "subject": "card_pace",
            "text": "moved",
            "at_ms": now_ms,
            "state": "firing",
            "fired_at_ms": now_ms,
            "cause": "input_feature",
            "action": "retrain",
        }
    )
    producer = Producer(connection(settings))
    producer.produce(settings.topic_prefix + ALERTS.name, encode(alert), name, partition=0)
    assert producer.flush(30) == 0


def _retrain(settings: Settings, until: Callable[[str], bool]) -> dict[str, int]:
    """Run the command until its log says so and a look longer, end it in order, and return what it says it has done."""
    env = {f"FRAUD_{name.upper()}": str(value) for name, value in settings.model_dump().items()}
    command = [sys.executable, "-m", "streams", "retrain"]
    with subprocess.Popen(
        command, env=os.environ | env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr
        assert any(until(line) for line in running.stderr)
        time.sleep(2 * LOOK_S)  # in which it looks at least once more
        running.terminate()
        said, _ = running.communicate(timeout=60)
    assert running.returncode == 0
    told: dict[str, int] = json.loads(said)
    return told


@contextmanager
def _learner(settings: Settings, logs: KafkaLogs) -> Iterator[None]:
    """Have a learner that has cut snapshots carry out what is commanded."""
    task, stop = _task(settings, logs), threading.Event()
    task.open()
    task.step([STAGE.read(record) for record in _training(25)])
    task.commit()
    with ThreadPoolExecutor(1) as pool:
        learning = pool.submit(_learn, task, logs, stop)
        try:
            yield
        finally:
            stop.set()
            learning.result()
            task.close()


def test_an_alert_starts_what_a_person_would_once(kafka: Settings, tmp_path: Path) -> None:
    """Law: one rebuild and one verdict a challenger, named by row and alert; within the cool-down nothing more."""
    keys = Keys(tmp_path / "keys")
    keys.prepare()
    learner, ours = (kafka.model_copy(update=keys.client(name)) for name in ("learner", "retrainer"))
    with closing(KafkaLogs(learner, "restore")) as logs, _learner(learner, logs):

        def answers() -> list[Audit]:
            return [Audit.model_validate_json(record.value or b"") for record in logs.read(AUDIT, 0)]

        wanted = [("rebuild", None), *(("gate", name) for name in promotable(kafka))]
        _alert(kafka, "a-1")
        last = f"challenger={wanted[-1][1]}"
        assert _retrain(ours, lambda line: last in line) == {"alerts": 1, "answers": len(wanted), "started": 2}
        told = [(each.kind, each.arguments.get("challenger")) for each in answers()]
        assert told == wanted
        assert {each.author for each in answers()} == {"retrainer"}
        assert [each.arguments["trigger"] for each in answers()] == ["drift_rebuild", *["drift_gate"] * len(wanted[1:])]
        assert {each.arguments["because"] for each in answers()} == {"a-1"}
        # Another alert, and a process that starts anew: it goes by both alerts, and by all that was done.
        _alert(kafka, "a-2")
        assert _retrain(ours, lambda line: "read 2 alerts" in line) == {"alerts": 2, "answers": len(wanted)}
        assert len(answers()) == len(wanted)
