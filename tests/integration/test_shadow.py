"""The shadow's process on a real broker: it scores what was decided by what was learned before, each once."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer

from deploy.keys import new_private_pem
from deploy.security import write_secret
from schemas.codec import decode, encode
from schemas.connection import connection
from schemas.decision import ShadowScore
from schemas.fields import Message
from schemas.settings import Settings
from schemas.signing import Signer, TrustedKeys
from schemas.topics import MODELS, PREDICTIONS, SHADOW_SCORES, TRAINING, Topic
from schemas.topics_to_kafka import create_topics
from streams.detector.admission import Admission
from streams.kafka_logs import record_of
from tests.contract.warehouse_rows import prediction
from tests.pure.test_challengers import RECORDS

pytestmark = pytest.mark.kafka
SCORED = 6


def _write(settings: Settings, topic: Topic, messages: Sequence[tuple[int, Message]]) -> None:
    producer = Producer(connection(settings))
    for timestamp_ms, message in messages:
        name = settings.topic_prefix + topic.name
        producer.produce(name, encode(message), b"key", partition=0, timestamp=timestamp_ms)
    assert producer.flush(30) == 0


def _run_until(settings: Settings, reader: Consumer, number: int) -> list[Any]:
    """Run the command until so many records came, end it in order, and return them."""
    env = {f"FRAUD_{name.upper()}": str(value) for name, value in settings.model_dump().items()}
    running = subprocess.Popen([sys.executable, "-m", "streams", "shadow"], env=os.environ | env)
    came: list[Any] = []
    deadline = time.monotonic() + 120
    while len(came) < number and time.monotonic() < deadline and running.poll() is None:
        message = reader.poll(0.5)
        if message is not None and not message.error():
            came.append(message)
    running.send_signal(signal.SIGTERM)
    assert running.wait(60) == 0
    return came


def test_the_process_scores_what_was_decided(kafka: Settings, tmp_path: Path) -> None:
    """Law: each prediction is scored by what the log held before it, once over two runs; a snapshot is left, signed."""
    key = tmp_path / "shadow.pem"
    write_secret(key, new_private_pem().decode())
    settings = kafka.model_copy(update={"shadow_models": "cells", "snapshot_records": 10, "signing_key_file": str(key)})
    create_topics(settings, (PREDICTIONS, TRAINING, SHADOW_SCORES, MODELS))
    now_ms = time.time_ns() // 1_000_000 - 100_000
    _write(settings, TRAINING, [(now_ms + 10 * at, record) for at, record in enumerate(RECORDS * 2)])
    decided = [(now_ms + 100 * at + 5, prediction(f"tx-{at}")) for at in range(SCORED)]
    _write(settings, PREDICTIONS, decided[: SCORED // 2])
    reader = Consumer({**connection(settings), "group.id": "nobody", "auto.offset.reset": "earliest"})
    reader.subscribe([settings.topic_prefix + SHADOW_SCORES.name])
    came = _run_until(settings, reader, SCORED // 2)
    _write(settings, PREDICTIONS, decided[SCORED // 2 :])
    came += _run_until(settings, reader, SCORED - SCORED // 2)
    scores = [decode(ShadowScore, message.value()) for message in came]
    assert all(isinstance(score, ShadowScore) for score in scores)
    told = [(score.transaction_id, score.training_offset) for score in scores if isinstance(score, ShadowScore)]
    assert told == [(f"tx-{at}", 10 * at + 1) for at in range(SCORED)]
    reader.unsubscribe()
    reader.subscribe([settings.topic_prefix + MODELS.name])
    # Where nothing is left to score, the log is learned to its end.
    message = _run_until(settings, reader, 1)[0]
    reader.close()
    trusted = TrustedKeys({"learner": {"shadow": Signer(key.read_bytes()).public_pem}})
    model = Admission(trusted).snapshot(record_of(MODELS, message)).model
    assert (model.challenger, model.records) == ("cells", 100)
