"""A recorded file through the detector in one process, to what its scores were worth: prequential, labels late.

Every payment is scored before its label is known, by what had been learned until then; labels come `label_delay_ms`
after their payments and are learned then. What is measured is the time of the core alone, not that of reading the file.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from schemas.fields import DAY_MS
from schemas.label import Label
from schemas.learning import RateTable
from schemas.recordings.stream import Case, Stream
from schemas.transaction import Transaction
from streams.detector.backtest import Backtest
from streams.quality import Array, Codes, Flags, auc, average_precision, card_precision, unknown_cards

CARDS_PER_DAY = 100
WEEK_DAYS = 7
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


@dataclass(frozen=True, slots=True)
class Scored:
    """Every payment's score with its truth, card and day of event time, in the file's order."""

    scores: Array
    frauds: Flags
    cards: Codes
    days: Codes


def score_all(
    cases: Iterator[Case],
    rates: RateTable,
    *,
    kept_one_in: int,
    snapshot_records: int,
    costs: Costs,
    progress: Callable[[], object] = lambda: None,
) -> Scored:
    """Run all cases through the detector. A payment without a label counts as honest."""
    frauds: dict[tuple[str, str], bool] = {}

    def noted() -> Iterator[Case]:
        for case in cases:
            truth = case.labels[-1].verdict == "fraud" if case.labels else False
            frauds[case.transaction.card, case.transaction.transaction_id] = truth
            yield case

    backtest = Backtest(rates, kept_one_in=kept_one_in, snapshot_records=snapshot_records)
    scores: list[float] = []
    truths: list[bool] = []
    cards: list[int] = []
    days: list[int] = []
    numbers: dict[str, int] = {}
    for _, event in Stream(noted()):
        if isinstance(event, Transaction):
            score = _score(backtest, event, costs)
            if score is not None:
                scores.append(score)
                truths.append(frauds.pop((event.card, event.transaction_id)))
                cards.append(numbers.setdefault(event.card, len(numbers)))
                days.append(event.event_time_ms // DAY_MS)
                progress()
        elif isinstance(event, Label):
            _learn(backtest, event, costs)
    return Scored(
        np.array(scores), np.array(truths, dtype=np.bool_), np.array(cards, dtype=np.int64), np.array(days, np.int64)
    )


def _score(backtest: Backtest, transaction: Transaction, costs: Costs) -> float | None:
    started = time.perf_counter()
    features = backtest.features(transaction)
    told = time.perf_counter()
    costs.features_s += told - started
    if features is None:
        return None
    predicted = backtest.predict(features)
    scored = time.perf_counter()
    costs.predict_s += scored - told
    backtest.keep(transaction, predicted.cells)
    costs.keep_s += time.perf_counter() - scored
    costs.transactions += 1
    return predicted.log_odds


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


def figures_of(scored: Scored, *, first_day: int, last_day: int, delay_days: int) -> dict[str, Any]:
    """Return the figures of each test week and over all, days counted from 1970; the last week may be shorter."""
    weeks = []
    tested = np.zeros(len(scored.days), dtype=np.bool_)
    for start in range(first_day, last_day + 1, WEEK_DAYS):
        end = min(start + WEEK_DAYS - 1, last_day)
        known = unknown_cards(
            scored.frauds, scored.cards, scored.days, first_day=start, last_day=end, delay_days=delay_days
        )
        weeks.append({"from": _date(start), "to": _date(end), **_figures(scored, known)})
        tested |= known
    whole = (scored.days >= first_day) & (scored.days <= last_day)
    return {
        "weeks": weeks,
        "overall": _figures(scored, tested),
        "overall_with_known_cards": _figures(scored, whole),
    }


def _figures(scored: Scored, tested: Flags) -> dict[str, Any]:
    scores, frauds = scored.scores[tested], scored.frauds[tested]
    found, possible = card_precision(scores, frauds, scored.cards[tested], scored.days[tested], CARDS_PER_DAY)
    return {
        "transactions": len(scores),
        "frauds": int(frauds.sum()),
        "auc": _rounded(auc(scores, frauds)),
        "ap": _rounded(average_precision(scores, frauds)),
        "cp100": _rounded(found),
        "cp100_ceiling": _rounded(possible),
    }


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 4)


def _date(day: int) -> str:
    return str(np.datetime64(day, "D"))


def cost_figures(costs: Costs) -> dict[str, Any]:
    """Return the costs in microseconds beside what they are means of."""
    return {"microseconds": costs.microseconds(), **{k: v for k, v in asdict(costs).items() if not k.endswith("_s")}}
