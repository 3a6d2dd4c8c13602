"""The producers as processes, on a real broker: what they report is what is there, by card and in order."""

import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from schemas.codec import DecodeFailure, decode
from schemas.label import Label
from schemas.settings import Settings
from schemas.topics import LABELS, TRANSACTIONS, Topic
from schemas.transaction import Transaction

pytestmark = pytest.mark.kafka

CARDS, ROWS = 20, 400


def murmur2(key: bytes) -> int:
    """The Java client's hash of a key, as a positive number (org.apache.kafka.common.utils.Utils)."""
    mask, factor = 0xFFFFFFFF, 0x5BD1E995
    hashed = 0x9747B28C ^ len(key)
    whole = len(key) & ~3
    for start in range(0, whole, 4):
        word = int.from_bytes(key[start : start + 4], "little") * factor & mask
        word = (word ^ word >> 24) * factor & mask
        hashed = hashed * factor & mask ^ word
    if whole < len(key):
        hashed = (hashed ^ int.from_bytes(key[whole:], "little")) * factor & mask
    hashed = (hashed ^ hashed >> 13) * factor & mask
    return (hashed ^ hashed >> 15) & 0x7FFFFFFF


def records(kafka: Settings, topic: Topic) -> Iterator[tuple[int, bytes, bytes]]:
    """Every record of a topic: partition, key, value."""
    consumer = Consumer({"bootstrap.servers": kafka.kafka_bootstrap, "group.id": "unused", "enable.auto.commit": False})
    name = kafka.topic_prefix + topic.name
    try:
        for partition in consumer.list_topics(name, timeout=30).topics[name].partitions:
            start, end = consumer.get_watermark_offsets(TopicPartition(name, partition), timeout=30)
            consumer.assign([TopicPartition(name, partition, start)])
            messages = consumer.consume(end - start, timeout=30) if end > start else []
            assert len(messages) == end - start
            for message in messages:
                key, value = message.key(), message.value()
                assert isinstance(key, bytes)
                assert isinstance(value, bytes)
                yield partition, key, value
    finally:
        consumer.close()


def start(kafka: Settings, *arguments: str) -> "subprocess.Popen[str]":
    environment = os.environ | {
        "FRAUD_KAFKA_BOOTSTRAP": kafka.kafka_bootstrap,
        "FRAUD_TOPIC_PREFIX": kafka.topic_prefix,
        "FRAUD_PARTITIONS": str(kafka.partitions),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "producers", *arguments, "--json"],
        cwd=Path(__file__).parents[2],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def recorded(tmp_path: Path) -> Path:
    path = tmp_path / "recorded.csv"
    lines = ["TRANSACTION_ID,TX_DATETIME,CUSTOMER_ID,TERMINAL_ID,TX_AMOUNT,TX_FRAUD"]
    lines += [
        f"{n},2018-04-01 00:{n // 60:02}:{n % 60:02},{n % CARDS},{n % 7},{n}.05,{int(n % 50 == 0)}" for n in range(ROWS)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_replay_is_on_kafka_by_card_in_order_and_counted(kafka: Settings, tmp_path: Path) -> None:
    process = start(kafka, "replay", str(recorded(tmp_path)), "--mapping", "handbook", "--label-delay", "100s")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    report = json.loads(out.splitlines()[-1])
    assert (report["transactions"], report["labels"], report["labels_pending"]) == (ROWS, ROWS - 100, 100)
    assert report["failed"] == 0

    ids = defaultdict(list)
    for partition, key, value in records(kafka, TRANSACTIONS):
        paid = decode(Transaction, value)
        assert not isinstance(paid, DecodeFailure)
        assert key == paid.card.encode()
        assert partition == murmur2(key) % kafka.partitions
        ids[paid.card].append(int(paid.transaction_id.removeprefix("tx-")))
    assert sum(map(len, ids.values())) == ROWS
    assert all(numbers == sorted(numbers) for numbers in ids.values())

    labels = [decode(Label, value) for _, _, value in records(kafka, LABELS)]
    assert sum(isinstance(label, Label) for label in labels) == ROWS - 100
    assert sum(isinstance(label, Label) and label.verdict == "fraud" for label in labels) == 6


def test_a_world_stopped_by_a_signal_has_delivered_what_it_reports(kafka: Settings) -> None:
    process = start(kafka, "simulate", "--rate", "200", "--cards", "50", "--merchants", "50", "--label-delay", "500ms")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=6)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    report = json.loads(out.splitlines()[-1])
    assert report["transactions"] > 100
    assert report["labels"] > 0
    assert sum(1 for _ in records(kafka, TRANSACTIONS)) == report["transactions"]
    assert sum(1 for _ in records(kafka, LABELS)) == report["labels"]


def test_an_unreadable_row_stops_the_replay_with_status_2(kafka: Settings, tmp_path: Path) -> None:
    path = recorded(tmp_path)
    path.write_text(path.read_text() + "400,2018-04-01 01:00:00,1,1,many,0\n")
    process = start(kafka, "replay", str(path), "--mapping", "handbook")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "row 401: amount" in err
    assert json.loads(out.splitlines()[-1])["transactions"] == ROWS
