"""The registry on a real broker: a learner's snapshots, a person's command and its answer, a worker that follows."""

import json
import threading
import time
from argparse import Namespace
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from deploy.keys import Keys
from schemas.connection import connection
from schemas.key_files import signer_of, trusted_of
from schemas.registry import Alert
from schemas.settings import Settings
from schemas.topics import CONTROLS, MODELS, TRAINING
from streams.detector.admission import Admission
from streams.detector.following import Document
from streams.detector.scorer import Scorer, model_of
from streams.experiments import read
from streams.kafka_logs import KafkaLogs
from streams.kafka_task_log import KafkaTaskLog
from streams.learning import LearningTask
from streams.models.command import run
from streams.published import Published
from tests.pure.test_learning_task import STAGE, _training

pytestmark = pytest.mark.kafka

SNAPSHOT_RECORDS = 10
WAIT_S = 60.0


@pytest.fixture
def as_principal(kafka: Settings, tmp_path: Path) -> Callable[[str], Settings]:
    """Give the settings of a principal, with the keys that it has."""
    keys = Keys(tmp_path / "keys")
    keys.prepare()
    return lambda principal: kafka.model_copy(update=keys.client(principal))


def _task(settings: Settings, logs: KafkaLogs) -> LearningTask:
    return LearningTask(
        STAGE,
        0,
        KafkaTaskLog(settings, AdminClient(connection(settings)), STAGE.name, 0, STAGE.state_log),
        logs,
        snapshot_records=SNAPSHOT_RECORDS,
        signer=signer_of(settings),
        admission=Admission(trusted_of(settings)),
    )


def _learn(task: LearningTask, logs: KafkaLogs, stop: threading.Event) -> None:
    """Carry out commands as they come, until told to stop."""
    while not stop.is_set():
        for record in logs.read(CONTROLS, 0, task.position(CONTROLS.name) or 0):
            task.step([STAGE.read(record)])
            task.commit()
        time.sleep(0.05)


def test_a_command_is_answered_and_followed_across_a_restart(
    as_principal: Callable[[str], Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    """Law: what a person promotes is in force on a worker and recorded; the next learner goes on where this one was."""
    settings, operator = as_principal("learner"), as_principal("operator")
    put: list[Document] = []
    alerts: list[Alert] = []

    def version() -> str | None:
        return next((each.version for each in reversed(put) if isinstance(each, Scorer)), None)

    def wait_for(wanted: str) -> None:
        deadline = time.monotonic() + WAIT_S
        while version() != wanted and time.monotonic() < deadline:
            time.sleep(0.05)
        assert version() == wanted

    worker = as_principal("worker")
    with closing(KafkaLogs(settings, "restore")) as logs:
        task = _task(settings, logs)
        task.open()
        task.step([STAGE.read(record) for record in _training(25)])
        task.commit()
        following = Published(worker, trusted_of(worker), put.append, alerts.append)
        following.start()
        first, newest = logs.read(MODELS, 0)
        wait_for((newest.key or b"").decode())
        stop = threading.Event()
        promoted = (first.key or b"").decode()
        with ThreadPoolExecutor(1) as pool:
            learning = pool.submit(_learn, task, logs, stop)
            done = run(Namespace(action="promote", version=promoted, wait=WAIT_S, json=True), operator)
            stop.set()
            learning.result()
        answer = json.loads(capsys.readouterr().out)
        assert (done, answer["outcome"], answer["version"], answer["mode"]) == (0, "done", promoted, "pinned")
        (recorded,), _ = read(operator.data_dir)
        told = recorded.answer["control_id"], recorded.answer["version"], recorded.log[0].last_offset
        assert (recorded.status, *told) == ("done", answer["control_id"], promoted, first.offset)
        wait_for(promoted)
        task.close()
        again = _task(settings, logs)
        # What was learned behind the last snapshot is learned again; a command is not carried out again.
        cut_at = model_of(newest.value).training_offset
        assert again.open() == {TRAINING.name: cut_at, CONTROLS.name: task.position(CONTROLS.name)}
        again.close()
        following.close()
    assert alerts == []
