"""The learning stage's task and the guard: what is held back is told, and a snapshot that is worse does not decide."""

from random import Random

import pytest

from schemas.codec import encode
from schemas.label import LabelSource
from schemas.learning import TrainingRecord
from schemas.registry import Alert
from schemas.topics import ALERTS, TRAINING
from streams.detector.admission import Admission
from streams.detector.guard import Guard
from streams.detector.stage import Record
from streams.learning import LearningTask
from tests.learned import snapshots_of
from tests.pure.test_learning_task import NOW_MS, STAGE, _Log, _Topics
from tests.signed import SIGNERS, TRUSTED

SNAPSHOT_RECORDS = 200


def _record(at: int, source: LabelSource, merchant: str, *, fraud: bool, high: bool) -> Record:
    record = TrainingRecord(
        transaction_id=f"tx-{at}",
        card=f"card_{at % 97}",
        merchant=merchant,
        revision=0,
        verdict="fraud" if fraud else "legitimate",
        source=source,
        weight=1.0,
        features={"card_count_1h": 20 if high else 1, "payment_hour": at % 24},
        occurred_at_ms=NOW_MS,
        reported_at_ms=NOW_MS + at,
        positions={},
    )
    return Record(TRAINING.name, 0, at, NOW_MS, b"tx", encode(record))


def _honest(number: int) -> list[Record]:
    """Return a log in which fraud comes in quick succession, said by the bank and, one in three, by the customer."""
    chance, log = Random(2), list[Record]()
    for at in range(number):
        fraud = chance.random() < 0.3
        said: LabelSource = chance.choice(("chargeback", "chargeback", "customer")) if fraud else "assumed_legitimate"
        log.append(_record(at, said, f"mer_{chance.randrange(60)}", fraud=fraud, high=fraud))
    return log


def _led(topics: _Topics, log: list[Record]) -> LearningTask:
    topics.training = log
    task = LearningTask(
        STAGE,
        0,
        _Log(topics, lambda _: None),
        topics,
        snapshot_records=SNAPSHOT_RECORDS,
        signer=SIGNERS["learner"],
        admission=Admission(TRUSTED),
    )
    position = task.open().get(TRAINING.name, 0)
    for record in log[position:]:
        task.step([STAGE.read(record)])
        task.commit()
    return task


def _alerts(topics: _Topics) -> dict[str, Alert]:
    alerts = [Alert.model_validate_json(record.value or b"") for record in topics.of(ALERTS)]
    return {alert.alert_id: alert for alert in alerts}


def test_quarantine_is_told_once_whatever_dies() -> None:
    """Law: a burst on a rival leads to one alert that names its first record, also where it is learned twice."""
    burst = [_record(at, "customer", "mer_rival", fraud=True, high=False) for at in range(2_500, 2_650)]
    log, topics = _honest(2_500) + burst, _Topics()
    _led(topics, log[:2_590])
    _led(topics, log)
    told = [alert for alert in _alerts(topics).values() if "mer_rival" in alert.text]
    assert [alert.kind for alert in told] == ["quarantined"]
    assert 2_500 < int(told[0].subject.rpartition(":")[2]) < 2_560
    wanted = snapshots_of([(record.offset, record.value or b"") for record in log], SNAPSHOT_RECORDS)
    assert [each.version for each in topics.snapshots] == [each.version for each in wanted]


@pytest.mark.parametrize("restarted", [False, True])
def test_snapshot_that_is_worse_does_not_decide(monkeypatch: pytest.MonkeyPatch, *, restarted: bool) -> None:
    """Law: where lies go past the guard a champion stays that is better than what is learned, and it is told."""
    monkeypatch.setattr(Guard, "_holds", lambda *_: False)
    honest, topics = _honest(2_400), _Topics()
    task = _led(topics, honest)
    assert topics.aliases[-1].version == topics.snapshots[-1].version
    # What comes in quick succession is called honest, all else fraud, by customers: a model turned round.
    lies = [
        _record(at, "customer", f"mer_{at % 60}", fraud=at % 2 == 0, high=at % 2 == 1) for at in range(2_400, 4_000)
    ]
    if restarted:
        task = _led(topics, honest + lies[:100])
    for record in lies[100 * restarted :]:
        task.step([STAGE.read(record)])
        task.commit()
    versions = [snapshot.version for snapshot in topics.snapshots]
    decides = topics.aliases[-1].version
    assert decides is not None
    assert 11 <= versions.index(decides) <= 14, versions.index(decides)
    assert [alias.newest for alias in topics.aliases] == versions
    refused = [alert for alert in _alerts(topics).values() if alert.kind == "worse"]
    assert [alert.subject for alert in refused] == versions[versions.index(decides) + 1 :]
    assert all(alert.text.startswith("its AUC on ") for alert in refused)
