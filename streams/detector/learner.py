"""The model as it learns: two River models over one log of training records, each record once, in the log's order.

One is a logistic regression over the cells that a payment's features fall in. The other is one over the leaves that it
ends in of a hundred trees. XGBoost grows them from the last records: when the log has become a quarter longer, or as
soon as they lose much more than usual, because something is new. In between the leaves' values are learned on, record
by record. What decides is the mean of both in log-odds, by shares that follow what each has lost. (Leaves of boosted
trees as inputs of an online model: He et al., ADKDD 2014.)

All that is learned is a function of the log up to an offset, so a snapshot can be made again from the log, coefficient
for coefficient.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import river

from schemas.fields import Features
from schemas.learning import ModelVersion, TrainingRecord
from streams.detector import growing
from streams.detector.encode import ENCODER, AnyCells, Encoder
from streams.detector.forest import Forest, Tree, trees_of
from streams.detector.growing import Examples
from streams.detector.guard import Guard, Witness
from streams.detector.losses import Losses
from streams.detector.regression import CellRegression, Steps
from streams.detector.scorer import Scorer, digest_of, scorer_from

CELL_STEPS = Steps(0.07, power=0.3)
LEAF_STEPS = Steps(0.02, power=0.5)
"""Leaves know already, from all that they were grown from: they move a little, and less and less."""

GROWTH_RECORDS_MIN = 500
GROWTH = 0.25
"""Trees are grown anew when so many records more were learned, and so large a part more."""
OUT_OF_DATE_RECORDS_MIN = 2_000
"""Where they are out of date, when so many more were."""
EXAMPLES_MAX = 150_000
FRAUDS_MIN = 30
"""Trees of fewer are guesses."""


class Kind(NamedTuple):
    """A way to learn: what is set before the first record, and not learned.

    `challenger` names whoever is not the champion. `share_of_leaves` is given where it does not follow the losses; a
    kind that does not grow has no trees. `trees` are parameters of XGBoost in place of those in `growing.py`.
    """

    challenger: str | None = None
    cell_steps: Steps = CELL_STEPS
    leaf_steps: Steps = LEAF_STEPS
    growth: float = GROWTH
    grows: bool = True
    share_of_leaves: float | None = None
    trees: tuple[tuple[str, float], ...] = ()


MIXTURE = Kind()
"""What the champion is, as the learner cuts it."""


class Learner:
    """Everything learned so far.

    Where it goes on from a snapshot, `remember` gives back the records that the next trees grow from.

    >>> learner = Learner()
    >>> for _ in range(20):
    ...     learner.learn_example({"card_count_1h": 30}, is_fraud=True)
    ...     learner.learn_example({"card_count_1h": 1}, is_fraud=False)
    >>> again = Learner.of(learner.snapshot(40))
    >>> again.snapshot(40) == learner.snapshot(40), learner.frauds
    (True, 20)
    """

    def __init__(self, encoder: Encoder = ENCODER, kind: Kind = MIXTURE) -> None:
        self._encoder = encoder
        self._kind = kind
        self._cells = CellRegression(encoder.size, kind.cell_steps)
        self._trees: tuple[Tree, ...] = ()
        self._forest: Forest | None = None
        self._leaves = CellRegression(0, kind.leaf_steps)
        self._losses = Losses()
        self._examples = Examples(EXAMPLES_MAX, len(encoder.features))
        self._grown_at_records = 0
        self.guard = Guard()
        self._held_back = deque[int]()
        self.records = 0
        self.frauds = 0
        self.learned_to_ms: int | None = None
        self.parent: str | None = None
        self.rebuilt_at: int | None = None

    def learn(self, record: TrainingRecord) -> None:
        """Learn one record of the log, as far as the guard lets it."""
        self.learn_told(Witness.of(record), self._encoder.cells_of(record.features), record.weight)
        self.learned_to_ms = max(self.learned_to_ms or 0, record.reported_at_ms)

    def learn_told(self, witness: Witness, cells: AnyCells, weight: float) -> None:
        """Learn what somebody says of a payment with these cells, as far as the guard lets it."""
        if weight := self.guard.weigh(witness, weight):
            said = self.learn_cells(cells, is_fraud=witness.is_fraud, weight=weight)
            self.guard.remember(witness, cells, said)
        else:
            # It keeps its place among the last records, so that who reads them again knows which they are.
            self._held_back.append(self.records)
            self._examples.add(cells, is_fraud=witness.is_fraud, weight=0.0)
            self.records += 1
        while self._held_back and self._held_back[0] < self.records - EXAMPLES_MAX:
            self._held_back.popleft()

    def learn_example(self, features: Features, *, is_fraud: bool, weight: float = 1.0) -> None:
        """Learn one example, which stands for as many as it weighs."""
        self.learn_cells(self._encoder.cells_of(features), is_fraud=is_fraud, weight=weight)

    def learn_cells(self, cells: AnyCells, *, is_fraud: bool, weight: float = 1.0) -> float:
        """Learn an example by the cells that its features fall in; return the log-odds that it had before."""
        at = np.asarray(cells, dtype=np.int64)
        said = by_cells = self._cells.learn_cells(self._encoder.parts_of(at), is_fraud=is_fraud, weight=weight)
        if self._forest:
            share = self._share_of_leaves
            leaves = self._forest.leaves(at)
            by_leaves = self._leaves.learn_cells(leaves, is_fraud=is_fraud, weight=weight)
            said = (1 - share) * by_cells + share * by_leaves
            self._losses = self._losses.after(by_cells, by_leaves, is_fraud=is_fraud, weight=weight)
        self._examples.add(at, is_fraud=is_fraud, weight=weight)
        self.records += 1
        self.frauds += is_fraud
        if self._growing_is_due():
            self._grown_at_records = self.records
            if FRAUDS_MIN <= self._examples.frauds < len(self._examples):
                grown = self._examples.grow(self._kind.trees)
                self._take_up(grown.trees, grown.base, grown.seen)
        return said

    @property
    def _share_of_leaves(self) -> float:
        given = self._kind.share_of_leaves
        return self._losses.share_of_leaves if given is None else given

    def _growing_is_due(self) -> bool:
        more = self.records - self._grown_at_records
        if not self._kind.grows:
            return False
        if more >= max(GROWTH_RECORDS_MIN, self._kind.growth * self._grown_at_records):
            return True
        return more >= OUT_OF_DATE_RECORDS_MIN and self._losses.leaves_are_out_of_date

    def _take_up(self, trees: Sequence[Tree], base: float, seen: Sequence[float]) -> None:
        self._trees, self._forest = tuple(trees), Forest(base, trees, self._encoder.owners)
        self._leaves = CellRegression(len(seen), self._kind.leaf_steps)
        self._leaves.intercept = base
        self._leaves.weights = np.array([tree.value[end] for tree in trees for end in tree.ends])
        self._leaves.squares = np.array(seen)

    def remember(self, records: Iterable[TrainingRecord]) -> None:
        """Take back, for the trees that are grown next, records that the snapshot had learned, in the log's order."""
        self._examples = Examples(EXAMPLES_MAX, len(self._encoder.features))
        for record in records:
            cells = self._encoder.cells_of(record.features)
            self._examples.add(cells, is_fraud=record.verdict == "fraud", weight=record.weight)
        for number in self._held_back:
            self._examples.hold_back(self.records - number)

    @property
    def examples_max(self) -> int:
        """How many records trees grow from, at most."""
        return EXAMPLES_MAX

    @property
    def remembers_all(self) -> bool:
        """Whether it has as many of the last records as trees would grow from."""
        return len(self._examples) >= min(EXAMPLES_MAX, self.records)

    def snapshot(self, training_offset: int) -> ModelVersion:
        """Return all of it under a version that only this content has; `training_offset` is the first not learned.

        Offsets are not part of what the version names: the same records in the same order make the same model, wherever
        the markers of transactions lie between them.
        """
        model = ModelVersion(
            version="unnamed",
            challenger=self._kind.challenger,
            parent=self.parent,
            training_offset=0,
            records=self.records,
            frauds=self.frauds,
            learned_to_ms=self.learned_to_ms,
            feature_schema=self._encoder.schema,
            libraries=libraries(),
            state=self._state(),
            digest="",
        )
        name = f"{self._kind.challenger or 'm'}-{self.records}-{digest_of(model)[:12]}"
        named = model.model_copy(
            update={"version": name, "training_offset": training_offset, "rebuilt_at": self.rebuilt_at}
        )
        return named.model_copy(update={"digest": digest_of(named)})

    def scorer(self) -> Scorer:
        """Return what was learned as it would decide, without a name of its own."""
        return scorer_from(self._state(), "unnamed", self.records, self.frauds, self._encoder)

    def _state(self) -> dict[str, Any]:
        leaves = None
        if self._trees:
            values = iter(self._leaves.weights.tolist())
            trees = [tree.saying([next(values) for _ in tree.ends])._asdict() for tree in self._trees]
            leaves = {"intercept": self._leaves.intercept, "trees": trees, "squares": self._leaves.squares.tolist()}
        return {
            "cells": self._cells.state(),
            "leaves": leaves,
            "losses": self._losses._asdict(),
            "share_of_leaves": self._share_of_leaves if leaves else 0.0,
            "grown_at_records": self._grown_at_records,
            "held_back": [*self._held_back],
            "guard": self.guard.state(),
        }

    @classmethod
    def of(cls, model: ModelVersion, encoder: Encoder = ENCODER) -> "Learner":
        """Return the learner that made a snapshot, as it was then, but for what the next trees grow from."""
        learner = cls(encoder)
        learner.records, learner.frauds = model.records, model.frauds
        learner.learned_to_ms, learner.parent = model.learned_to_ms, model.parent
        learner.rebuilt_at = model.rebuilt_at
        learner._cells.restore(model.state["cells"])
        learner._losses = Losses(**model.state["losses"])
        learner._grown_at_records = model.state["grown_at_records"]
        learner.guard.restore(model.state["guard"])
        learner._held_back = deque(model.state["held_back"])
        if leaves := model.state["leaves"]:
            trees = trees_of(leaves["trees"], encoder.cells)
            learner._take_up(trees, leaves["intercept"], leaves["squares"])
        return learner


def libraries() -> dict[str, str]:
    """Return the versions of the packages whose arithmetic a model depends on."""
    return {"numpy": np.__version__, "river": river.__version__, "xgboost": growing.library_version()}
