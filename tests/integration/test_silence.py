"""Silence as a label on a real broker: published where its card belongs, once, and not again by the next run."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from typing import Any

import pytest
from confluent_kafka import Consumer

from consumers.migrations_to_clickhouse import migrate
from consumers.warehouse import open_warehouse
from schemas.codec import decode
from schemas.connection import connection
from schemas.fields import DAY_MS
from schemas.label import Label
from schemas.sampling import weight_of
from schemas.settings import Settings
from schemas.topics import LABELS
from schemas.topics_to_kafka import create_topics
from tests.bench.bad_input import partition_of
from tests.contract.warehouse_rows import AT_MS, insert, outcome, prediction, row

pytestmark = pytest.mark.kafka
PAYMENTS = 300
MATURITY_DAYS = 30


def store_silence(settings: Settings) -> None:
    """Store authorised payments, one a minute, and one that is newer by as much as the others need to mature."""
    names = [f"tx-{number}" for number in range(PAYMENTS)]
    paid = [prediction(name, event_time_ms=AT_MS + number * 60_000) for number, name in enumerate(names)]
    paid.append(prediction("newest", event_time_ms=AT_MS + (MATURITY_DAYS + 1) * DAY_MS))
    answered = [
        outcome(transaction_id=name, occurred_at_ms=AT_MS + number * 60_000 + 1) for number, name in enumerate(names)
    ]
    with closing(open_warehouse(settings)) as warehouse:
        migrate(warehouse)
        insert(warehouse, "predictions", *(row("predictions", each, offset=n) for n, each in enumerate(paid)))
        insert(warehouse, "outcomes", *(row("outcomes", each, offset=n) for n, each in enumerate(answered)))


def run_until(settings: Settings, labels: int, reader: Consumer) -> tuple[dict[str, int], list[Any]]:
    """Run the command until so many labels have come, or for a while, and return its counters and what came."""
    env = {f"FRAUD_{name.upper()}": str(value) for name, value in settings.model_dump().items()}
    argv = [sys.executable, "-m", "consumers", "silence", "--json"]
    running = subprocess.Popen(argv, env=os.environ | env, stdout=subprocess.PIPE, text=True)
    came: list[Any] = []
    deadline = time.monotonic() + (120 if labels else 15)
    while len(came) < max(1, labels) and time.monotonic() < deadline:
        message = reader.poll(0.5)
        if message is not None and not message.error():
            came.append(message)
    time.sleep(2)
    running.send_signal(signal.SIGTERM)
    counters: dict[str, int] = json.loads(running.communicate(timeout=60)[0])
    assert running.returncode == 0
    return counters, came


def test_silence_is_published_once_and_where_its_card_belongs(kafka: Settings) -> None:
    """Law: a sample of what matured is published, under the card's key and partition; another run adds nothing."""
    settings = kafka.model_copy(update={"silence_matures_days": MATURITY_DAYS})
    store_silence(settings)
    # Before anybody subscribes: a reader looks for a topic that is not there yet only every few minutes.
    create_topics(settings, [LABELS])
    reader = Consumer({**connection(settings), "group.id": "nobody", "auto.offset.reset": "earliest"})
    expected = {
        name
        for name in (f"tx-{number}" for number in range(PAYMENTS))
        if weight_of(_label(name), settings.legitimate_kept_one_in)
    }
    reader.subscribe([settings.topic_prefix + LABELS.name])
    counters, came = run_until(settings, len(expected), reader)
    assert counters == {"matured": PAYMENTS, "silence_published": len(expected)}
    labels = [decode(Label, message.value()) for message in came]
    assert all(isinstance(label, Label) and label.source == "assumed_legitimate" for label in labels)
    assert sorted(label.transaction_id for label in labels if isinstance(label, Label)) == sorted(expected)
    partitions = LABELS.partitions(settings.partitions)
    assert all(message.partition() == partition_of(message.key(), partitions) for message in came)
    assert run_until(settings, 0, reader) == ({"matured": 0, "silence_published": 0}, [])
    reader.close()


def _label(name: str) -> Label:
    return Label(
        transaction_id=name,
        card="card_a",
        merchant="mer_b",
        verdict="legitimate",
        source="assumed_legitimate",
        occurred_at_ms=AT_MS,
        reported_at_ms=AT_MS,
    )
