"""The whole detector in one process: payments and labels in, scores out, learning as the labels come.

The same profiles, features, encoder, learner and scorer as the stages have, in the order of one stream, without Kafka
and without the store: what a prediction was made from is kept here until its label comes.
"""

from array import array
from typing import NamedTuple

import numpy as np

from schemas.fields import Features
from schemas.label import Label
from schemas.learning import RateTable
from schemas.sampling import weight_of
from schemas.transaction import Transaction
from streams.detector.card import effective_of, pay_by_card
from streams.detector.encode import ENCODER, AnyCells, Cells
from streams.detector.guard import Witness
from streams.detector.learner import MIXTURE, Kind, Learner
from streams.detector.merchant import pay_at_merchant
from streams.detector.profile import CARD, MERCHANT
from streams.detector.scorer import Scorer
from streams.detector.state import State


class Predicted(NamedTuple):
    """What a payment was predicted from, and as."""

    cells: Cells
    log_odds: float


class Example(NamedTuple):
    """A label with what its payment was predicted from, and whose it is; it stands for as many as it weighs."""

    cells: "array[int]"
    witness: Witness
    weight: float


class Backtest:
    """One run over a stream.

    Parameters
    ----------
    kept_one_in : of assumed-legitimate labels, the share that is learned.
    snapshot_records : after so many examples what was learned begins to decide, as it does live.
    kind : how it learns; as the champion does unless said.
    """

    def __init__(self, rates: RateTable, *, kept_one_in: int, snapshot_records: int, kind: Kind = MIXTURE) -> None:
        self._rates = rates
        self._kept_one_in = kept_one_in
        self._snapshot_records = snapshot_records
        self._cards, self._merchants = State(CARD), State(MERCHANT)
        self._waiting: dict[tuple[str, str], array[int]] = {}
        self.learner = Learner(kind=kind)
        self.scorer: Scorer | None = None

    def features(self, transaction: Transaction) -> Features | None:
        """Return the features of a payment and remember it; None for a repeated one."""
        by_card = pay_by_card(self._cards, transaction, self._rates)
        if by_card.duplicate:
            return None
        # To the profiles themselves: there is no log here that would have to know what has changed.
        self._cards.profile(transaction.card).apply(by_card.changes)
        at_merchant = pay_at_merchant(self._merchants, transaction, by_card.features)
        self._merchants.profile(transaction.merchant).apply(at_merchant.changes)
        return {**by_card.features, **at_merchant.features}

    def predict(self, features: Features) -> Predicted:
        """Return the log-odds of fraud, 0 before anything was learned, with the cells that hold."""
        cells = ENCODER.cells_of(features)
        return Predicted(cells, self.log_odds_of(cells))

    def log_odds_of(self, cells: AnyCells) -> float:
        """Return the same of a payment by the cells that its features fall in."""
        return self.scorer.log_odds(cells) if self.scorer else 0.0

    def keep(self, transaction: Transaction, cells: AnyCells) -> None:
        """Keep the inputs of a prediction until its label comes, as the store does live."""
        self._waiting[transaction.card, transaction.transaction_id] = array("H", np.asarray(cells, np.uint16).tobytes())

    def report(self, label: Label) -> Example | None:
        """Take a label into the profiles; return the example in it, None where there is nothing to learn."""
        card, merchant = self._cards.profile(label.card), self._merchants.profile(label.merchant)
        by_card = card.report(label)
        if by_card.duplicate:
            return None
        card.apply(by_card.changes)
        change = by_card.verdict
        if change is None:
            return None
        merchant.apply(merchant.follow(label, change).changes)
        effective = effective_of(label, change)
        if effective is None:
            return None
        cells = self._waiting.pop((label.card, label.transaction_id), None)
        weight = weight_of(effective, self._kept_one_in)
        if cells is None or weight is None:
            return None
        said = effective.transaction_id, effective.card, effective.merchant, effective.verdict_source
        return Example(cells, Witness(*said, effective.verdict == "fraud"), weight)

    def learn(self, example: Example) -> None:
        """Learn an example; at every so manieth, let what was learned decide, unless it is worse than what does."""
        self.learner.learn_told(example.witness, example.cells, example.weight)
        if self.learner.records % self._snapshot_records == 0:
            candidate = self.learner.scorer()
            if not self.learner.guard.worse(candidate):
                self.scorer = candidate
