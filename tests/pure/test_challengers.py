"""Challengers: the shadow's fold is a fold in one process, and what it leaves decides by command alone."""

from itertools import count
from random import Random

import pytest
from river import naive_bayes

from schemas.decision import Prediction
from schemas.learning import ModelVersion, TrainingRecord
from schemas.settings import Settings
from schemas.topics import ALIASES, MODELS
from streams.detector import growing, learner
from streams.detector.admission import CHAMPION, Admission
from streams.detector.challengers import TABLE, OfAnyKind, places
from streams.detector.encode import ENCODER
from streams.detector.learner import Kind, Learner
from streams.detector.scorer import Scorer, probability_of, scorer_of
from streams.detector.shadowing import SNAPSHOTS_APART, Shadow
from streams.shadow import ShadowError, challengers_of
from tests.pure.test_following import _Log
from tests.signed import TRUSTED, alias_of, record_of

SNAPSHOT_RECORDS = 5
AT_MS = 1_600_000_000_000


@pytest.fixture(autouse=True)
def _early_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have trees grow from a few records."""
    for name, value in {"GROWTH_RECORDS_MIN": 12, "EXAMPLES_MAX": 40, "FRAUDS_MIN": 3}.items():
        monkeypatch.setattr(learner, name, value)
    monkeypatch.setattr(growing, "TREES", 3)


def _training(number: int) -> list[TrainingRecord]:
    chance, records = Random(3), list[TrainingRecord]()
    for at in range(number):
        fraud = chance.random() < 0.4
        records.append(
            TrainingRecord.model_validate(
                {
                    "transaction_id": f"tx-{at}",
                    "card": f"card_{at % 7}",
                    "merchant": "mer_a",
                    "revision": 0,
                    "source": "chargeback",
                    "verdict": "fraud" if fraud else "legitimate",
                    "weight": 1.0 + (at % 3 == 0) * 2,
                    "features": {"payment_amount_minor": 100 + 900 * fraud + at, "card_count_1h": 1 + 5 * fraud},
                    "occurred_at_ms": AT_MS,
                    "reported_at_ms": AT_MS + at,
                    "positions": {},
                }
            )
        )
    return records


RECORDS = _training(60)


def _prediction(at: int = 0, amount_minor: int = 1_000) -> Prediction:
    payment = {"card": "card_a", "merchant": "mer_a", "amount_minor": amount_minor, "currency": "EUR"}
    return Prediction.model_validate(
        {
            "transaction": {**payment, "transaction_id": f"tx-{at}", "event_time_ms": AT_MS},
            "features": {"payment_amount_minor": amount_minor, "card_count_1h": 6},
            "positions": {},
            "policy_version": "policy-1",
            "code_version": "test",
            "mode": "normal",
            "action": "approve",
            "model_version": "m-1",
        }
    )


def _shadow(*names: str) -> Shadow:
    clock = count(0, 2_000)
    challengers = {name: TABLE[name].make(SNAPSHOT_RECORDS) for name in names}
    return Shadow(challengers, snapshot_records=SNAPSHOT_RECORDS, now_ns=lambda: next(clock))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("mixture", Kind("mixture")),
        ("cells", Kind("cells", grows=False, share_of_leaves=0.0)),
        ("leaves", Kind("leaves", share_of_leaves=1.0)),
    ],
)
def test_the_shadows_fold_is_a_fold_in_one_process(name: str, kind: Kind) -> None:
    """Law: beside others and between payments, a challenger learns, says and leaves what it would alone."""
    shadow, alone = _shadow("mixture", "cells", "leaves", "anomaly"), Learner(kind=kind)
    decides, snapshots = None, []
    for offset, record in enumerate(RECORDS):
        snapshots += [each for each in shadow.learn(offset, record) if each.challenger == name]
        alone.learn_cells(ENCODER.encode(record.features), is_fraud=record.verdict == "fraud", weight=record.weight)
        decides = alone.scorer() if alone.records % SNAPSHOT_RECORDS == 0 else decides
        said = next(each for each in shadow.score(_prediction(offset)) if each.challenger == name)
        expected = decides.log_odds(ENCODER.encode(_prediction().features)) if decides else 0.0
        assert (said.probability, said.training_offset) == (probability_of(expected), offset + 1)
        assert said.records == offset + 1
        if alone.records % (SNAPSHOT_RECORDS * SNAPSHOTS_APART) == 0:
            assert snapshots[-1] == alone.snapshot(offset + 1)
    assert len(snapshots) == len(RECORDS) // (SNAPSHOT_RECORDS * SNAPSHOTS_APART)
    assert shadow.failed == {}


def test_what_a_challenger_leaves_says_which_part_decides() -> None:
    """Law: cells alone are a snapshot without trees, trees alone one in which they have the whole say."""
    shadow = _shadow("cells", "leaves")
    snapshots = [each for offset, record in enumerate(RECORDS) for each in shadow.learn(offset, record)]
    cells, leaves = (scorer_of(each) for each in snapshots)
    assert (cells.forest, leaves.share) == (None, 1.0)
    assert leaves.forest is not None
    assert [each.version.partition("-")[0] for each in snapshots] == ["cells", "leaves"]


def test_costs_are_those_of_the_clock() -> None:
    """Law: two microseconds pass between two looks at this clock, and each cost is one such step."""
    shadow = _shadow("cells", "anomaly")
    shadow.learn(7, RECORDS[0])
    assert [(each.score_us, each.learn_us) for each in shadow.score(_prediction())] == [(2.0, 2.0), (2.0, 2.0)]


class _Failing:
    def learn_one(self, _example: object, _fraud: object) -> None:
        raise ArithmeticError("planted")

    def predict_proba_one(self, _example: object) -> dict[bool, float]:
        return {True: 0.25, False: 0.75}


def test_one_that_fails_is_left_out_alone() -> None:
    """Law: another package's model scores until it fails, then is left out and named; the others go on."""
    challengers = {"theirs": OfAnyKind(_Failing()), "cells": TABLE["cells"].make(1)}
    shadow = Shadow(challengers, snapshot_records=1_000, now_ns=lambda: 0)
    assert [each.challenger for each in shadow.score(_prediction())] == ["theirs", "cells"]
    shadow.learn(0, RECORDS[0])
    assert [each.challenger for each in shadow.score(_prediction())] == ["cells"]
    assert shadow.failed == {"theirs": "ArithmeticError: planted"}


def test_an_anomaly_needs_no_label() -> None:
    """Law: after a window of alike payments one that is unlike them stands out, without any label."""
    shadow = _shadow("anomaly")
    for at in range(500):
        shadow.score(_prediction(at, 900 + at % 50))
    usual, unusual = (shadow.score(_prediction(0, amount))[0].log_odds for amount in (920, 900_000))
    assert unusual > usual


ALLOWED = "river.naive_bayes:GaussianNB"


@pytest.mark.parametrize(
    ("models", "allowed", "says"),
    [
        ("cells,foreign", "", "there is no foreign"),
        (f"theirs={ALLOWED}", "", "may not be loaded"),
        ("theirs=os:getcwd", "os:getcwd", "has no learn_one"),
        ("theirs=no_such_module:make", "no_such_module:make", "cannot be made"),
    ],
)
def test_only_what_is_allowed_is_loaded(models: str, allowed: str, says: str) -> None:
    """Law: a class of another package is loaded only where the settings allow that very one."""
    with pytest.raises(ShadowError, match=says):
        challengers_of(Settings(shadow_models=models, shadow_classes=allowed))


def test_another_packages_model_is_a_line_of_settings() -> None:
    """Law: what has `learn_one` and `predict_proba_one` learns and scores beside ours."""
    found = challengers_of(Settings(shadow_models=f"cells,theirs={ALLOWED}", shadow_classes=ALLOWED))
    shadow = Shadow(found, snapshot_records=1_000, now_ns=lambda: 0)
    alone = naive_bayes.GaussianNB()
    for offset, record in enumerate(RECORDS):
        shadow.learn(offset, record)
        for _ in range(int(record.weight)):
            alone.learn_one(places(ENCODER.encode(record.features)), record.verdict == "fraud")
    said = {each.challenger: each for each in shadow.score(_prediction())}
    expected = alone.predict_proba_one(places(ENCODER.encode(_prediction().features)))[True]
    assert said["theirs"].probability == pytest.approx(expected, abs=1e-8)
    assert said["theirs"].records == len(RECORDS)


def _left() -> list[ModelVersion]:
    shadow = _shadow("cells")
    return [each for offset, record in enumerate(RECORDS) for each in shadow.learn(offset, record)]


def test_a_challengers_snapshot_decides_only_by_command() -> None:
    """Law: beside the champion's snapshots it changes nothing and raises no alert; a command puts it in force."""
    log = _Log()
    log.following.settle()
    champion = Learner()
    for each in RECORDS[:20]:
        champion.learn(each)
    first = champion.snapshot(20)
    log.cut(first, 1)
    (left,) = _left()
    record = log.write(MODELS, left.version, left)
    champion.learn(RECORDS[20])
    log.cut(second := champion.snapshot(21), 2, history=(first.version,))
    assert (log.version, log.alerts) == (second.version, [])
    assert Admission(TRUSTED).snapshot(record_of(MODELS, 0, left.version, left)).model.challenger == "cells"
    promoted = alias_of(left.version, 3, mode="pinned", changed_by="c-1", model_offset=record.offset)
    log.write(ALIASES, CHAMPION, promoted)
    assert (log.version, log.alerts) == (left.version, [])
    assert isinstance(log.put[-1], Scorer)
