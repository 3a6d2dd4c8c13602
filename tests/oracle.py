"""What the topics must hold, worked out anew from the topics alone, by the simplest code that could be right.

The card stage is folded from transactions and labels (labels before a transaction as its profiled record says), the
merchant stage from the profiled partitions in their order. Features are scans over plain lists
(`tests/oracle_features.py`), answers follow from the documents that a prediction names (`tests/oracle_decisions.py`):
nothing is shared with the windows, the state or the tasks of the detector. Every record, feature and answer is
compared.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from schemas.codec import DecodeFailure, decode
from schemas.decision import Decision, Prediction, Profiled
from schemas.label import Label
from schemas.settings import Settings
from schemas.topics import DEAD_LETTERS, DECISIONS, LABELS, LABELS_WAITING, PREDICTIONS, PROFILED, TRANSACTIONS
from schemas.transaction import Transaction
from streams.app import stages_of
from streams.detector.decide import InForce
from streams.detector.stage import Record, Refusal
from streams.documents import shipped_policy, shipped_rates
from tests.all_topics import Topics, read_all
from tests.oracle_decisions import Documents, documents_of
from tests.oracle_features import Entity, differences, exact_base_amount, is_rounded, payment_features

EXAMPLES_MAX = 5

Identity = tuple[str, str]


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
    modes: Counter[str] = field(default_factory=Counter)
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
            "modes": dict(self.modes),
            "merchant_lateness_ms": {
                "median": late[len(late) // 2],
                "p99": late[int(len(late) * 0.99)],
                "max": late[-1],
            },
            "examples": self.examples,
        }


def audit(settings: Settings, topics: Topics | None = None) -> Audit:
    """Compare everything in the topics, read now where they are not given, with what they must hold."""
    found, records = Audit(), topics or read_all(settings)
    documents = documents_of(records)
    profiled = [
        (message.partition(), message.offset(), _decoded(Profiled, message.value())) for message in records[PROFILED]
    ]
    cards = _CardStage(settings, profiled, documents, found)
    cards.fold(records[TRANSACTIONS], records[LABELS])
    predictions = [(message.partition(), _decoded(Prediction, message.value())) for message in records[PREDICTIONS]]
    decisions = [_decoded(Decision, message.value()) for message in records[DECISIONS]]
    _merchant_stage(profiled, predictions, documents, found)
    _answers(cards.expected_ids, predictions, decisions, found)
    _waiting(cards.accepted, records[LABELS_WAITING], found)
    found.dead_letters = len(records[DEAD_LETTERS])
    return found


class _CardStage:
    """The fold over the card stage's inputs."""

    def __init__(
        self, settings: Settings, profiled: list[tuple[int, int, Profiled]], documents: Documents, found: Audit
    ) -> None:
        self.expected_ids: set[Identity] = set()
        self.accepted: list[Label] = []
        self._stage = stages_of(settings, ["card"], InForce(shipped_policy(), shipped_rates()))[0]
        self._documents = documents
        self._found = found
        self._cards: defaultdict[str, Entity] = defaultdict(partial(Entity, "card"))
        self._labels_of: defaultdict[int, list[Any]] = defaultdict(list)
        self._by_origin: dict[tuple[str, int, int], Profiled | None] = {}
        for _, _, each in profiled:
            topic = TRANSACTIONS.name if each.transaction else LABELS.name
            origin = (topic, *each.positions[topic])
            found.repeated += origin in self._by_origin
            self._by_origin[origin] = each

    def fold(self, transactions: Iterable[Any], labels: Iterable[Any]) -> None:
        """Go through all of them; each partition's labels as its profiled records say."""
        for message in labels:
            self._labels_of[message.partition()].append(message)
        for message in transactions:
            self._pay(message)
        for partition in list(self._labels_of):
            self._apply_labels(partition, 2**62)
        self._found.differs("profiled records of nothing", 0, len(self._by_origin))
        self._found.transactions = len(self.expected_ids)

    def _apply_labels(self, partition: int, before: int) -> None:
        found, waiting = self._found, self._labels_of[partition]
        while waiting and waiting[0].offset() < before:
            message = waiting.pop(0)
            event = self._stage.read(_record(LABELS.name, message))
            if isinstance(event, Refusal):
                found.refused += 1
                continue
            label = event.message
            assert isinstance(label, Label)
            is_news = self._cards[label.card].report(label)
            found.labels += is_news
            self.accepted += [label] * is_news
            passed_on = self._by_origin.pop((LABELS.name, partition, message.offset()), None)
            found.differs(f"label {label.transaction_id}", label if is_news else None, passed_on and passed_on.label)

    def _pay(self, message: Any) -> None:
        found, partition = self._found, message.partition()
        event = self._stage.read(_record(TRANSACTIONS.name, message))
        if isinstance(event, Refusal):
            found.refused += 1
            return
        transaction = event.message
        assert isinstance(transaction, Transaction)
        record = self._by_origin.pop((TRANSACTIONS.name, partition, message.offset()), None)
        if record:
            self._apply_labels(partition, record.positions[LABELS.name][1])
        card, name = self._cards[transaction.card], transaction.transaction_id
        if card.knows(name):
            found.duplicates += 1
            found.differs(f"repeat of {name}", None, record)
            return
        self.expected_ids.add((transaction.card, name))
        rates = self._documents.rates.get(record.rates_version if record else shipped_rates().version)
        exact = exact_base_amount(transaction, rates) if rates else None
        amount = None if exact is None else round(exact)
        if record:
            told = record.features.get("payment_amount_minor")
            found.differs(
                f"amount of {name}: rounded {exact}", (True, True), (rates is not None, is_rounded(exact, told))
            )
            amount = None if told is None else int(told)
        loose, features = card.loose, payment_features(transaction, amount) | card.features(transaction, amount)
        late_ms = card.pay(transaction, amount)
        if record:
            found.differs(f"card features of {name}", {}, differences(features, record.features, loose))
            found.differs(f"card record of {name}", (transaction, late_ms), (record.transaction, record.late_ms))


def _merchant_stage(
    profiled: list[tuple[int, int, Profiled]],
    predictions: list[tuple[int, Prediction]],
    documents: Documents,
    found: Audit,
) -> None:
    by_origin: dict[tuple[int, int], list[Prediction]] = defaultdict(list)
    for partition, prediction in predictions:
        found.differs("partition of a prediction", prediction.positions[PROFILED.name][0], partition)
        by_origin[prediction.positions[PROFILED.name]].append(prediction)
    merchants: defaultdict[str, Entity] = defaultdict(partial(Entity, "merchant"))
    newest_ms: Counter[int] = Counter()
    for partition, offset, record in profiled:
        if record.label:
            merchants[record.label.merchant].report(record.label)
            continue
        transaction = record.transaction
        assert transaction is not None
        time_ms, name = transaction.event_time_ms, transaction.transaction_id
        newest_ms[partition] = max(newest_ms[partition], time_ms)
        found.lateness_ms.append(newest_ms[partition] - time_ms)
        merchant, told = merchants[transaction.merchant], record.features.get("payment_amount_minor")
        amount = None if told is None else int(told)
        loose, features = merchant.loose, record.features | merchant.features(transaction, amount)
        expected = (transaction, merchant.pay(transaction, amount), record.rates_version)
        positions = record.positions | {PROFILED.name: (partition, offset)}
        for each in by_origin.pop((partition, offset), []):
            actual = (each.transaction, each.late_ms, each.rates_version, each.positions)
            found.differs(f"prediction of {name}", (*expected, positions), actual)
            found.differs(f"features of {name}", {}, differences(features, each.features, loose))
            for what, right, wrong in documents.differences(each):
                found.differs(f"{what} of {name}", right, wrong)
            found.modes[each.mode] += 1
            found.known_fraud_hits += bool(features["card_known_frauds_30d"] or features["merchant_known_frauds_30d"])
    found.differs("predictions of nothing", 0, len(by_origin))


def _waiting(accepted: Iterable[Label], waiting: Iterable[Any], found: Audit) -> None:
    """Each accepted label begins to wait once. A record with a header `attempt` is one that waits again."""
    begun = Counter(_decoded(Label, message.value()) for message in first_appearances(waiting))
    expected = Counter(accepted)
    found.differs("labels that do not wait", Counter(), expected - begun)
    found.differs("labels that wait though they were not accepted, or again", Counter(), begun - expected)


def first_appearances(waiting: Iterable[Any]) -> list[Any]:
    """Return the records of labels that waited for the first time."""
    return [message for message in waiting if "attempt" not in dict(message.headers() or ())]


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
        found.differs(f"decision of {identity}", _said(found.predicted[identity]), _said(decided[identity]))


def _said(answer: Prediction | Decision) -> tuple[object, ...]:
    versions = (answer.policy_version, answer.model_version)
    return answer.action, answer.mode, answer.score, answer.probability, answer.reasons, *versions


def _decoded(kind: Any, value: bytes) -> Any:
    message = decode(kind, value)
    assert not isinstance(message, DecodeFailure), message
    return message


def _record(topic: str, message: Any) -> Record:
    headers = tuple(message.headers() or ())
    timestamp_ms = message.timestamp()[1]
    return Record(topic, message.partition(), message.offset(), timestamp_ms, message.key(), message.value(), headers)
