"""A recorded file through the detector in one process, to what its scores were worth: prequential, labels late.

Every payment is scored before its label is known, by what had been learned until then; labels come `label_delay_ms`
after their payments and are learned then. What is measured is the time of the core alone, not that of reading the file.
"""

import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from math import nan
from typing import Any, NamedTuple

import numpy as np

from schemas.fields import DAY_MS, Features
from schemas.label import Label
from schemas.learning import RateTable
from schemas.recordings.stream import Case, Stream
from schemas.transaction import Transaction
from streams.detector.backtest import Backtest
from streams.detector.payment import AMOUNT
from streams.label_faults import NO_FAULTS, LabelFaults, faulty
from streams.quality.figures import Scored

NEVER = 2**62
"""When a label comes that does not: later than any time there is."""
WARM_UP_DAYS = 35
"""Without a test range, what comes later is tested: four weeks to learn from, and a week of delay."""


@dataclass(slots=True)
class Costs:
    """Seconds of the core, and how often each was asked."""

    features_s: float = 0.0
    predict_s: float = 0.0
    keep_s: float = 0.0
    report_s: float = 0.0
    learn_s: float = 0.0
    transactions: int = 0
    labels: int = 0
    learned: int = 0

    def microseconds(self) -> dict[str, float]:
        """Return the mean cost of each part; `transaction` is a payment scored, its features included.

        `keep` is what the store does live: the inputs wait for their label. `whole` is the score with that and its
        share of all labels and learning.
        """
        scored = self.features_s + self.predict_s
        return {
            "features": _mean_us(self.features_s, self.transactions),
            "predict": _mean_us(self.predict_s, self.transactions),
            "keep": _mean_us(self.keep_s, self.transactions),
            "label": _mean_us(self.report_s, self.labels),
            "learn": _mean_us(self.learn_s, self.learned),
            "transaction": _mean_us(scored, self.transactions),
            "whole": _mean_us(scored + self.keep_s + self.report_s + self.learn_s, self.transactions),
        }


def _mean_us(seconds: float, number: int) -> float:
    return round(1e6 * seconds / number, 1) if number else 0.0


class _Rows:
    """What is kept of each payment that was scored; `Scored` says what it is."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._names = columns
        self._numbers: dict[str, int] = {}
        self._ids: list[str] = []
        self._scores, self._amounts, self._columns = array("d"), array("d"), array("f")
        self._frauds, self._told = array("b"), array("b")
        self._cards, self._days, self._told_ms = array("q"), array("q"), array("q")

    def add(self, transaction: Transaction, features: Features, score: float, fate: "_Fate") -> None:
        self._ids.append(transaction.transaction_id)
        self._scores.append(score)
        self._amounts.append(features.get(AMOUNT, nan))
        self._columns.extend([features.get(name, nan) for name in self._names])
        self._frauds.append(fate.fraud)
        self._told.append(fate.told)
        self._told_ms.append(fate.told_ms)
        self._cards.append(self._numbers.setdefault(transaction.card, len(self._numbers)))
        self._days.append(transaction.event_time_ms // DAY_MS)

    def scored(self) -> Scored:
        table = np.array(self._columns, np.float32).reshape(len(self._ids), len(self._names))
        return Scored(
            np.array(self._scores, np.float64),
            np.array(self._frauds, np.bool_),
            np.array(self._cards, np.int64),
            np.array(self._days, np.int64),
            np.array(self._amounts, np.float64),
            {name: table[:, place] for place, name in enumerate(self._names)},
            self._ids,
            np.array(self._told, np.bool_),
            np.array(self._told_ms, np.int64),
        )


class _Fate(NamedTuple):
    """What a payment was, what its label said, and when; `NEVER` where none was given."""

    fraud: bool
    told: bool
    told_ms: int


def score_all(
    cases: Iterable[Case],
    rates: RateTable,
    *,
    kept_one_in: int,
    snapshot_records: int,
    costs: Costs,
    columns: Sequence[str] = (),
    without: Sequence[str] = (),
    faults: LabelFaults = NO_FAULTS,
    progress: Callable[[], object] = lambda: None,
    backtest: Backtest | None = None,
) -> Scored:
    """Run all cases through the detector. A payment without a label counts as honest.

    The features named in `columns` are kept. Those whose names begin as `without` says are kept from the model, which
    takes them for missing: what a group of features is worth. `faults` is what is done to labels before they are
    learned; what is true stays so. Another detector may take the place of the usual one.
    """
    fates: dict[tuple[str, str], _Fate] = {}

    def noted() -> Iterator[Case]:
        for case in cases:
            labels = faulty(case.labels, faults)
            fate = _Fate(
                is_fraud(case),
                bool(labels) and labels[-1].verdict == "fraud",
                labels[-1].reported_at_ms if labels else NEVER,
            )
            fates[case.transaction.card, case.transaction.transaction_id] = fate
            yield case._replace(labels=labels)

    backtest = backtest or Backtest(rates, kept_one_in=kept_one_in, snapshot_records=snapshot_records)
    rows, hidden = _Rows(columns), tuple(without)
    for _, event in Stream(noted()):
        if isinstance(event, Transaction):
            features, score = _score(backtest, event, hidden, costs)
            if features is not None:
                rows.add(event, features, score, fates.pop((event.card, event.transaction_id)))
                progress()
        elif isinstance(event, Label):
            _learn(backtest, event, costs)
    return rows.scored()


def is_fraud(case: Case) -> bool:
    """Return what a payment is: by its truth where that is known, else by the last that was said of it."""
    if case.truth is not None:
        return case.truth.fraud
    return bool(case.labels) and case.labels[-1].verdict == "fraud"


def _score(
    backtest: Backtest, transaction: Transaction, hidden: tuple[str, ...], costs: Costs
) -> tuple[Features | None, float]:
    started = time.perf_counter()
    features = backtest.features(transaction)
    told = time.perf_counter()
    costs.features_s += told - started
    if features is None:
        return None, nan
    shown = {name: value for name, value in features.items() if not name.startswith(hidden)} if hidden else features
    shown_at = time.perf_counter()
    predicted = backtest.predict(shown)
    scored_at = time.perf_counter()
    costs.predict_s += scored_at - shown_at
    backtest.keep(transaction, predicted.cells)
    costs.keep_s += time.perf_counter() - scored_at
    costs.transactions += 1
    return features, predicted.log_odds


def _learn(backtest: Backtest, label: Label, costs: Costs) -> None:
    started = time.perf_counter()
    example = backtest.report(label)
    reported = time.perf_counter()
    costs.report_s += reported - started
    costs.labels += 1
    if example is not None:
        backtest.learn(example)
        costs.learn_s += time.perf_counter() - reported
        costs.learned += 1


def cost_figures(costs: Costs) -> dict[str, Any]:
    """Return the costs in microseconds beside what they are means of."""
    return {"microseconds": costs.microseconds(), **{k: v for k, v in asdict(costs).items() if not k.endswith("_s")}}
