"""Dead letters and decisions on a real broker: listed, shown, replayed once whatever happens, looked up in time."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
from confluent_kafka import Producer

from consumers import commands
from consumers.__main__ import _parser
from consumers.decisions import decision_of
from consumers.letters import Asked
from consumers.letters_to_topics import LettersToTopics, ReplayError, letters, markers
from consumers.replay import Landing, Repair, landing_of
from deploy.read_back import read_topic
from schemas.codec import encode
from schemas.connection import connection
from schemas.dead_letter import DeadLetter, Origin
from schemas.decision import Decision
from schemas.fields import DAY_MS
from schemas.settings import Settings
from schemas.topics import DEAD_LETTERS, DECISIONS, TRANSACTIONS
from tests.bench.bad_records import payment

pytestmark = pytest.mark.kafka
NOW_MS = time.time_ns() // 1_000_000
CARD = "card_bad"


def publish(kafka: Settings, topic: str, *records: tuple[bytes | None, bytes | None, Any, int, int]) -> None:
    """Write records of key, value, headers, partition and timestamp."""
    producer = Producer(connection(kafka))
    for key, value, headers, partition, timestamp_ms in records:
        producer.produce(kafka.topic_prefix + topic, value, key, partition, headers=headers, timestamp=timestamp_ms)
    assert producer.flush(10) == 0


def bury(kafka: Settings, *values: bytes, reason: str = "core_exception") -> None:
    """Write a dead letter for each value, in partition 1."""
    records: list[tuple[bytes | None, bytes | None, Any, int, int]] = []
    for offset, value in enumerate(values):
        origin = Origin(
            topic=TRANSACTIONS.name, partition=1, offset=offset, timestamp_ms=NOW_MS - DAY_MS, key=CARD.encode(),
            value=value, headers=(("sent-by", b"a gateway"),),
        )  # fmt: skip
        key, kept, headers = DeadLetter(origin=origin, stage="card", reason=reason, detail="it broke").to_record()
        records.append((key, kept, headers, 1, origin.timestamp_ms))
    publish(kafka, DEAD_LETTERS.name, *records)


def run(kafka: Settings, *arguments: str) -> int:
    """Run a command in this process: starting another costs more than all that it does."""
    return commands.run(kafka, _parser().parse_args(arguments))


def killed(kafka: Settings, moment: str, *arguments: str) -> None:
    """Run a command in a process that is killed beside its commit."""
    env = {f"FRAUD_{name.upper()}": str(value) for name, value in kafka.model_dump().items()}
    argv = [sys.executable, "-m", "tests.integration.killed_replay", moment, *arguments]
    done = subprocess.run(argv, env=os.environ | env, capture_output=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


def landed(kafka: Settings) -> list[Any]:
    return read_topic(kafka, kafka.topic_prefix + TRANSACTIONS.name)


def test_list_show_and_replay(kafka: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """Law: what is listed can be shown and replayed; it lands as it came, by its key, once, and is listed as such."""
    bury(kafka, payment(NOW_MS, "tx-0"), payment(NOW_MS, "tx-1"))
    bury(kafka, b"{", reason="not_json")
    assert run(kafka, "dead-letters", "list", "--reason", "core_exception", "--json") == 0
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["partition"], each["offset"], each["replayed"]) for each in listed] == [(1, 1, None), (1, 0, None)]
    assert run(kafka, "dead-letters", "show", "1", "0") == 0
    assert '"transaction_id": "tx-0"' in capsys.readouterr().out
    assert run(kafka, "dead-letters", "show", "1", "9") == 1

    assert run(kafka, "dead-letters", "replay", "--reason", "core_exception", "--dry-run") == 0
    assert landed(kafka) == []
    assert run(kafka, "dead-letters", "replay", "1", "0", "--author", "ada") == 0
    assert run(kafka, "dead-letters", "replay", "--topic", TRANSACTIONS.name, "--author", "bob") == 1
    told = capsys.readouterr().out
    assert "1/0 was replayed before, by ada at " in told
    assert "1/1 replayed to payments.transactions.v1" in told
    assert "1/2 its value would be refused again" in told
    records = landed(kafka)
    assert [record.value() for record in records] == [payment(NOW_MS, "tx-0"), payment(NOW_MS, "tx-1")]
    assert [dict(record.headers()) for record in records] == [
        {"sent-by": b"a gateway", "dead_letter": place} for place in (b"1/0", b"1/1")
    ]
    assert all(record.timestamp()[1] >= NOW_MS for record in records)
    assert run(kafka, "dead-letters", "list") == 0
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()[1:]] == ["-", "bob", "ada"]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_replay_that_is_killed_and_repeated_lands_once(
    kafka: Settings, moment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Law: killed between produce and commit or right after the commit, and repeated at once: each landed once."""
    bury(kafka, *(payment(NOW_MS, f"tx-{n}") for n in range(3)))
    replay = ("dead-letters", "replay", "--reason", "core_exception", "--author", "ada")
    killed(kafka, moment, *replay)
    assert run(kafka, *replay) == 0
    done = "replayed to" if moment == "before" else "was replayed before"
    assert [done in line for line in capsys.readouterr().out.splitlines()] == [True] * 3
    assert sorted(json.loads(record.value())["transaction_id"] for record in landed(kafka)) == ["tx-0", "tx-1", "tx-2"]
    assert markers(kafka, settled=True).keys() == {"1/0", "1/1", "1/2"}


def test_of_two_replays_at_once_the_later_one_writes(kafka: Settings) -> None:
    """Law: who begins fences who began before; what that one had not committed is nobody's but the later one's."""
    bury(kafka, payment(NOW_MS, "tx-0"))
    landings = [
        landing
        for letter in letters(kafka, Asked(), {})
        if isinstance(
            landing := landing_of(letter, Repair(), author="ada", now_ms=NOW_MS, future_ms_max=DAY_MS), Landing
        )
    ]
    earlier = LettersToTopics(kafka)
    later = LettersToTopics(kafka)
    with pytest.raises(ReplayError):
        earlier.replay(landings)
    later.replay(landings)
    assert len(landed(kafka)) == len(landings) == 1


def decision(transaction_id: str, **changes: Any) -> bytes:
    fields: dict[str, Any] = {"action": "approve", "mode": "normal", "policy_version": "p"} | changes
    return encode(Decision(transaction_id=transaction_id, card=CARD, **fields))


def test_a_decision_is_looked_up_in_time(kafka: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """Law: the answer that holds is found among 20,000 in half a second of computing, waited for, or missing."""
    fallback = {"action": "review", "mode": "fallback"}
    minutes = 60_000
    publish(
        kafka,
        DECISIONS.name,
        (CARD.encode(), decision("tx-old", action="block"), [], 2, NOW_MS - 50 * minutes),
        *((b"card_other", decision(f"tx-{n % 5}"), [], n % 3, NOW_MS - 20 * minutes + n) for n in range(20_000)),
        (CARD.encode(), decision("tx-1"), [], 0, NOW_MS),
        (CARD.encode(), decision("tx-1", **fallback), [], 1, NOW_MS),
        (CARD.encode(), decision("tx-2", **fallback), [], 1, NOW_MS),
    )
    started_s = time.process_time()
    found = {name: decision_of(kafka, CARD, name) for name in ("tx-1", "tx-2", "tx-old", "tx-none")}
    took_s = time.process_time() - started_s
    assert {name: each and each.action for name, each in found.items()} == {
        "tx-1": "approve",
        "tx-2": "review",
        "tx-old": "block",
        "tx-none": None,
    }
    assert took_s < 4 * 0.5
    assert decision_of(kafka, CARD, "tx-old", within_ms=10 * minutes) is None
    late = decision("tx-late", action="step_up")
    threading.Timer(0.5, publish, (kafka, DECISIONS.name, (CARD.encode(), late, [], 2, NOW_MS))).start()
    assert run(kafka, "decision", "--card", CARD, "--transaction", "tx-late", "--wait", "10", "--json") == 0
    assert json.loads(capsys.readouterr().out)["action"] == "step_up"
    assert run(kafka, "decision", "--card", CARD, "--transaction", "tx-none") == 1
