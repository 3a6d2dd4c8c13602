"""A recording's payments and labels noted once, as the model sees them, to be learned by any kind of learner.

Features and labels do not depend on what is learned: so of many settings only scoring and learning is done again.
"""

from array import array
from typing import Any

import numpy as np

from schemas.fields import Features
from schemas.learning import RateTable
from streams.detector.backtest import Backtest, Example, Predicted
from streams.detector.encode import ENCODER
from streams.detector.learner import Kind


class Noted(Backtest):
    """A backtest that learns nothing and scores all alike: it notes what is to be scored, and what to be learned when.

    128 bytes a payment are held, beside what a backtest holds.
    """

    def __init__(self, rates: RateTable, **asked: Any) -> None:
        super().__init__(rates, **asked)
        self._rates_and_asked = rates, asked
        self._cells = array("H")
        self._examples: list[tuple[int, Example]] = []
        self.payments = 0

    def predict(self, features: Features) -> Predicted:
        """Note a payment."""
        cells = ENCODER.cells_of(features)
        self._cells.frombytes(cells.astype(np.uint16).tobytes())
        self.payments += 1
        return Predicted(cells, 0.0)

    def learn(self, example: Example) -> None:
        """Note an example, and that all payments noted so far are scored before it is learned."""
        self._examples.append((self.payments, example))

    def log_odds(self, kind: Kind) -> "array[float]":
        """Return what a backtest of this kind would have said of each payment, in their order."""
        rates, asked = self._rates_and_asked
        backtest, width, said = Backtest(rates, **asked, kind=kind), len(ENCODER.features), array("d")
        for before, example in [*self._examples, (self.payments, None)]:
            for number in range(len(said), before):
                said.append(backtest.log_odds_of(self._cells[number * width : (number + 1) * width]))
            if example:
                backtest.learn(example)
        return said
