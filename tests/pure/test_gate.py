"""The gate: only who is surely better passes, and nobody who harms a segment or knew what was asked."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from schemas.codec import encode
from schemas.fields import DAY_MS, Message
from schemas.registry import Control
from schemas.topics import AUDIT, CONTROLS, PREDICTIONS, SHADOW_SCORES, TRAINING, Topic
from streams.detector.admission import Admission
from streams.detector.learner import Kind, Learner
from streams.detector.registry import Registry
from streams.detector.stage import Record
from streams.models.gating import event, with_what_is_promoted
from streams.models.labelled import labelled
from streams.quality.gate import BOUNDS, Rows, Verdict, judge
from tests.signed import TRUSTED, record_of

PAYMENTS, CARDS = 6_000, 1_500
EACH = np.arange(PAYMENTS) / PAYMENTS
RATE = 0.05


def _rows(seed: int = 1) -> Rows:
    """Return payments whose truth follows from a probability that the challenger knows, and the champion in part."""
    chance = np.random.default_rng(seed)
    known, hidden = chance.normal(0, 1.2, PAYMENTS), chance.normal(0, 2.0, PAYMENTS)
    log_odds = known + hidden - 5.0
    frauds = chance.random(PAYMENTS) < 1 / (1 + np.exp(-log_odds))
    # What is left of the hidden part, taken over: as probable in the mean, and less sharp.
    champion = (known - 5.0) / np.sqrt(1 + np.pi * 4.0 / 8)
    return Rows(
        frauds=frauds,
        cards=chance.integers(0, CARDS, PAYMENTS),
        weights=np.where(frauds, 1.0, 1.0),
        champion=champion,
        challenger=log_odds,
        rules=np.zeros(PAYMENTS),
        columns={"payment_channel": chance.integers(1, 4, PAYMENTS).astype(np.float64)},
        score_us=np.full(PAYMENTS, 20.0),
        learn_us=150.0,
    )


ROWS = _rows()


def _codes(verdict: Verdict) -> list[str]:
    return [reason.partition(":")[0] for reason in verdict.reasons]


def test_who_is_surely_better_passes() -> None:
    """Law: a challenger that knows more, is right in the mean, fast, and better everywhere passes."""
    verdict = judge(ROWS)
    assert verdict.reasons == ()
    assert verdict.passes
    assert verdict.figures["ap_difference_interval"].low > 0


def test_harm_to_one_segment_refuses_who_is_better_overall() -> None:
    """Law: surely better overall, right in the mean, and duller in one segment of two: refused, and that one named."""
    rare = np.random.default_rng(9).random(PAYMENTS) < 0.2
    champion, challenger = (np.where(at, ROWS.challenger, ROWS.champion) for at in (rare, ~rare))
    columns = {"payment_channel": rare.astype(np.float64)}
    harmful = replace(ROWS, champion=champion, challenger=challenger, columns=columns)
    verdict = judge(harmful)
    assert verdict.figures["ap_difference_interval"].low > 0
    assert _codes(verdict) == ["segment payment_channel 1"]
    assert not verdict.passes
    assert judge(replace(harmful, columns={})).passes


PLANTED: dict[str, tuple[Any, str]] = {
    "worse": (replace(ROWS, champion=ROWS.challenger, challenger=ROWS.champion), "not_better"),
    "as good": (replace(ROWS, champion=ROWS.challenger), "not_better"),
    "too sure": (replace(ROWS, challenger=ROWS.challenger + 1.5), "uncalibrated"),
    "losing more": (replace(ROWS, challenger=ROWS.challenger * 8 + 30), "log_loss"),
    "slow": (replace(ROWS, score_us=ROWS.score_us * 100), "too_slow"),
    "slow to learn": (replace(ROWS, learn_us=1e6), "too_slow"),
    "below rules": (replace(ROWS, rules=ROWS.frauds.astype(np.float64)), "below_rules_only"),
    "below prior": (replace(ROWS, challenger=np.where(ROWS.frauds, -9.0, -3.0) - EACH), "below_prior"),
    "few": (replace(ROWS, frauds=np.zeros(PAYMENTS, np.bool_)), "too_few"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_each_fault_is_named(name: str) -> None:
    """Law: whatever else is right, each planted fault refuses a challenger, and its reason is given."""
    rows, code = PLANTED[name]
    verdict = judge(rows)
    assert not verdict.passes
    assert code in _codes(verdict)


def test_the_same_model_twice_harms_nobody() -> None:
    """Law: of a challenger that says what the champion says no segment is harmed, however many are looked at."""
    columns = {f"column_{seed}": _rows(seed).columns["payment_channel"] for seed in range(2, 6)}
    verdict = judge(replace(ROWS, champion=ROWS.challenger, columns=columns))
    assert _codes(verdict) == ["not_better"]


def test_weights_count_payments() -> None:
    """Law: a payment that stands for two counts as two: rate and average precision are those of the longer list."""
    twice = np.flatnonzero(~ROWS.frauds)[:1_000]
    weighed = replace(ROWS, weights=np.where(np.isin(np.arange(PAYMENTS), twice), 2.0, 1.0))
    at = np.concatenate([np.arange(PAYMENTS), twice])
    longer = Rows(
        frauds=ROWS.frauds[at],
        cards=ROWS.cards[at],
        weights=ROWS.weights[at],
        champion=ROWS.champion[at],
        challenger=ROWS.challenger[at],
        rules=ROWS.rules[at],
        columns={},
        score_us=ROWS.score_us[at],
        learn_us=0.0,
    )
    one, other = judge(weighed).figures, judge(longer).figures
    assert [one[name] for name in ("ap", "ap_prior", "said_was")] == pytest.approx(
        [other[name] for name in ("ap", "ap_prior", "said_was")]
    )


@pytest.mark.parametrize(
    ("challenger", "model", "codes"),
    [
        ("cells", Learner(kind=Kind("cells")).snapshot(0), []),
        ("cells", None, ["no_snapshot"]),
        ("anomaly", None, ["not_promotable"]),
        ("theirs", None, ["not_promotable"]),
    ],
)
def test_only_what_the_deciders_can_load_is_promoted(challenger: str, model: Any, codes: list[str]) -> None:
    """Law: whatever its scores are worth, a model passes only with a snapshot of the champion's kind."""
    verdict = with_what_is_promoted(Verdict(passes=True, reasons=(), figures={}), challenger, model)
    assert (_codes(verdict), verdict.passes) == (codes, not codes)


def test_a_verdict_is_an_event_and_changes_nothing() -> None:
    """Law: the registry answers a verdict with an audit record that holds it, and the champion stays."""
    verdict = judge(replace(ROWS, champion=ROWS.challenger))
    said = event(verdict, "cells", None)
    control = Control(control_id="c-1", author="operator", kind="gate", arguments=said, issued_at_ms=1_600_000_000_000)
    registry = Registry(Admission(TRUSTED), lambda _offset: None)
    registry.alias = registry.cut("m-1")
    before = registry.alias
    done = registry.carry_out(record_of(CONTROLS, 0, "c-1", control))
    assert (done.audit.outcome, done.audit.kind, done.audit.arguments) == ("done", "gate", said)
    assert said["verdict"] == "refused"
    assert (done.alias.version, done.alias.mode, done.alias.history) == (before.version, before.mode, before.history)
    assert len(encode(done.audit)) < AUDIT.value_bytes_max


class _Logs:
    """Topics in memory, one partition each."""

    def __init__(self, messages: dict[Topic, Sequence[Message]]) -> None:
        self._records = {
            topic.name: [Record(topic.name, 0, at, 0, None, encode(each)) for at, each in enumerate(said)]
            for topic, said in messages.items()
        }

    def partitions(self, _topic: Topic) -> int:
        return 1

    def bounds(self, topic: Topic, _partition: int) -> tuple[int, int]:
        return 0, len(self._records[topic.name])

    def stable(self, topic: Topic, partition: int) -> int:
        return self.bounds(topic, partition)[1]

    def read(self, topic: Topic, _partition: int, start: int = 0) -> Iterator[Record]:
        return iter(self._records[topic.name][start:])


AT_MS = 1_600_000_000_000


def _message(topic: Topic, at: int, **fields: Any) -> Message:
    payment = {"transaction_id": f"tx-{at}", "card": "card_a"}
    told: dict[Topic, dict[str, Any]] = {
        TRAINING: {
            **payment, "merchant": "mer_a", "revision": 0, "source": "chargeback", "verdict": "fraud", "weight": 1.0,
            "features": {}, "occurred_at_ms": AT_MS, "reported_at_ms": AT_MS, "positions": {},
        },
        SHADOW_SCORES: {
            **payment, "event_time_ms": AT_MS, "challenger": "cells", "records": 0, "training_offset": 0,
            "log_odds": 0.5, "probability": 0.6, "score_us": 3.0, "learn_us": 4.0,
        },
        PREDICTIONS: {
            "transaction": {
                **payment, "merchant": "mer_a", "amount_minor": 7, "currency": "EUR", "event_time_ms": AT_MS,
            },
            "features": {"payment_channel": 2}, "positions": {}, "policy_version": "p", "code_version": "c",
            "mode": "normal", "action": "approve", "probability": 0.5, "rule_hits": ("r",),
        },
    }  # fmt: skip
    assert topic.message
    return topic.message.model_validate({**told[topic], **fields})


def test_what_was_learned_before_it_was_scored_counts_for_nothing() -> None:
    """Law: payments are compared that are labelled, scored by both, and whose label was not learned yet."""
    training = [
        _message(TRAINING, 0),
        _message(TRAINING, 1),
        _message(TRAINING, 2, occurred_at_ms=AT_MS - 99 * DAY_MS),
        _message(TRAINING, 3),
        _message(TRAINING, 4),
        _message(TRAINING, 4, revision=1, verdict="legitimate", weight=3.0),
    ]
    scores = [
        _message(SHADOW_SCORES, 0),
        _message(SHADOW_SCORES, 0, log_odds=9.0),  # said again after a restart
        _message(SHADOW_SCORES, 1, training_offset=2),  # its label was learned
        _message(SHADOW_SCORES, 2),  # too long ago
        _message(SHADOW_SCORES, 3),  # rules decided alone
        _message(SHADOW_SCORES, 4, training_offset=4),
        _message(SHADOW_SCORES, 4, challenger="leaves", log_odds=-1.0),
        _message(SHADOW_SCORES, 5),  # of which nobody spoke
    ]
    predictions = [_message(PREDICTIONS, at, **({"probability": None} if at == 3 else {})) for at in range(6)]
    logs = _Logs({TRAINING: training, SHADOW_SCORES: scores, PREDICTIONS: predictions})
    rows = labelled(logs, "cells", 60, {"r": "block"})
    assert (rows.frauds.tolist(), rows.weights.tolist(), rows.challenger.tolist()) == (
        [True, False],
        [1, 3],
        [0.5, 0.5],
    )
    assert (rows.rules.tolist(), rows.columns["payment_channel"].tolist(), rows.learn_us) == ([3, 3], [2, 2], 4.0)
    assert judge(rows).reasons[0].startswith("too_few")
    assert BOUNDS.frauds_min > 2
