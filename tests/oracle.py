"""What the topics must hold, worked out anew from the topics alone, by the simplest code that could be right.

The card stage is folded from transactions and labels (labels before a transaction as its profiled record says), the
merchant stage from the profiled partitions in their order. Features are scans over plain lists
(`tests/oracle_features.py`), answers follow from the documents that a prediction names (`tests/oracle_decisions.py`):
nothing is shared with the windows, the state or the tasks of the detector. Every record, feature and answer is
compared.

What the detector failed on, by its dead letters, changed nothing and was answered `review`; where it was replayed, the
replayed record is one more of its topic, and is judged as such.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import partial
from typing import Any

from schemas.codec import DecodeFailure, decode
from schemas.decision import Decision, Prediction, Profiled
from schemas.history import is_history
from schemas.label import EffectiveLabel, Label
from schemas.settings import Settings
from schemas.topics import (
    DEAD_LETTERS,
    DEAD_LETTERS_REPLAYED,
    DECISIONS,
    DUPLICATES,
    LABELS,
    LABELS_WAITING,
    PREDICTIONS,
    PROFILED,
    TRANSACTIONS,
)
from schemas.transaction import Transaction
from streams.app import stages_of
from streams.detector.decide import InForce
from streams.detector.stage import Record, Refusal
from streams.documents import shipped_policy, shipped_rates
from tests.all_topics import Topics, read_all
from tests.findings import Audit, Identity
from tests.oracle_dead_letters import (
    Repeat,
    duplicate_differences,
    failed_places,
    replay_differences,
    replayed_from,
)
from tests.oracle_decisions import Documents, documents_of
from tests.oracle_features import Entity, differences, exact_base_amount, is_rounded, payment_features
from tests.oracle_ledger import effective


def audit(settings: Settings, topics: Topics | None = None) -> Audit:
    """Compare everything in the topics, read now where they are not given, with what they must hold."""
    found, records = Audit(), topics or read_all(settings)
    documents = documents_of(records)
    found.dead_letters, found.replayed = len(records[DEAD_LETTERS]), len(records[DEAD_LETTERS_REPLAYED])
    found.failed_at = failed_places(records[DEAD_LETTERS])
    for difference in replay_differences(records):
        found.differs(*difference)
    profiled = [
        (message.partition(), message.offset(), _decoded(Profiled, message.value())) for message in records[PROFILED]
    ]
    written = [
        record for record, message in zip(profiled, records[PROFILED], strict=True) if not replayed_from(message)
    ]
    cards = _CardStage(settings, written, documents, found)
    cards.fold(records[TRANSACTIONS], records[LABELS])
    for difference in duplicate_differences(cards.repeats, records[DUPLICATES]):
        found.differs(*difference)
    predictions = [(message.partition(), _decoded(Prediction, message.value())) for message in records[PREDICTIONS]]
    decisions = [_decoded(Decision, message.value()) for message in records[DECISIONS]]
    profiled_ids, history_ids = _merchant_stage(profiled, predictions, documents, found)
    known = profiled_ids | history_ids | found.failed.keys()
    found.lost = len((cards.expected_ids | cards.history_ids) - known)
    _answers(profiled_ids, history_ids, predictions, decisions, found)
    _waiting(cards.effective, records[LABELS_WAITING], found)
    return found


class _CardStage:
    """The fold over the card stage's inputs."""

    def __init__(
        self, settings: Settings, profiled: list[tuple[int, int, Profiled]], documents: Documents, found: Audit
    ) -> None:
        self.expected_ids: set[Identity] = set()
        self.history_ids: set[Identity] = set()
        self.effective: list[EffectiveLabel] = []
        self.repeats: Counter[Repeat] = Counter()
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
        self._found.history = len(self.history_ids)

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
            failed = (LABELS.name, partition, message.offset()) in found.failed_at
            is_news, change = (False, None) if failed else self._cards[label.card].report(label)
            found.labels += is_news
            to_learn = effective(label, change)
            self.effective += [to_learn] if to_learn else []
            passed_on = self._by_origin.pop((LABELS.name, partition, message.offset()), None)
            told = (passed_on.label, passed_on.change) if passed_on else None
            found.differs(f"label {label.transaction_id}", (label, change) if is_news else None, told)

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
        if (TRANSACTIONS.name, partition, message.offset()) in found.failed_at:
            found.failed[transaction.card, name] += not is_history(event.record.headers)
            found.differs(f"profiled record of {name}, on which the detector failed", None, record)
            return
        if card.knows(name):
            found.duplicates += 1
            self.repeats[transaction.card, name, transaction.event_time_ms, partition, message.offset()] += 1
            found.differs(f"repeat of {name}", None, record)
            return
        mode = "history" if is_history(event.record.headers) else None
        (self.history_ids if mode else self.expected_ids).add((transaction.card, name))
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
            said = (record.transaction, record.late_ms, record.mode)
            found.differs(f"card record of {name}", (transaction, late_ms, mode), said)


def _merchant_stage(
    profiled: list[tuple[int, int, Profiled]],
    predictions: list[tuple[int, Prediction]],
    documents: Documents,
    found: Audit,
) -> tuple[set[Identity], set[Identity]]:
    """Compare the predictions, and return the payments that should have one: those to be answered, and history."""
    expected_ids: set[Identity] = set()
    history_ids: set[Identity] = set()
    by_origin: dict[tuple[int, int], list[Prediction]] = defaultdict(list)
    for partition, prediction in predictions:
        found.differs("partition of a prediction", prediction.positions[PROFILED.name][0], partition)
        by_origin[prediction.positions[PROFILED.name]].append(prediction)
    merchants: defaultdict[str, Entity] = defaultdict(partial(Entity, "merchant"))
    newest_ms: Counter[int] = Counter()
    for partition, offset, record in profiled:
        if (PROFILED.name, partition, offset) in found.failed_at:
            if record.transaction and not record.mode:
                found.failed[record.transaction.card, record.transaction.transaction_id] += 1
            continue
        if record.label:
            if record.change:
                merchants[record.label.merchant].follow(record.label, record.change)
            continue
        transaction = record.transaction
        assert transaction is not None
        time_ms, name = transaction.event_time_ms, transaction.transaction_id
        found.repeated += (transaction.card, name) in history_ids or (transaction.card, name) in expected_ids
        (history_ids if record.mode else expected_ids).add((transaction.card, name))
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
            found.differs(f"history of {name}", record.mode == "history", each.mode == "history")
            found.differs(f"features of {name}", {}, differences(features, each.features, loose))
            for what, right, wrong in documents.differences(each):
                found.differs(f"{what} of {name}", right, wrong)
            found.modes[each.mode] += 1
            found.known_fraud_hits += bool(features["card_known_frauds_30d"] or features["merchant_known_frauds_30d"])
    found.differs("predictions of nothing", 0, len(by_origin))
    return expected_ids, history_ids


def _waiting(effective: Iterable[EffectiveLabel], waiting: Iterable[Any], found: Audit) -> None:
    """Each label that brought about another verdict begins to wait once. One with a header `attempt` waits again."""
    begun = Counter(_decoded(EffectiveLabel, message.value()) for message in first_appearances(waiting))
    expected = Counter(effective)
    found.differs("labels that do not wait", Counter(), expected - begun)
    found.differs("labels that wait though they changed nothing, or again", Counter(), begun - expected)


def first_appearances(waiting: Iterable[Any]) -> list[Any]:
    """Return the records of labels that waited for the first time."""
    return [message for message in waiting if "attempt" not in dict(message.headers() or ())]


def _answers(
    expected_ids: set[Identity],
    history_ids: set[Identity],
    predictions: list[tuple[int, Prediction]],
    decisions: list[Decision],
    found: Audit,
) -> None:
    """Each transaction has one prediction and one decision, and they say the same; what is history has no decision.

    Besides, what the detector failed on was answered each time: that answer holds until there is a decision.
    """
    found.predictions = len(predictions)
    for _, prediction in predictions:
        identity = (prediction.transaction.card, prediction.transaction.transaction_id)
        found.repeated += identity in found.predicted
        found.predicted[identity] = prediction
    decided: dict[Identity, Decision] = {}
    fallbacks: Counter[Identity] = Counter()
    for decision in decisions:
        if decision.action == "invalid":
            continue
        identity = (decision.card or "", decision.transaction_id)
        if decision.mode == "fallback":
            fallbacks[identity] += 1
            continue
        found.repeated += identity in decided
        decided[identity] = decision
    found.decisions = len(decided)
    found.lost += len(expected_ids - decided.keys()) + len((expected_ids | history_ids) - found.predicted.keys())
    found.differs("answers where the detector failed", found.failed, fallbacks)
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
