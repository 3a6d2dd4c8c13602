"""What a challenger and the champion said of the same labelled payments, from the topics. Pure: Kafka is a port."""

from array import array
from collections.abc import Iterable, Iterator, Mapping
from math import nan
from typing import NamedTuple, TypeVar

import numpy as np

from schemas.codec import decode
from schemas.decision import Prediction, ShadowScore
from schemas.fields import DAY_MS, Message
from schemas.learning import TrainingRecord
from schemas.topics import PREDICTIONS, SHADOW_SCORES, TRAINING, Topic
from streams.detector.policy import SEVERITY
from streams.quality.gate import Rows
from streams.quality.probability import log_odds_of
from streams.recompute.logs import Logs

SEGMENTS = (
    "payment_channel",
    "payment_entry_mode",
    "payment_amount_minor",
    "payment_merchant_abroad",
    "card_merchant_is_new",
)
"""Features by whose values nobody may be harmed."""
LEAST = 1e-9
"""A prediction's probability has nine decimals."""
Payment = tuple[str, str]
"""Card and id."""
Kind = TypeVar("Kind", bound=Message)


class _Label(NamedTuple):
    """What counts of a payment, and where in the training log it was first spoken of."""

    offset: int
    occurred_at_ms: int
    fraud: bool
    weight: float


def labelled(logs: Logs, challenger: str, days: int, actions: Mapping[str, str]) -> Rows:
    """Return the payments of so many days before the newest that is labelled, as both have scored them.

    A payment whose label the challenger had learned when it scored it is left out, and so is one that rules decided
    alone. `actions` is what each rule asks for, by its name.
    """
    labels = _labels(logs)
    since_ms = max((each.occurred_at_ms for each in labels.values()), default=0) - days * DAY_MS
    labels = {payment: each for payment, each in labels.items() if each.occurred_at_ms >= since_ms}
    scores = _scores(logs, challenger, labels)
    table, cards = _Table(), dict[str, int]()
    for prediction in _each(logs, PREDICTIONS, Prediction):
        payment = prediction.transaction.card, prediction.transaction.transaction_id
        if prediction.probability is None or payment not in scores:
            continue
        label, score = labels[payment], scores.pop(payment)
        rules = max((SEVERITY.index(actions.get(name, "review")) for name in prediction.rule_hits), default=0)
        table.add(label.fraud, cards.setdefault(payment[0], len(cards)), label.weight)
        table.said(prediction.probability, score.log_odds, rules, score.score_us)
        table.segments.extend([prediction.features.get(name, nan) for name in SEGMENTS])
        table.learn_us = score.learn_us
    return table.rows()


class _Table:
    def __init__(self) -> None:
        self.frauds, self.cards, self.weights = array("b"), array("q"), array("d")
        self.champion, self.challenger, self.rules, self.score_us = (array("d") for _ in range(4))
        self.segments = array("d")
        self.learn_us = 0.0

    def add(self, fraud: bool, card: int, weight: float) -> None:  # noqa: FBT001 - a row's columns in order
        self.frauds.append(fraud)
        self.cards.append(card)
        self.weights.append(weight)

    def said(self, champion: float, challenger: float, rules: int, score_us: float) -> None:
        self.champion.append(champion)
        self.challenger.append(challenger)
        self.rules.append(rules)
        self.score_us.append(score_us)

    def rows(self) -> Rows:
        columns = np.array(self.segments, np.float64).reshape(len(self.frauds), len(SEGMENTS))
        return Rows(
            np.array(self.frauds, np.bool_),
            np.array(self.cards, np.int64),
            np.array(self.weights, np.float64),
            log_odds_of(np.array(self.champion, np.float64), LEAST),
            np.array(self.challenger, np.float64),
            np.array(self.rules, np.float64),
            {name: columns[:, place] for place, name in enumerate(SEGMENTS)},
            np.array(self.score_us, np.float64),
            self.learn_us,
        )


def _labels(logs: Logs) -> dict[Payment, _Label]:
    """Return the verdict that was learned last of each payment; the first place is where it could first be known."""
    found: dict[Payment, _Label] = {}
    for record in logs.read(TRAINING, 0):
        learned = decode(TrainingRecord, record.value)
        if isinstance(learned, TrainingRecord):
            payment = learned.card, learned.transaction_id
            first = found[payment].offset if payment in found else record.offset
            found[payment] = _Label(first, learned.occurred_at_ms, learned.verdict == "fraud", learned.weight)
    return found


def _scores(logs: Logs, challenger: str, labels: Mapping[Payment, _Label]) -> dict[Payment, ShadowScore]:
    """Return the first score of each labelled payment, where the challenger did not know its label."""
    found: dict[Payment, ShadowScore] = {}
    for score in _each(logs, SHADOW_SCORES, ShadowScore):
        payment = score.card, score.transaction_id
        if score.challenger == challenger and payment in labels and payment not in found:
            found[payment] = score
    return {payment: score for payment, score in found.items() if score.training_offset <= labels[payment].offset}


def _each(logs: Logs, topic: Topic, kind: type[Kind]) -> Iterator[Kind]:
    partitions: Iterable[int] = range(logs.partitions(topic))
    for partition in partitions:
        for record in logs.read(topic, partition):
            message = decode(kind, record.value)
            if isinstance(message, kind):
                yield message
