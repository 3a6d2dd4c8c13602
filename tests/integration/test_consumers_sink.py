"""The sink as a process, between a real broker and a real store: killed and started again, it stores each once."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from confluent_kafka import Producer

from consumers.clickhouse_embedded import EmbeddedWarehouse
from consumers.warehouse import open_warehouse
from deploy.clickhouse_server import ClickHouseServer
from schemas.codec import encode
from schemas.connection import writing
from schemas.dead_letter import DeadLetter, Origin
from schemas.decision import Decision, Prediction, Reason
from schemas.fields import Message
from schemas.label import Label
from schemas.settings import Settings
from schemas.transaction import Transaction

pytestmark = pytest.mark.kafka
AT_MS = 1_522_540_800_000
PARTITIONS = 3


def command(settings: Settings, *arguments: str) -> subprocess.Popen[str]:
    env = {f"FRAUD_{name.upper()}": str(value) for name, value in settings.model_dump().items()}
    return subprocess.Popen(
        [sys.executable, "-m", "consumers", *arguments],
        env=os.environ | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def done(process: subprocess.Popen[str], *, code: int = 0) -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    return out if code == 0 else err


def drained(settings: Settings) -> dict[str, int]:
    counters: dict[str, int] = json.loads(done(command(settings, "sink", "--json", "--until-idle", "0.3")))
    return counters


def asked(settings: Settings, sql: str) -> list[dict[str, Any]]:
    """Rows of the store, read in this process: starting another costs more than anything else here."""
    with closing(open_warehouse(settings)) as warehouse:
        columns = warehouse.query_columns(sql)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def messages(number: int) -> Iterator[tuple[str, int, Message]]:
    for n in range(number):
        transaction = Transaction(
            transaction_id=f"tx-{n}",
            card=f"card_{n % 97}",
            merchant=f"mer_{n % 13}",
            amount_minor=n,
            currency="EUR",
            event_time_ms=AT_MS + n * 60_000,
        )
        partition = n % PARTITIONS
        yield (
            "fraud.predictions.v1",
            partition,
            Prediction(
                transaction=transaction,
                features={f"feature_{i}": n / (i + 1) for i in range(60)},
                positions={"payments.transactions.v1": (partition, n), "fraud.models.v1": (0, 1)},
                model_version="m-1",
                policy_version="p-1",
                code_version="c-1",
                score=n % 1000,
                probability=0.01,
                mode="normal",
                action="approve",
                reasons=tuple(Reason(code=f"reason_{i}", text="Because of it", contribution=0.5) for i in range(3)),
            ),
        )
        yield (
            "fraud.decisions.v1",
            partition,
            Decision(
                transaction_id=transaction.transaction_id,
                card=transaction.card,
                action="approve",
                mode="normal",
                policy_version="p-1",
                event_time_ms=transaction.event_time_ms,
            ),
        )
        if n % 50 == 0:
            yield (
                "payments.labels.v1",
                partition,
                Label(
                    transaction_id=transaction.transaction_id,
                    card=transaction.card,
                    merchant=transaction.merchant,
                    verdict="fraud",
                    source="chargeback",
                    occurred_at_ms=transaction.event_time_ms,
                    reported_at_ms=transaction.event_time_ms + 1,
                ),
            )


def publish(settings: Settings, number: int, *, commit_every: int = 2_000) -> None:
    """Write in transactions, as the streams do, with one aborted that nobody may ever see."""
    producer = Producer({**writing(settings), "transactional.id": settings.topic_prefix, "linger.ms": 5})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(settings.topic_prefix + "fraud.decisions.v1", b"aborted", partition=0)
    producer.flush()
    producer.abort_transaction(30)
    producer.begin_transaction()
    for index, (topic, partition, message) in enumerate(messages(number)):
        producer.produce(settings.topic_prefix + topic, encode(message), partition=partition)
        producer.poll(0)
        if index % commit_every == commit_every - 1:
            producer.commit_transaction(30)
            producer.begin_transaction()
    origin = Origin(topic="t", partition=0, offset=7, timestamp_ms=AT_MS, key=b"card_a", value=b"\xff")
    letter = DeadLetter(origin=origin, stage="card", reason="not_json", detail="nothing")
    key, value, headers = letter.to_record()
    producer.produce(
        settings.topic_prefix + "fraud.dead-letters.v1",
        value,
        key,
        partition=0,
        headers=list(headers),
    )
    producer.produce(settings.topic_prefix + "fraud.decisions.v1", b"not ours", partition=1)
    producer.commit_transaction(30)


STORED = """
SELECT (SELECT count() FROM v_predictions) AS predictions, (SELECT uniqExact(transaction_id) FROM v_predictions) AS ids,
    (SELECT count() FROM v_decisions) AS decisions, (SELECT count() FROM v_dead_letters) AS dead_letters,
    (SELECT count() FROM v_verdicts) AS labels, (SELECT sum(amount_minor) FROM v_predictions) AS amount
"""


def expected(number: int) -> dict[str, int]:
    return {
        "predictions": number,
        "ids": number,
        "decisions": number,
        "dead_letters": 1,
        "labels": -(-number // 50),
        "amount": number * (number - 1) // 2,
    }


def test_all_that_was_committed_is_stored_once_and_can_be_read(kafka: Settings, tmp_path: Path) -> None:
    publish(kafka, 1_000)
    counters = drained(kafka)
    assert {name: counters[name] for name in ("predictions_stored", "decisions_stored", "undecodable")} == {
        "predictions_stored": 1_000,
        "decisions_stored": 1_000,
        "undecodable": 1,
    }
    again = drained(kafka)
    assert set(again.values()) == {0}, "what was committed is not read again"
    assert json.loads(done(command(kafka, "query", "--json", STORED))) == expected(1_000)
    path = tmp_path / "decisions.parquet"
    done(command(kafka, "query", "SELECT * FROM v_decisions", "--parquet", str(path)))
    assert pq.read_metadata(path).num_rows == 1_000
    assert done(command(kafka, "migrate", "--dry-run")) == ""
    refused = done(command(kafka, "query", "SELECT no_such"), code=1)
    assert refused.count("\n") == 1, "one line, without a stack trace"
    assert "no_such" in refused


def test_kills_between_insert_and_commit_repeat_rows_that_views_show_once(kafka: Settings) -> None:
    publish(kafka, 3_000)
    for pause_s in (1.8, 2.2, 2.6):
        process = command(kafka, "sink")
        time.sleep(pause_s)
        process.kill()
        process.communicate()
    drained(kafka)
    assert asked(kafka, STORED) == [expected(3_000)]


def test_a_second_process_on_the_folder_is_told_in_one_line(kafka: Settings) -> None:
    with_it = EmbeddedWarehouse(kafka.data_dir / "clickhouse")
    told = done(command(kafka, "query", "SELECT 1"), code=1)
    with_it.close()
    assert told.count("\n") == 1
    assert "open in another process" in told


def test_sigterm_stores_what_was_read_and_exits_0(kafka: Settings) -> None:
    process = command(kafka, "sink", "--json")
    publish(kafka, 500)
    time.sleep(4)
    process.send_signal(signal.SIGTERM)
    first = json.loads(done(process))["predictions_stored"]
    assert first + drained(kafka)["predictions_stored"] == 500, "a stop in order repeats nothing"
    assert asked(kafka, STORED) == [expected(500)]


def test_two_sinks_share_the_partitions_and_lose_none(kafka: Settings, tmp_path: Path) -> None:
    other = kafka.model_copy(update={"data_dir": tmp_path / "other"})
    publish(kafka, 3_000)
    for each in (kafka, other):
        done(command(each, "migrate"))
    sinks = [command(each, "sink") for each in (kafka, other)]
    time.sleep(4)
    for sink in sinks:
        sink.send_signal(signal.SIGTERM)
        done(sink)
    drained(other)
    ids = "SELECT record_partition, record_offset FROM v_predictions"
    stored = [tuple(row.values()) for each in (kafka, other) for row in asked(each, ids)]
    assert len(set(stored)) == 3_000


@pytest.mark.clickhouse_server
def test_a_server_that_is_down_is_waited_for_and_a_stop_still_stops(kafka: Settings, tmp_path: Path) -> None:
    server = ClickHouseServer(tmp_path / "server")
    with_server = kafka.model_copy(update={"clickhouse_url": server.url})
    process = command(with_server, "sink", "--json")
    time.sleep(4)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert set(json.loads(done(process)).values()) == {0}
