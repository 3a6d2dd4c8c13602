"""What the logs must hold in the end: what one process says that reads the same records in the same order, once.

The order of a card task is read from the positions in the profiled records and in the markers of repeats, that of a
merchant task is the order of its partition. The oracle folds the stages over it: no task, no transaction, no state log.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from schemas.codec import decode
from schemas.dead_letter import REPLAYED_FROM
from schemas.decision import Decision, Duplicate, Prediction, Profiled
from schemas.fields import DAY_MS, Message, Positions
from schemas.topics import (
    DEAD_LETTERS,
    DECISIONS,
    DUPLICATES,
    LABELS,
    LABELS_WAITING,
    PREDICTIONS,
    PROFILED,
    TRANSACTIONS,
    Topic,
)
from schemas.transaction import Transaction
from streams.detector.look import Payment
from streams.detector.stage import EntityStage, Event, Output, Record, Step
from streams.detector.state import State
from streams.exactly_once import Task
from tests.simulation.broker import Broker, Stored
from tests.simulation.chance import CALM, Chance
from tests.simulation.task_log import BrokerLog, partition_of
from tests.simulation.workers import Process, Protocol
from tests.simulation.world import fails_at_merchant

Written = tuple[str, int, bytes | None, bytes | None]
"""Topic, partition, key, value."""


class Fold:
    """One task's life as one process without a fault would have led it."""

    def __init__(self, stage: EntityStage, partition: int, partitions: int) -> None:
        self.stage = stage
        self.partition = partition
        self.state = State(stage.kind)
        self.counters: Counter[str] = Counter()
        self.watermark_ms = 0
        self.next: dict[str, int] = {}
        self.written: list[Written] = []
        self.entities: set[str] = set()
        self._partitions = partitions

    def take(self, stored: Stored, topic: Topic, positions: Positions) -> None:
        """Process one record."""
        record = Record(
            topic.name, self.partition, stored.offset, stored.timestamp_ms, stored.key, stored.value, stored.headers
        )
        event = self.stage.read(record)
        step = self._step(event, positions) if isinstance(event, Event) else self.stage.refuse(event)
        self.counters.update(step.counts)
        self.watermark_ms = max(self.watermark_ms, event.event_time_ms)
        self.next[topic.name] = stored.offset + 1
        self.written += [self._written(output) for output in step.outputs]

    def _step(self, event: Event, positions: Positions) -> Step:
        self.entities.add((event.record.key or b"").decode())
        try:
            return self.stage.step(self.state, event, positions)
        except ZeroDivisionError as error:
            return self.stage.fail(event, error)

    def _written(self, output: Output) -> Written:
        number = partition_of(output.key or b"", self._partitions) if output.partition is None else output.partition
        return output.topic.name, number, output.key, output.value


def violations(broker: Broker, stages: tuple[EntityStage, EntityStage], partitions: int) -> list[str]:
    """Return all that is wrong with what a broker holds after the drain."""
    card, merchant = stages
    profiled = {number: broker.partition(PROFILED, number).committed() for number in range(partitions)}
    expected: Counter[Written] = Counter()
    found = []
    for number in range(partitions):
        card_fold = Fold(card, number, partitions)
        found += _fold_card(card_fold, broker, profiled)
        merchant_fold = Fold(merchant, number, partitions)
        for stored in profiled[number]:
            merchant_fold.take(stored, PROFILED, {PROFILED.name: (number, stored.offset)})
        for fold in (card_fold, merchant_fold):
            expected.update(fold.written)
            found += _state_differs(broker, fold)
        decided = [each[1:] for each in merchant_fold.written if each[0] == PREDICTIONS.name]
        committed = broker.partition(PREDICTIONS, number).committed()
        if [(number, stored.key, stored.value) for stored in committed] != decided:
            found.append(f"predictions-{number}: not those of the profiled records, in their order")
    for topic in (PROFILED, LABELS_WAITING, DUPLICATES, DECISIONS, PREDICTIONS, DEAD_LETTERS):
        wanted = Counter({written: count for written, count in expected.items() if written[0] == topic.name})
        written = Counter(
            (topic.name, number, stored.key, stored.value)
            for number in range(partitions)
            for stored in broker.partition(topic, number).committed()
            if topic is not PROFILED or not _is_replayed(stored)
        )
        if written != wanted:
            found.append(f"{topic.name}: {(written - wanted).total()} too many, {(wanted - written).total()} missing")
    return found + _answers(broker, partitions)


def _fold_card(fold: Fold, broker: Broker, profiled: Mapping[int, list[Stored]]) -> list[str]:
    """Fold a card task over its inputs, in the order that its outputs name."""
    order = _path(fold.partition, broker, profiled)
    for before, after in pairwise(order):
        is_label = before[2] == LABELS.name
        if after[0] < before[0] + is_label or after[1] < before[1] + (not is_label):
            return [f"card task {fold.partition}: {before} and {after} cannot both be true"]
    waiting = {
        topic.name: iter(broker.partition(topic, fold.partition).committed()) for topic in (LABELS, TRANSACTIONS)
    }
    last = {LABELS.name: -1, TRANSACTIONS.name: -1}
    for labels, payments, name in order:
        own = labels if name == LABELS.name else payments
        positions = {LABELS.name: (fold.partition, labels), TRANSACTIONS.name: (fold.partition, payments)}
        while last[name] < own:
            last[name] = _take_next(fold, waiting[name], name, positions)
    for name, records in waiting.items():
        while _take_next(fold, records, name, {}) >= 0:
            pass
    return []


def _path(partition: int, broker: Broker, profiled: Mapping[int, list[Stored]]) -> list[tuple[int, int, str]]:
    """Return where a card task stood in labels and payments at each record that says so, and what it took there."""
    order: list[tuple[int, int, str]] = []
    for stored in (each for records in profiled.values() for each in records):
        if _is_replayed(stored):
            continue
        message = decode(Profiled, stored.value)
        assert isinstance(message, Profiled)
        label, payment = message.positions[LABELS.name], message.positions[TRANSACTIONS.name]
        if payment[0] == partition:
            order.append((label[1], payment[1], LABELS.name if message.label else TRANSACTIONS.name))
    for stored in broker.partition(DUPLICATES, partition).committed():
        duplicate = decode(Duplicate, stored.value)
        assert isinstance(duplicate, Duplicate)
        positions = duplicate.positions
        order.append((positions[LABELS.name][1], positions[TRANSACTIONS.name][1], TRANSACTIONS.name))
    return sorted(order, key=lambda place: (place[0] + place[1], place))


def _take_next(fold: Fold, records: Iterator[Stored], name: str, positions: Positions) -> int:
    stored = next(records, None)
    if stored is None:
        return -1
    own: Positions = {**positions, name: (fold.partition, stored.offset)}
    fold.take(stored, LABELS if name == LABELS.name else TRANSACTIONS, own)
    return stored.offset


def _state_differs(broker: Broker, fold: Fold) -> list[str]:
    """Open the task once more and compare everything it restored with the fold."""
    chance = Chance(0)
    chance.rates = CALM
    process = Process(broker, chance, Protocol(), 1)
    state = broker.partition(fold.stage.state_log, fold.partition)
    task = Task(
        fold.stage,
        fold.partition,
        BrokerLog(broker, chance, process, f"sim-{fold.stage.name}-{fold.partition}", state, 1),
    )
    positions = task.open()
    name = f"{fold.stage.name} task {fold.partition}"
    found = []
    if positions != fold.next:
        found.append(f"{name}: positions {positions}, not {fold.next}")
    if task.counters != fold.counters:
        found.append(f"{name}: counters {dict(task.counters)}, not {dict(fold.counters)}")
    if task.watermark_ms != fold.watermark_ms:
        found.append(f"{name}: watermark {task.watermark_ms}, not {fold.watermark_ms}")
    for entity in sorted(fold.entities):
        for behind_ms in (-20 * DAY_MS, 0, 2 * DAY_MS):
            at_ms = max(fold.watermark_ms, DAY_MS * 18_000) - behind_ms
            features = [side.profile(entity).pay(_probe(at_ms)).features for side in (task._state, fold.state)]
            if features[0] != features[1]:
                found.append(f"{name}: features of {entity} differ: {features}")
                break
    return found


def _probe(at_ms: int) -> Payment:
    fields = {"transaction_id": "probe", "card": "card_a", "merchant": "mer_x", "amount_minor": 1, "currency": "EUR"}
    return Payment(Transaction.model_validate({**fields, "event_time_ms": at_ms}), 1, "probe", "mer_x")


def _answers(broker: Broker, partitions: int) -> list[str]:
    """Each transaction that both stages accepted has one prediction, whatever the folds say.

    And one decision, where it is not history.
    """
    decisions, predictions, records = (
        [
            (_decoded(kind, stored), stored)
            for number in range(partitions)
            for stored in broker.partition(topic, number).committed()
        ]
        for kind, topic in ((Decision, DECISIONS), (Prediction, PREDICTIONS), (Profiled, PROFILED))
    )
    decided = Counter((each.card or "", each.transaction_id) for each, _ in decisions if each.mode != "fallback")
    predicted = Counter(_identity(each.transaction) for each, _ in predictions)
    accepted = [each for each, stored in records if each.transaction and not fails_at_merchant(each, stored.headers)]
    profiled = Counter(_identity(each.transaction) for each in accepted)
    history = {_identity(each.transaction) for each in accepted if each.mode}
    found = []
    for name, counted, expected in (
        ("decisions", decided, profiled.keys() - history),
        ("predictions", predicted, profiled.keys()),
        ("profiled", profiled, profiled.keys()),
    ):
        repeated = {identity: count for identity, count in counted.items() if count > 1}
        if repeated:
            found.append(f"{name}: more than one for {repeated}")
        if counted.keys() != expected:
            found.append(f"{name}: not of the transactions that were accepted")
    return found


def _decoded(kind: type[Message], stored: Stored) -> Any:
    message = decode(kind, stored.value)
    assert isinstance(message, kind), message
    return message


def _identity(transaction: Transaction) -> tuple[str, str]:
    return transaction.card, transaction.transaction_id


def _is_replayed(stored: Stored) -> bool:
    return REPLAYED_FROM in dict(stored.headers)
