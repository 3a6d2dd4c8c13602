"""A history imported on a real broker, stopped and begun again; then live payments: the oracles find nothing wrong."""

import json
from typing import Any

import pytest

from deploy.audit import audit_answers
from deploy.broker import Broker
from deploy.system import System
from schemas.topics import DECISIONS, PREDICTIONS
from streams.__main__ import main
from tests.bench.audited import ZEROES, audited
from tests.integration.recorded import recorded

pytestmark = pytest.mark.kafka

ROWS, HISTORY, STOPPED, DELAY_S = 400, 300, 100, 60
PREFIX, PARTITIONS = "t-import.", 3
UNTIL = "2018-04-01T00:05:00"
"""Where a payment a second has given 300."""


@pytest.fixture(scope="module")
def outcome(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One run, looked at by every test here."""
    data_dir = tmp_path_factory.mktemp("import")
    file = recorded(data_dir, ROWS, cards=20, fraud_each=5)
    source = [str(file), "--mapping", "handbook", "--label-delay", f"{DELAY_S}s", "--json"]
    told: dict[str, Any] = {}

    def run(name: str, *arguments: str) -> None:
        told[name] = json.loads(system.run(name, ["producers", *arguments, *source]).splitlines()[-1])

    with System(data_dir, broker=broker, topic_prefix=PREFIX, partitions=PARTITIONS, snapshot_records=30) as system:
        system.start_store()
        system.start_learner()
        system.start_workers()
        run("stopped", "import", "--until", UNTIL, "--limit", str(STOPPED), "--no-wait")
        run("import", "import", "--until", UNTIL)
        told["before"] = _looked_at(system)
        run("live", "replay", "--from", UNTIL)
        assert system.wait_until_drained(60)
        with pytest.raises(RuntimeError) as refused:
            run("late", "import", "--until", UNTIL)
        for worker in system.workers:
            worker.terminate()
        told["store"] = system.stop_store()
        assert system.wait_until_learned(60)
        assert system.learner
        system.learner.terminate()
        return told | {
            "trusted_keys_dir": str(system.keys.trusted_dir),
            "refused": str(refused.value),
            "counters": system.counters(),
            "answers": audit_answers(system),
            "audit": audited(system.settings),
        }


def _looked_at(system: System) -> dict[str, Any]:
    """Return what the stages have counted when the import says that all is learned."""
    return {"counters": system.counters(), "lag": system.lag()}


def test_an_import_waits_until_all_is_learned(outcome: dict[str, Any]) -> None:
    """When it ends nothing is left to do, and all that was due by then is in the stages' state."""
    told = outcome["import"]
    assert (told["learned"], told["labels_waiting"], told["failed"]) == (True, 0, 0)
    assert (told["transactions"], told["labels"]) == (HISTORY, HISTORY - DELAY_S)
    assert outcome["before"]["lag"] == 0
    assert outcome["before"]["counters"]["card"]["history"] == HISTORY
    assert outcome["before"]["counters"]["card"]["labels"] == HISTORY - DELAY_S


def test_one_that_was_stopped_is_gone_on_with(outcome: dict[str, Any]) -> None:
    """What the first run published is not published again: nothing is counted as a duplicate."""
    stopped = outcome["stopped"]
    assert stopped["transactions"] == STOPPED
    assert stopped["learned"] is False
    assert outcome["import"]["skipped"] == STOPPED + stopped["labels"]
    assert "duplicates" not in outcome["counters"]["card"]
    assert "duplicate_labels" not in outcome["counters"]["card"]


def test_history_is_stored_and_not_answered_and_live_payments_are(outcome: dict[str, Any]) -> None:
    """Decisions are of the live payments alone, in topics, counters and store."""
    counters, answers = outcome["counters"], outcome["answers"]
    assert (counters["merchant"]["history"], counters["merchant"]["decided"]) == (HISTORY, ROWS - HISTORY)
    assert (counters["card"]["history"], counters["card"]["transactions"]) == (HISTORY, ROWS - HISTORY)
    assert answers.complete
    assert (answers.transactions, answers.decisions) == (ROWS - HISTORY, ROWS - HISTORY)
    assert (answers.predictions_stored, outcome["audit"]["stored"]) == (ROWS - HISTORY, ROWS)


def test_the_oracles_find_nothing_wrong(outcome: dict[str, Any]) -> None:
    """Features, answers, rows, training records and snapshots are what the topics say, history included."""
    audit = outcome["audit"]
    assert [audit[name] for name in ZEROES] == [0] * len(ZEROES), audit
    assert (audit["history"], audit["transactions"], audit["predictions"]) == (HISTORY, ROWS - HISTORY, ROWS)
    assert audit["training_records"] > 30


def test_a_history_after_the_first_answer_is_refused(outcome: dict[str, Any]) -> None:
    """Who imports too late is told before anything is published."""
    assert "payments were answered here already" in outcome["refused"]


def test_a_history_is_recomputed_to_the_byte(
    outcome: dict[str, Any], broker: Broker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every prediction, decision and snapshot comes out again: what was history, and what was answered after it."""
    monkeypatch.setenv("FRAUD_KAFKA_BOOTSTRAP", broker.bootstrap)
    monkeypatch.setenv("FRAUD_TOPIC_PREFIX", PREFIX)
    monkeypatch.setenv("FRAUD_PARTITIONS", str(PARTITIONS))
    monkeypatch.setenv("FRAUD_TRUSTED_KEYS_DIR", outcome["trusted_keys_dir"])
    status, figures = main(["recompute", "--all", "--json"]), json.loads(capsys.readouterr().out)
    assert (status, figures["differences"], figures["notes"]) == (0, [], [])
    compared = figures["compared"]
    assert compared[PREDICTIONS.name] == {"equal": ROWS}
    assert compared[DECISIONS.name] == {"equal": outcome["answers"].decisions}
    assert compared["positions and counters"] == {"equal": 2 * PARTITIONS}
