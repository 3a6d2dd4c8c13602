"""The passes of a recomputation: the order, the card tasks, then merchant tasks and models until they agree. Pure."""

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.fields import Features
from schemas.label import EffectiveLabel
from schemas.topics import DEAD_LETTERS, DECISIONS, LABELS, LABELS_WAITING, PREDICTIONS, PROFILED
from streams.detector.learning_stage import LearningStage
from streams.detector.stage import EntityStage, Output, Record
from streams.recompute.card import CardPlay, LabelName
from streams.recompute.compare import LISTED_MAX, Found, Scope, Subject
from streams.recompute.documents import Documents
from streams.recompute.logs import ZERO, Logs, Position, Starts, check_beginnings, position_of
from streams.recompute.merchant import MerchantPlay
from streams.recompute.models import Training, remake, same_models
from streams.recompute.order import Order, order_of
from streams.recompute.rare import Answer, Letter, Rare
from streams.recompute.replay import Place, Play

Tasks = dict[tuple[str, int], Position]
"""Stage and partition -> up to where it is played."""


class Stages(NamedTuple):
    """The production stages."""

    card: EntityStage
    merchant: EntityStage
    learning: LearningStage


@dataclass(frozen=True)
class Asked:
    """What is to be recomputed, and from where.

    `kept_one_in` as in the settings; `listed_max` differences are listed, all are counted.
    """

    scope: Scope = field(default_factory=Scope)
    starts: Starts = field(default_factory=dict)
    kept_one_in: int = 3
    listed_max: int = LISTED_MAX
    counted: bool = True


class NothingFoundError(Exception):
    """There is no decision on the transaction that was asked for."""


@dataclass
class Recomputation:
    """One run. `run` once."""

    logs: Logs
    stages: Stages
    documents: Documents
    asked: Asked
    say: Callable[[str], None] = lambda _line: None
    _ends: dict[tuple[str, int], int] = field(default_factory=dict)
    _tasks: Tasks = field(default_factory=dict)
    _versions: frozenset[str] | None = None
    _changed: dict[Place, Output | None] = field(default_factory=dict)
    _labels: dict[LabelName, EffectiveLabel | None] = field(default_factory=dict)

    def run(self) -> Found:
        """Recompute and compare.

        Raises
        ------
        DeletedError
            Something that has to be read is not there any more.
        NothingFoundError
            The one transaction that was asked for was never decided.
        """
        self._look()
        for name, partition in self._tasks:
            stage = self.stages.card if name == self.stages.card.name else self.stages.merchant
            check_beginnings(self.logs, stage, partition, self.asked.starts.get((name, partition), ZERO).position)
        names = tuple(stage.name for stage in self.stages)
        rare = Rare.of(self.logs, names)
        found = self._found()
        self._play_cards(rare, found)
        features: dict[Place, Features | None] = {}
        while True:
            # What is learned depends on features, and features on no model: the second time they agree.
            judged, left = self._found(), rare.again()
            features = self._play_merchants(left, judged)
            learning, kept = self.stages.learning, self.asked.kept_one_in
            training = Training(self.logs, learning, self._labels, features, kept)
            self.say("models")
            remade = remake(self.logs, training, left, judged, self._versions, is_believed=self.documents.is_believed)
            if same_models(remade, self.documents.remade):
                break
            self.documents.remade = remade
        self._left(left, judged)
        found.add(judged)
        return found

    def _found(self) -> Found:
        return Found(self.asked.scope, self.asked.listed_max)

    def _look(self) -> None:
        """Note where everything stands: first the ends of outputs, then who reads, last who writes what they read."""
        for topic in (DECISIONS, LABELS_WAITING):
            for partition in range(self.logs.partitions(topic)):
                self._ends[topic.name, partition] = self.logs.stable(topic, partition)
        for stage in (self.stages.merchant, self.stages.card):
            for partition in range(self.logs.partitions(stage.inputs[0])):
                self._tasks[stage.name, partition] = position_of(self.logs, stage, partition)
        if self.asked.scope.transaction_id is not None:
            self._narrow(self.asked.scope.transaction_id)

    def _narrow(self, transaction_id: str) -> None:
        """Leave the tasks that one transaction went through, up to it."""
        named = f'"transaction_id":"{transaction_id}"'.encode()
        until: defaultdict[tuple[str, int], dict[str, int]] = defaultdict(dict)
        versions = set()
        for partition in range(self.logs.partitions(PREDICTIONS)):
            for record in self.logs.read(PREDICTIONS, partition):
                if named in (record.value or b""):
                    prediction = json.loads(record.value or b"{}")
                    versions.add(prediction.get("model_version", ""))
                    for topic, (number, offset) in prediction["positions"].items():
                        stage = self.stages.merchant if topic == PROFILED.name else self.stages.card
                        end = offset if topic == LABELS.name else offset + 1
                        ends = until[stage.name, number]
                        ends[topic] = max(ends.get(topic, 0), end)
        tasks = {task: Position(ends) for task, ends in until.items()}
        self._versions = frozenset(versions - {""})
        for partition in range(self.logs.partitions(DECISIONS)) if not tasks else ():
            if any(named in (record.value or b"") for record in self.logs.read(DECISIONS, partition)):
                tasks |= {task: at for task, at in self._tasks.items() if task[1] == partition}
        if not tasks:
            raise NothingFoundError(f"no decision was made on {transaction_id}")
        self._tasks = tasks
        # What else these tasks wrote later is not asked for.
        self._ends = dict.fromkeys(self._ends, 0)

    def _plays(self, stage: EntityStage, rare: Rare, found: Found) -> list[Play]:
        return [
            Play(
                self.logs,
                stage,
                partition,
                self.asked.starts.get((name, partition), ZERO),
                until,
                self.documents,
                rare,
                found,
                lambda topic, number: self._ends[topic, number],
            )
            for (name, partition), until in sorted(self._tasks.items(), key=lambda task: task[0])
            if name == stage.name
        ]

    @property
    def _counted(self) -> bool:
        return self.asked.counted and self.asked.scope.transaction_id is None

    def _play_cards(self, rare: Rare, found: Found) -> None:
        self.say("order")
        order: Order = order_of(self.logs, self.asked.starts, self.stages.card.name, self.stages.merchant.name)
        for play in self._plays(self.stages.card, rare, found):
            self.say(f"card {play.partition}")
            card = CardPlay(play, order)
            card.run(counted=self._counted)
            self._changed |= card.changed
            self._labels |= card.labels

    def _play_merchants(self, rare: Rare, found: Found) -> dict[Place, Features | None]:
        features: dict[Place, Features | None] = {}
        for play in self._plays(self.stages.merchant, rare, found):
            self.say(f"merchant {play.partition}")
            merchant = MerchantPlay(play, self._changed)
            merchant.run(counted=self._counted)
            features |= merchant.features
        return features

    def _left(self, rare: Rare, found: Found) -> None:
        """Report dead letters and answers of the played tasks that nothing was made of."""
        for name, record in rare.left():
            if isinstance(name, Letter):
                until = self._tasks.get((name.stage, name.partition))
                start = self.asked.starts.get((name.stage, name.partition), ZERO).position
                if until and start.next.get(name.topic, 0) <= name.offset < until.next.get(name.topic, 0):
                    found.compare(DEAD_LETTERS.name, Subject(), record, None)
            elif self._is_judged(name, record):
                found.compare(DECISIONS.name, Subject(name.card, name.transaction_id), record, None)

    def _is_judged(self, name: Answer, record: Record) -> bool:
        """Return whether an answer must have been made by what was played: from zero, and before its end."""
        stages = (self.stages.card.name, self.stages.merchant.name)
        played = all((stage, name.partition) in self._tasks for stage in stages)
        from_zero = not any((stage, name.partition) in self.asked.starts for stage in stages)
        return played and from_zero and record.offset < self._ends[DECISIONS.name, name.partition]
