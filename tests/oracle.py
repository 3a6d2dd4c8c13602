"""What the topics must hold, worked out anew from the topics alone, by the simplest code that could be right.

The card stage is folded from transactions and labels (labels before a transaction as its profiled record says), the
merchant stage from the profiled partitions in their order. Features are scans over plain lists: nothing is shared with
the windows, the state or the tasks of the detector. Every record, feature and action is compared.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from deploy.system import read_topic
from schemas.codec import DecodeFailure, decode
from schemas.decision import Decision, Prediction, Profiled
from schemas.fields import DAY_MS, HOUR_MS
from schemas.label import Label
from schemas.settings import Settings
from schemas.topics import DEAD_LETTERS, DECISIONS, LABELS, PREDICTIONS, PROFILED, TRANSACTIONS
from schemas.transaction import Transaction
from streams.app import stages_of
from streams.detector.stage import Record, Refusal

RETENTION_MS = 32 * DAY_MS
WINDOWS_MS = {"1h": HOUR_MS, "24h": DAY_MS, "7d": 7 * DAY_MS, "30d": 30 * DAY_MS}
EXAMPLES_MAX = 5

Identity = tuple[str, str]


class Remembered:
    """One entity: plain lists."""

    def __init__(self) -> None:
        self.payments: list[tuple[int, int]] = []
        self.newest_ms = 0
        self.ids: dict[str, int] = {}
        self.labels: dict[str, Label] = {}

    def features(self, kind: str, time_ms: int, amount_minor: int) -> dict[str, int]:
        """Scan every payment and every known fraud."""
        features = {}
        floor_ms = self.newest_ms - RETENTION_MS
        for name, window_ms in WINDOWS_MS.items():
            inside = [
                amount for at_ms, amount in self.payments if max(time_ms - window_ms, floor_ms) < at_ms <= time_ms
            ]
            features[f"{kind}_count_{name}"] = len(inside) + 1
            features[f"{kind}_amount_minor_{name}"] = sum(inside) + amount_minor
        frauds_ms = [label.reported_at_ms for label in self.labels.values() if label.verdict == "fraud"]
        for name in ("24h", "7d", "30d"):
            features[f"{kind}_known_frauds_{name}"] = sum(
                time_ms - WINDOWS_MS[name] < at_ms <= time_ms for at_ms in frauds_ms
            )
        return features

    def pay(self, time_ms: int, amount_minor: int, transaction_id: str) -> int:
        """Remember a payment and return how late it was."""
        late_ms = max(0, self.newest_ms - time_ms)
        self.newest_ms = max(self.newest_ms, time_ms)
        self.ids[transaction_id] = max(time_ms, self.newest_ms if late_ms >= RETENTION_MS else time_ms)
        if late_ms < RETENTION_MS:
            self.payments.append((time_ms, amount_minor))
        return late_ms

    def knows(self, transaction_id: str) -> bool:
        """Whether a payment of that id was seen within retention."""
        return transaction_id in self.ids and self.ids[transaction_id] > self.newest_ms - RETENTION_MS

    def report(self, label: Label) -> bool:
        """Remember a label unless it is repeated or outdated; whether it was news."""
        tag = f"{label.card}|{label.transaction_id}"
        known = self.labels.get(tag)
        if known and label.revision <= known.revision:
            return False
        if known or label.verdict == "fraud" or label.revision:
            self.labels[tag] = label
        return True


@dataclass
class Audit:
    """What the comparison found. `lost`, `repeated` and `differing` must be 0."""

    transactions: int = 0
    decisions: int = 0
    predictions: int = 0
    lost: int = 0
    repeated: int = 0
    differing: int = 0
    duplicates: int = 0
    refused: int = 0
    dead_letters: int = 0
    labels: int = 0
    known_fraud_hits: int = 0
    lateness_ms: list[int] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)
    predicted: dict[Identity, Prediction] = field(default_factory=dict)

    def differs(self, what: str, expected: object, actual: object) -> None:
        """Count a difference, and keep the first few."""
        if expected != actual:
            self.differing += 1
            if len(self.examples) < EXAMPLES_MAX:
                self.examples.append(f"{what}: expected {expected}, found {actual}")

    def figures(self) -> dict[str, Any]:
        """Return the counts and the lateness of the merchant stage's events, in event time."""
        late = sorted(self.lateness_ms) or [0]
        kept = ("transactions", "decisions", "predictions", "lost", "repeated", "differing", "duplicates", "refused")
        return {name: getattr(self, name) for name in (*kept, "dead_letters", "labels", "known_fraud_hits")} | {
            "merchant_lateness_ms": {
                "median": late[len(late) // 2],
                "p99": late[int(len(late) * 0.99)],
                "max": late[-1],
            },
            "examples": self.examples,
        }


def audit(settings: Settings) -> Audit:
    """Compare everything in the topics with what they must hold."""
    found = Audit()
    records = {
        topic: read_topic(settings.kafka_bootstrap, settings.topic_prefix + topic.name)
        for topic in (TRANSACTIONS, LABELS, PROFILED, PREDICTIONS, DECISIONS)
    }
    profiled = [
        (message.partition(), message.offset(), _decoded(Profiled, message.value())) for message in records[PROFILED]
    ]
    expected_ids = _card_stage(settings, records[TRANSACTIONS], records[LABELS], profiled, found)
    predictions = [(message.partition(), _decoded(Prediction, message.value())) for message in records[PREDICTIONS]]
    decisions = [_decoded(Decision, message.value()) for message in records[DECISIONS]]
    _merchant_stage(profiled, predictions, found)
    _answers(expected_ids, predictions, decisions, found)
    found.dead_letters = len(read_topic(settings.kafka_bootstrap, settings.topic_prefix + DEAD_LETTERS.name))
    return found


def _card_stage(  # noqa: C901 - the fold reads top to bottom
    settings: Settings,
    transactions: Iterable[Any],
    labels: Iterable[Any],
    profiled: list[tuple[int, int, Profiled]],
    found: Audit,
) -> set[Identity]:
    card_stage = stages_of(settings)[0]
    by_origin: dict[tuple[str, int, int], Profiled | None] = {}
    for _, _, each in profiled:
        topic = TRANSACTIONS.name if each.transaction else LABELS.name
        origin = (topic, *each.positions[topic])
        found.repeated += origin in by_origin
        by_origin[origin] = each
    cards: defaultdict[str, Remembered] = defaultdict(Remembered)
    labels_of: defaultdict[int, list[Any]] = defaultdict(list)
    for message in labels:
        labels_of[message.partition()].append(message)
    expected_ids: set[Identity] = set()

    def apply_labels(partition: int, before: int) -> None:
        waiting = labels_of[partition]
        while waiting and waiting[0].offset() < before:
            message = waiting.pop(0)
            event = card_stage.read(_record(LABELS.name, message))
            if isinstance(event, Refusal):
                found.refused += 1
                continue
            label = event.message
            assert isinstance(label, Label)
            is_news = cards[label.card].report(label)
            found.labels += is_news
            passed_on = by_origin.pop((LABELS.name, partition, message.offset()), None)
            found.differs(f"label {label.transaction_id}", label if is_news else None, passed_on and passed_on.label)

    for message in transactions:
        partition, offset = message.partition(), message.offset()
        event = card_stage.read(_record(TRANSACTIONS.name, message))
        if isinstance(event, Refusal):
            found.refused += 1
            continue
        transaction = event.message
        assert isinstance(transaction, Transaction)
        record = by_origin.pop((TRANSACTIONS.name, partition, offset), None)
        if record:
            apply_labels(partition, record.positions[LABELS.name][1])
        card = cards[transaction.card]
        if card.knows(transaction.transaction_id):
            found.duplicates += 1
            found.differs(f"repeat of {transaction.transaction_id}", None, record)
            continue
        expected_ids.add((transaction.card, transaction.transaction_id))
        features = card.features("card", transaction.event_time_ms, transaction.amount_minor)
        late_ms = card.pay(transaction.event_time_ms, transaction.amount_minor, transaction.transaction_id)
        if record:
            found.differs(
                f"card features of {transaction.transaction_id}",
                (transaction, features, late_ms),
                (record.transaction, record.features, record.late_ms),
            )
    for partition in list(labels_of):
        apply_labels(partition, 2**62)
    found.differs("profiled records of nothing", 0, len(by_origin))
    found.transactions = len(expected_ids)
    return expected_ids


def _merchant_stage(
    profiled: list[tuple[int, int, Profiled]], predictions: list[tuple[int, Prediction]], found: Audit
) -> None:
    by_origin: dict[tuple[int, int], list[Prediction]] = defaultdict(list)
    for partition, prediction in predictions:
        found.differs("partition of a prediction", prediction.positions[PROFILED.name][0], partition)
        by_origin[prediction.positions[PROFILED.name]].append(prediction)
    merchants: defaultdict[str, Remembered] = defaultdict(Remembered)
    newest_ms: Counter[int] = Counter()
    for partition, offset, record in profiled:
        if record.label:
            merchants[record.label.merchant].report(record.label)
            continue
        transaction = record.transaction
        assert transaction is not None
        time_ms = transaction.event_time_ms
        newest_ms[partition] = max(newest_ms[partition], time_ms)
        found.lateness_ms.append(newest_ms[partition] - time_ms)
        merchant = merchants[transaction.merchant]
        features = record.features | merchant.features("merchant", time_ms, transaction.amount_minor)
        late_ms = merchant.pay(time_ms, transaction.amount_minor, f"{transaction.card}|{transaction.transaction_id}")
        positions = record.positions | {PROFILED.name: (partition, offset)}
        for prediction in by_origin.pop((partition, offset), []):
            found.differs(
                f"prediction of {transaction.transaction_id}",
                (transaction, features, late_ms, positions, _action(features)),
                (
                    prediction.transaction,
                    prediction.features,
                    prediction.late_ms,
                    prediction.positions,
                    prediction.action,
                ),
            )
            found.known_fraud_hits += bool(features["card_known_frauds_30d"] or features["merchant_known_frauds_30d"])
    found.differs("predictions of nothing", 0, len(by_origin))


def _action(features: Mapping[str, float]) -> str:
    if features["card_known_frauds_30d"] >= 1:
        return "block"
    if features["merchant_known_frauds_7d"] >= 2 or features["card_count_1h"] >= 10:
        return "review"
    return "approve"


def _answers(
    expected_ids: set[Identity],
    predictions: list[tuple[int, Prediction]],
    decisions: list[Decision],
    found: Audit,
) -> None:
    """Each transaction has one prediction and one decision, and they say the same."""
    found.predictions = len(predictions)
    for _, prediction in predictions:
        identity = (prediction.transaction.card, prediction.transaction.transaction_id)
        found.repeated += identity in found.predicted
        found.predicted[identity] = prediction
    decided: dict[Identity, Decision] = {}
    for decision in decisions:
        if decision.action == "invalid":
            continue
        identity = (decision.card or "", decision.transaction_id)
        found.repeated += identity in decided
        decided[identity] = decision
    found.decisions = len(decided)
    found.lost = len(expected_ids - decided.keys()) + len(expected_ids - found.predicted.keys())
    found.differs("answers to nothing", set(), decided.keys() - expected_ids)
    for identity in decided.keys() & found.predicted.keys():
        decision, prediction = decided[identity], found.predicted[identity]
        found.differs(
            f"decision of {identity}",
            (prediction.action, prediction.reasons, prediction.policy_version, prediction.mode),
            (decision.action, decision.reasons, decision.policy_version, decision.mode),
        )


def _decoded(kind: Any, value: bytes) -> Any:
    message = decode(kind, value)
    assert not isinstance(message, DecodeFailure), message
    return message


def _record(topic: str, message: Any) -> Record:
    headers = tuple(message.headers() or ())
    timestamp_ms = message.timestamp()[1]
    return Record(topic, message.partition(), message.offset(), timestamp_ms, message.key(), message.value(), headers)
