"""The label join on a real broker: killed again and again in the process that stores, each label is one record."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from consumers.kafka_label_log import KafkaLabelLog
from consumers.labels_to_training import AbortedError
from consumers.rows import Record
from consumers.training import Write
from consumers.warehouse import open_warehouse
from schemas.codec import encode
from schemas.connection import connection
from schemas.decision import Prediction
from schemas.fields import Message
from schemas.label import Label
from schemas.sampling import weight_of
from schemas.settings import Settings
from schemas.topics import DEAD_LETTERS, LABELS_WAITING, PREDICTIONS, TRAINING, Topic
from schemas.transaction import Transaction

pytestmark = pytest.mark.kafka
AT_MS = 1_522_540_800_000
DAY_MS = 86_400_000
PARTITIONS = 3


def prediction(number: int) -> Prediction:
    return Prediction(
        transaction=Transaction(
            transaction_id=f"tx-{number}",
            card=f"card_{number % 97}",
            merchant="mer_b",
            amount_minor=number,
            currency="EUR",
            event_time_ms=AT_MS + number * 60_000,
        ),
        features={f"feature_{n}": number / (n + 1) for n in range(30)},
        positions={},
        model_version="m-1",
        policy_version="p-1",
        code_version="c-1",
        probability=0.25,
        mode="normal",
        action="approve",
    )


def label(number: int) -> Label:
    undisputed = number % 2 == 0
    return Label(
        transaction_id=f"tx-{number}",
        card=f"card_{number % 97}",
        merchant="mer_b",
        verdict="legitimate" if undisputed else "fraud",
        source="assumed_legitimate" if undisputed else "chargeback",
        occurred_at_ms=AT_MS + number * 60_000,
        reported_at_ms=AT_MS + DAY_MS + number * 60_000,
    )


def process(settings: Settings, *arguments: str) -> subprocess.Popen[str]:
    env = {f"FRAUD_{name.upper()}": str(value) for name, value in settings.model_dump().items()}
    argv = [sys.executable, "-m", "consumers", *arguments]
    return subprocess.Popen(argv, env=os.environ | env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def counted(running: subprocess.Popen[str], *, code: int = 0) -> dict[str, int]:
    out, err = running.communicate(timeout=120)
    assert running.returncode == code, err
    counters: dict[str, int] = json.loads(out)
    return counters


def producer(settings: Settings) -> Producer:
    return Producer({**connection(settings), "linger.ms": 5, "acks": "all"})


def publish(settings: Settings, writer: Producer, topic: Topic, number: int, message: Message) -> None:
    key = f"card_{number % 97}".encode()
    writer.produce(settings.topic_prefix + topic.name, encode(message), key, partition=number % PARTITIONS)
    writer.poll(0)


def committed(settings: Settings, topic: Topic) -> list[dict[str, Any]]:
    """Return every committed record of a topic, as JSON, in order within each partition."""
    reader = Consumer(
        {
            **connection(settings),
            "group.id": "nobody",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
        }
    )
    partitions = range(topic.partitions(PARTITIONS))
    reader.assign([TopicPartition(settings.topic_prefix + topic.name, partition, 0) for partition in partitions])
    ends: set[int | None] = set()
    records, deadline = [], time.monotonic() + 60
    while len(ends) < len(partitions):
        assert time.monotonic() < deadline, "the end is not reached: a transaction was left open"
        for message in reader.consume(1_000, 0.2):
            if message.error():
                ends.add(message.partition())
            else:
                records.append(json.loads(message.value() or b""))
    reader.close()
    return records


def test_kills_while_labels_flow_leave_each_label_one_record(kafka: Settings) -> None:
    """Law: predictions and labels come in any order, six kills strike the process: each label kept is one record."""
    number, rounds = 6_000, 6
    writer = producer(kafka)
    for burst in range(rounds):
        running = process(kafka, "run", "--without-page")
        numbers = range(burst * number // rounds, (burst + 1) * number // rounds)
        for n in numbers:
            publish(kafka, writer, LABELS_WAITING, n, label(n))
        writer.flush()
        time.sleep(0.5 * burst)
        for n in numbers:
            publish(kafka, writer, PREDICTIONS, n, prediction(n))
        writer.flush()
        time.sleep(7.5 - 0.5 * burst)  # the group waits up to 6 s for the member that was killed
        running.kill()
        running.communicate()
    counters = counted(process(kafka, "run", "--without-page", "--json", "--until-idle", "1"))
    assert counters["waiting"] == 0
    expected = {each.transaction_id: weight for each in map(label, range(number)) if (weight := weight_of(each, 3))}
    records = committed(kafka, TRAINING)
    assert Counter(record["transaction_id"] for record in records) == Counter(expected.keys())
    assert {record["transaction_id"]: record["weight"] for record in records} == expected
    assert all(record["features"]["feature_0"] == int(record["transaction_id"][3:]) for record in records)
    assert committed(kafka, DEAD_LETTERS) == []
    with closing(open_warehouse(kafka)) as warehouse:
        sql = "SELECT count() AS records, uniqExact(transaction_id) AS ids, sum(weight) AS weight FROM v_training"
        assert warehouse.query_columns(sql) == {
            "records": [len(expected)],
            "ids": [len(expected)],
            "weight": [sum(expected.values())],
        }


def test_labels_that_cannot_be_joined_do_not_keep_a_run_that_is_to_end(kafka: Settings) -> None:
    writer = producer(kafka)
    for n in range(1, 20):
        publish(kafka, writer, LABELS_WAITING, n, label(n))
        if n > 9:
            publish(kafka, writer, PREDICTIONS, n, prediction(n))
    writer.flush()
    kept = [n for n in range(1, 20) if weight_of(label(n), 3)]
    counters = counted(process(kafka, "run", "--without-page", "--json", "--until-idle", "1"))
    assert (counters["joined"], counters["waiting"]) == (sum(n > 9 for n in kept), sum(n <= 9 for n in kept))
    assert (counters["predictions_stored"], counters["training_stored"]) == (10, counters["joined"])
    for n in range(1, 10):
        publish(kafka, writer, PREDICTIONS, n, prediction(n))
    writer.flush()
    counters = counted(process(kafka, "run", "--without-page", "--json", "--until-idle", "1"))
    assert (counters["joined"], counters["waiting"]) == (sum(n <= 9 for n in kept), 0)
    alone = counted(process(kafka, "join", "--json", "--until-idle", "0.5"))
    assert set(alone.values()) == {0}


def test_sigterm_ends_all_parts_in_order_and_a_failing_one_ends_the_process(kafka: Settings) -> None:
    running = process(kafka, "run", "--without-page", "--json")
    writer = producer(kafka)
    for n in range(1, 40, 2):
        publish(kafka, writer, LABELS_WAITING, n, label(n))
        publish(kafka, writer, PREDICTIONS, n, prediction(n))
    writer.flush()
    deadline = time.monotonic() + 60
    while len(committed(kafka, TRAINING)) < 20:
        assert time.monotonic() < deadline
    running.send_signal(signal.SIGTERM)
    assert counted(running)["joined"] == 20
    running = process(kafka, "run", "--without-page", "--json")
    time.sleep(5)
    with_same_name = KafkaLabelLog(kafka, name="embedded", on_revoked=lambda: None)
    publish(kafka, writer, LABELS_WAITING, 41, label(41))
    writer.flush()
    with_same_name.close()
    assert counted(running, code=1)["joined"] == 0, "it was fenced, so it must not go on"


def wait_for_labels(log: KafkaLabelLog, number: int) -> list[Record]:
    records: list[Record] = []
    deadline = time.monotonic() + 60
    while len(records) < number:
        assert time.monotonic() < deadline
        records += log.read(0.2)
    return records


def test_a_member_that_lost_its_partitions_cannot_commit_what_it_had_read(kafka: Settings) -> None:
    """Law: the membership under which labels were read is what the broker asks for, whatever the client is by now."""
    writer = producer(kafka)
    publish(kafka, writer, LABELS_WAITING, 0, label(0))
    writer.flush()
    write = Write(TRAINING, 0, b"tx-0", b'{"from": "whom"}')
    first = KafkaLabelLog(kafka, name="a", on_revoked=lambda: None)
    wait_for_labels(first, 1)
    membership = first._reader.membership
    first._reader.close()
    with closing(KafkaLabelLog(kafka, name="b", on_revoked=lambda: None)) as second:
        [record] = wait_for_labels(second, 1)
        first._reader._membership = membership
        first.begin()
        first.write(write)
        with pytest.raises(AbortedError):
            first.commit({record.partition: record.offset + 1})
        first.abort()
        second.begin()
        second.write(write)
        second.abort()
        second.begin()
        second.write(write)
        second.commit({record.partition: record.offset + 1})
    assert committed(kafka, TRAINING) == [{"from": "whom"}]
