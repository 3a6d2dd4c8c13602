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
from schemas.connection import connection
from schemas.label import Label, Outcome
from schemas.settings import Settings
from schemas.topics import LABELS, OUTCOMES, TRANSACTIONS, Topic
from schemas.transaction import Transaction
from tests.integration.recorded import recorded

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
    consumer = Consumer({**connection(kafka), "group.id": "unused", "enable.auto.commit": False})
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
        "FRAUD_DATA_DIR": str(kafka.data_dir),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "producers", *arguments, "--json"],
        cwd=Path(__file__).parents[2],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_replay_is_on_kafka_by_card_in_order_and_counted(kafka: Settings, tmp_path: Path) -> None:
    path = recorded(tmp_path, ROWS, cards=CARDS, fraud_each=50)
    process = start(kafka, "replay", str(path), "--mapping", "handbook", "--label-delay", "100s")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    report = json.loads(out.splitlines()[-1])
    assert (report["transactions"], report["labels"], report["labels_pending"]) == (ROWS, ROWS - 100, 100)
    assert (report["outcomes"], report["outcomes_pending"], report["failed"]) == (0, 0, 0)

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


def test_a_world_stopped_by_a_signal_has_delivered_what_it_reports_and_told_the_truth_of_it(
    kafka: Settings, tmp_path: Path
) -> None:
    people = ("--cards", "50", "--merchants", "50", "--fraud-rate", "0.2")
    delays = ("--label-delay", "500ms", "--capture-delay", "1s", "--truth", str(tmp_path / "truth.jsonl"))
    process = start(kafka, "simulate", "--rate", "200", *people, *delays)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=6)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    report = json.loads(out.splitlines()[-1])
    assert report["transactions"] > 100
    assert min(report["labels"], report["outcomes"]) > 0
    paid = [decode(Transaction, value) for _, _, value in records(kafka, TRANSACTIONS)]
    assert len(paid) == report["transactions"]
    assert sum(1 for _ in records(kafka, LABELS)) == report["labels"]

    said = [decode(Outcome, value) for _, _, value in records(kafka, OUTCOMES)]
    assert len(said) == report["outcomes"]
    kinds = {outcome.kind for outcome in said if isinstance(outcome, Outcome)}
    assert {"authorised", "declined_by_issuer", "captured"} <= kinds
    assert all(
        partition == murmur2(key) % kafka.partitions and json.loads(value)["card"] == key.decode()
        for partition, key, value in records(kafka, OUTCOMES)
    )

    told = [json.loads(line) for line in (tmp_path / "truth.jsonl").read_text().splitlines()]
    assert len(told) == report["transactions"]
    assert {line["transaction_id"] for line in told} == {
        each.transaction_id for each in paid if isinstance(each, Transaction)
    }
    frauds = {line["transaction_id"] for line in told if line["fraud"]}
    for _, _, value in records(kafka, LABELS):
        label = decode(Label, value)
        assert isinstance(label, Label)
        assert (label.verdict == "fraud") == (label.transaction_id in frauds)


def test_an_unreadable_row_stops_the_replay_with_status_2(kafka: Settings, tmp_path: Path) -> None:
    path = recorded(tmp_path, ROWS, cards=CARDS, fraud_each=50)
    path.write_text(path.read_text() + "400,2018-04-01 01:00:00,1,1,many,0\n")
    process = start(kafka, "replay", str(path), "--mapping", "handbook")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "row 401: amount" in err
    assert json.loads(out.splitlines()[-1])["transactions"] == ROWS


def test_what_a_query_of_the_store_gives_is_published_as_a_file_would_be(kafka: Settings) -> None:
    kafka.data_dir.mkdir(exist_ok=True)
    (kafka.data_dir / "clickhouse").mkdir()
    mapping = kafka.data_dir / "mapping.toml"
    mapping.write_text(
        'transaction_id = { column = "n", prefix = "tx-" }\ncard = { column = "c", prefix = "card_" }\n'
        'merchant = { const = "mer_b" }\namount = { column = "n", unit = "minor" }\ncurrency = { const = "EUR" }\n'
        'event_time = { column = "at" }\nfraud = { column = "f" }\n'
    )
    query = (
        "SELECT number AS n, number % 20 AS c, toDateTime64('2018-04-01', 3, 'UTC') + number AS at,"
        " number % 50 = 0 AS f FROM numbers(400) ORDER BY at"
    )
    process = start(kafka, "replay", "--query", query, "--mapping", str(mapping), "--label-delay", "100s")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    report = json.loads(out.splitlines()[-1])
    assert (report["transactions"], report["labels"], report["labels_pending"]) == (ROWS, ROWS - 100, 100)
    assert sum(1 for _ in records(kafka, TRANSACTIONS)) == ROWS
