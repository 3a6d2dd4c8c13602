"""Logistic regression over cells, each of which holds or does not: River's model, at a fraction of its cost.

Where every input that is there is 1, one slope serves all weights of an example, and arrays take the place of
dictionaries. Loss and slopes are River's.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from river import base
from river.optim.losses import Log

from streams.detector.encode import Cells

INTERCEPT_STEP = 0.01
EPSILON = 1e-8


class Steps(NamedTuple):
    """How far a weight moves with a slope: `step`, over what its cell has seen (the sum of squared slopes) to a power.

    A power of 0 is plain descent, whose steps stay up: it finds a new kind of fraud soon and never settles. One of 0.5
    is AdaGrad, which settles and adapts late. What lies between does both. (Duchi, Hazan and Singer, JMLR 2011.)
    """

    step: float
    power: float


class CellRegression(base.Classifier):  # type: ignore[misc]
    """One model of River's kind: `learn_one` and `predict_proba_one` take a dictionary of cells, each of value 1.

    >>> model = CellRegression(3, Steps(0.1, power=0.5))
    >>> for _ in range(50):
    ...     model.learn_one({0: 1, 1: 1}, True)
    ...     model.learn_one({0: 1, 2: 1}, False)
    >>> model.predict_proba_one({1: 1})[True] > 0.6 > 0.4 > model.predict_proba_one({2: 1})[True]
    True
    """

    def __init__(self, size: int, steps: Steps) -> None:
        self.size = size
        self.steps = steps
        self.intercept = 0.0
        self.weights = np.zeros(size)
        self.squares = np.zeros(size)
        self._loss = Log()

    def log_odds(self, cells: Cells) -> float:
        """Return the log-odds of an example in which these cells hold."""
        return self.intercept + float(np.add.reduce(self.weights[cells]))

    def learn_cells(self, cells: Cells, *, is_fraud: bool, weight: float) -> float:
        """Learn an example that stands for as many as it weighs; return the log-odds that it had before."""
        weights, seen = self.weights[cells], self.squares[cells]
        before = self.intercept + float(np.add.reduce(weights))
        slope = weight * self._loss.gradient(is_fraud, before)
        self.intercept -= INTERCEPT_STEP * slope
        seen += slope * slope
        self.squares[cells] = seen
        seen += EPSILON
        seen **= -self.steps.power
        seen *= self.steps.step * slope
        weights -= seen
        self.weights[cells] = weights
        return before

    def learn_one(self, x: Mapping[int, float], y: bool, w: float = 1.0) -> None:  # noqa: FBT001 - River's way to call it
        """Learn an example, as all of River's models do."""
        self.learn_cells(_array(x), is_fraud=bool(y), weight=w)

    def predict_proba_one(self, x: Mapping[int, float]) -> dict[bool, float]:
        """Return the probabilities of both classes, as all of River's models do."""
        probability = self._loss.mean_func(self.log_odds(_array(x)))
        return {False: 1 - probability, True: probability}

    def state(self) -> dict[str, Any]:
        """Return all that was learned; cells that were never met are left out."""
        met = np.flatnonzero(self.squares).tolist()
        return {
            "intercept": self.intercept,
            "weights": dict(zip(map(str, met), self.weights[met].tolist(), strict=True)),
            "squares": dict(zip(map(str, met), self.squares[met].tolist(), strict=True)),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what was learned by another of the same size and steps."""
        self.intercept = state["intercept"]
        for cell, weight in state["weights"].items():
            self.weights[int(cell)] = weight
            self.squares[int(cell)] = state["squares"][cell]


def _array(cells: Iterable[int]) -> Cells:
    return np.array([*cells], dtype=np.int64)
