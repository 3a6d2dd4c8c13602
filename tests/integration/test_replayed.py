"""A replay among real workers: what was refused or failed on is decided once, and the oracle finds all right."""

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from consumers import commands
from consumers.__main__ import _parser
from consumers.decisions import decision_of
from deploy.broker import Broker
from deploy.read_back import read_topic
from deploy.system import System
from schemas.codec import decode
from schemas.connection import connection
from schemas.decision import Decision
from schemas.topics import DEAD_LETTERS, DECISIONS, LABELS, TRANSACTIONS
from tests.bench.bad_records import label, payment
from tests.findings import Audit
from tests.integration.faulty_worker import CARD, MERCHANT
from tests.oracle import audit

pytestmark = pytest.mark.kafka
DRAIN_S_MAX = 40.0


@pytest.fixture(scope="module")
def found(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> tuple[Audit, Counter[tuple[str, str]]]:
    """Return what the oracle says of the run, and its answers by id and mode."""
    data_dir = tmp_path_factory.mktemp("replayed")
    now_ms = time.time_ns() // 1_000_000
    with System(data_dir, broker=broker, topic_prefix="t-replayed.", partitions=3) as system:
        faulty = system.process("worker", ["tests.integration.faulty_worker", "worker"], FRAUD_WORKER_ID="worker-1")
        faulty.start()
        publish(system, now_ms)
        assert system.wait_until_drained(DRAIN_S_MAX)
        faulty.terminate()
        replay_all(system, data_dir / "repaired.json", now_ms)
        retry = payment(now_ms, "merchant_core", "card_x", merchant=MERCHANT)
        send(system, TRANSACTIONS.name, b"card_x", retry)
        system.start_workers(1)
        assert system.wait_until_drained(DRAIN_S_MAX)
        assert run(system, "replay", "--topic", TRANSACTIONS.name, "--author", "bob") == 0
        assert system.wait_until_drained(DRAIN_S_MAX)
        decisions = [decode(Decision, each.value()) for each in records(system, DECISIONS.name)]
        answers = Counter((each.transaction_id, str(each.mode)) for each in decisions if isinstance(each, Decision))
        held = decision_of(system.settings, "card_x", "merchant_core")
        assert held is not None
        assert held.mode == "rules_only"
        return audit(system.settings), answers


def publish(system: System, now_ms: int) -> None:
    """Publish good payments and labels, and one of each that is refused or failed on."""
    for n in range(6):
        send(system, TRANSACTIONS.name, b"card_x", payment(now_ms + n, f"good-{n}", "card_x"))
    send(system, TRANSACTIONS.name, CARD.encode(), payment(now_ms, "card_core", CARD))
    send(system, LABELS.name, CARD.encode(), label(now_ms + 10, CARD, transaction_id="card_core"))
    send(system, TRANSACTIONS.name, b"card_x", payment(now_ms, "merchant_core", "card_x", merchant=MERCHANT))
    told = label(now_ms + 10, "card_x", transaction_id="merchant_core", merchant=MERCHANT)
    send(system, LABELS.name, b"card_x", told)
    send(system, TRANSACTIONS.name, b"card_x", payment(now_ms, "repaired", "card_x", amount_minor="1999"))
    send(system, TRANSACTIONS.name, b"card_of_another", payment(now_ms, "wrong_key", "card_x"))


def replay_all(system: System, repaired: Path, now_ms: int) -> None:
    """Replay what the detector failed on by filter, and the others one by one, repaired."""
    assert run(system, "replay", "--reason", "core_exception", "--author", "ada") == 0
    repaired.write_bytes(payment(now_ms, "repaired", "card_x"))
    repairs = {b'"repaired"': ("--value", str(repaired)), b'"wrong_key"': ("--key", "card_x")}
    for letter in records(system, DEAD_LETTERS.name):
        for mark, repair in repairs.items():
            if mark in letter.value():
                place = (str(letter.partition()), str(letter.offset()))
                assert run(system, "replay", *place, *repair, "--author", "ada") == 0


def run(system: System, *arguments: str) -> int:
    return commands.run(system.settings, _parser().parse_args(["dead-letters", *arguments]))


def records(system: System, topic: str) -> list[Any]:
    return read_topic(system.settings, system.settings.topic_prefix + topic)


def send(system: System, topic: str, key: bytes, value: bytes) -> None:
    producer = Producer({**connection(system.settings), "partitioner": "murmur2_random"})
    producer.produce(system.settings.topic_prefix + topic, value, key)
    assert producer.flush(10) == 0


def test_each_gets_one_decision_besides_its_first_answer(found: tuple[Audit, Counter[tuple[str, str]]]) -> None:
    """Law: what was answered `invalid` or `review` is decided once by its replay; the others are answered once."""
    _, answers = found
    replayed = ("card_core", "merchant_core", "repaired", "wrong_key")
    first = {(name, "fallback"): 1 for name in replayed}
    decided = {(name, "rules_only"): 1 for name in (*replayed, *(f"good-{n}" for n in range(6)))}
    assert answers == first | decided


def test_the_oracle_judges_a_run_with_replays(found: tuple[Audit, Counter[tuple[str, str]]]) -> None:
    """Law: features, answers and duplicates are right when replays are a part of the run."""
    judged, _ = found
    assert (judged.lost, judged.repeated, judged.differing) == (0, 0, 0), judged.examples
    assert (judged.dead_letters, judged.replayed, judged.duplicates) == (6, 6, 1)
    assert (judged.decisions, judged.labels) == (10, 2)
