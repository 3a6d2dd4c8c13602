"""Models beside the champion: one row each, made alike, learning from the same training log, deciding nothing.

Those of the champion's own kind leave snapshots that the deciders can load, so they can be promoted. Others are
River's, or anything with `learn_one` and `predict_proba_one`, over the features' places on their grids, from 0 to 1.
Such a one takes no weights: it learns an example as often as it weighs.
"""

from collections.abc import Callable, Mapping, Sequence
from math import log
from typing import Any, NamedTuple, Protocol

from river import anomaly, forest

from schemas.learning import ModelVersion
from streams.detector.encode import ENCODER, AnyCells
from streams.detector.learner import Kind, Learner
from streams.detector.regression import Steps
from streams.detector.scorer import Scorer

LEAST = 1e-9
"""Probabilities nearer to 0 or 1 are taken for this: log-odds are finite."""


class Challenger(Protocol):
    """One model in the shadow. Payments come as the cells that their features fall in, one of each feature."""

    records: int

    def log_odds(self, cells: Sequence[int]) -> float:
        """Return the log-odds of fraud that it gives a payment."""

    def learn(self, cells: Sequence[int], *, is_fraud: bool, weight: float) -> None:
        """Learn a labelled payment."""

    def see(self, cells: Sequence[int]) -> None:
        """Learn a payment of which nothing is known, after it was scored."""

    def snapshot(self, training_offset: int) -> ModelVersion | None:
        """Return what it has learned as the deciders can load it; None where they cannot."""


class OfOurKind:
    """A challenger of the champion's kind: it scores by what it knew at its last snapshot, as the champion does."""

    def __init__(self, kind: Kind, snapshot_records: int) -> None:
        self._learner = Learner(ENCODER, kind)
        self._snapshot_records = snapshot_records
        self._scorer: Scorer | None = None
        self.records = 0

    def log_odds(self, cells: AnyCells) -> float:
        """Return the log-odds of fraud, 0 before the first snapshot."""
        return self._scorer.log_odds(cells) if self._scorer else 0.0

    def learn(self, cells: Sequence[int], *, is_fraud: bool, weight: float) -> None:
        """Learn a labelled payment."""
        self._learner.learn_cells(cells, is_fraud=is_fraud, weight=weight)
        self.records += 1
        if self.records % self._snapshot_records == 0:
            self._scorer = self._learner.scorer()

    def see(self, cells: Sequence[int]) -> None:
        """Learn nothing: what is not labelled teaches it nothing."""

    def snapshot(self, training_offset: int) -> ModelVersion:
        """Return a snapshot under a name that begins with the challenger's."""
        return self._learner.snapshot(training_offset)


class Anomalies:
    """How unusual a payment is, for a start without labels. Its number is a rank and no probability."""

    def __init__(self) -> None:
        self._trees = anomaly.HalfSpaceTrees(n_trees=10, height=8, window_size=250, seed=1)
        self.records = 0  # whose labels it has learned

    def log_odds(self, cells: Sequence[int]) -> float:
        """Return the anomaly score as if it were a probability; the same for all in the first 250 payments."""
        return _log_odds(self._trees.score_one(places(cells)))

    def learn(self, cells: Sequence[int], *, is_fraud: bool, weight: float) -> None:
        """Learn nothing: a label says nothing of what is usual."""

    def see(self, cells: Sequence[int]) -> None:
        """Learn what is usual."""
        self._trees.learn_one(places(cells))

    def snapshot(self, training_offset: int) -> None:
        """Return nothing: the deciders cannot load it."""


class OfAnyKind:
    """Whatever learns one example at a time, and says a probability: `learn_one`, `predict_proba_one`."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.records = 0

    def log_odds(self, cells: Sequence[int]) -> float:
        """Return the log-odds of what the model says of fraud, 0 where it says nothing yet."""
        said = self._model.predict_proba_one(places(cells))
        return _log_odds(float(said.get(True, 0.0))) if said else 0.0

    def learn(self, cells: Sequence[int], *, is_fraud: bool, weight: float) -> None:
        """Learn a labelled payment as often as it weighs."""
        example = places(cells)
        for _ in range(max(1, round(weight))):
            self._model.learn_one(example, is_fraud)
        self.records += 1

    def see(self, cells: Sequence[int]) -> None:
        """Learn nothing."""

    def snapshot(self, training_offset: int) -> None:
        """Return nothing: the deciders cannot load it."""


def _log_odds(probability: float) -> float:
    held = min(max(probability, LEAST), 1 - LEAST)
    return log(held / (1 - held))


def _spans() -> list[tuple[str, int, int]]:
    """Return each feature's name, its first cell and how many cells follow it."""
    owners = ENCODER.owners
    return [(name, owners.index(at), owners.count(at) - 1) for at, name in enumerate(ENCODER.features)]


SPANS = _spans()


def places(cells: Sequence[int]) -> dict[str, float]:
    """Return where on its grid each feature lies, from 0 (missing) to 1 (its last cell).

    >>> there = places(ENCODER.encode({"payment_merchant_abroad": 1}))
    >>> there["payment_merchant_abroad"], there["card_pace"]
    (1.0, 0.0)
    """
    return {name: (cell - first) / after for (name, first, after), cell in zip(SPANS, cells, strict=True)}


class Row(NamedTuple):
    """A model that may run in the shadow: what it is, and how it is made.

    `make` takes after how many records a model of the champion's kind scores by what it has learned.
    """

    what: str
    make: Callable[[int], Challenger]
    promotable: bool = False


def _ours(kind: Kind) -> Callable[[int], Challenger]:
    return lambda snapshot_records: OfOurKind(kind, snapshot_records)


TABLE: Mapping[str, Row] = {
    "mixture": Row("what the learner makes, learned again: for comparison", _ours(Kind("mixture")), promotable=True),
    "cells": Row(
        "the linear model over cells alone",
        _ours(Kind("cells", grows=False, share_of_leaves=0.0)),
        promotable=True,
    ),
    "leaves": Row("the trees alone", _ours(Kind("leaves", share_of_leaves=1.0)), promotable=True),
    "adaptive": Row(
        "the mixture with larger steps that shrink more slowly, and trees grown twice as often",
        _ours(Kind("adaptive", Steps(0.1, power=0.2), Steps(0.03, power=0.4), growth=0.125)),
        promotable=True,
    ),
    "anomaly": Row("how unusual a payment is: half-space trees, which need no labels", lambda _: Anomalies()),
    "forest": Row(
        "adaptive random forest, three trees of bounded depth: dear",
        lambda _: OfAnyKind(forest.ARFClassifier(n_models=3, max_depth=8, max_size=8.0, seed=1)),
    ),
}
"""By name. What else there is, is named in the settings by a line of its own."""
