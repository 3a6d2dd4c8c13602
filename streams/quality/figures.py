"""The figures of an evaluation: of each week, over all, and of each segment, with intervals.

Ranking and probabilities are drawn by card, what is counted by day by day (`streams.quality.resampling`). A figure that
cannot be told is None.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from streams.quality.money import daily_value_caught
from streams.quality.probability import calibration_bins, log_losses, probabilities_of, squared_errors
from streams.quality.ranking import Array, Codes, Flags, Ranking, daily_card_precision, unknown_cards
from streams.quality.resampling import clusters_of, intervals
from streams.quality.segments import segments_of

PER_DAY = 100
"""So many cards, or payments, a team can look at in a day."""
DECILE = 0.1
WEEK_DAYS = 7
_DECIMALS = {"log_loss": 6, "brier": 6}
"""Of what is small where fraud is rare; all else has four."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Every payment in the order of the stream: log-odds of fraud, truth, card, day of event time since 1970.

    `amounts` are in minor units of the base currency, not a number where there is none; `columns` holds what segments
    are made of, by name. What a process has learned from is in `told` and `told_ms`: what the label said, and when.
    """

    scores: Array
    frauds: Flags
    cards: Codes
    days: Codes
    amounts: Array
    columns: Mapping[str, Any] = field(default_factory=dict)
    ids: Sequence[str] = ()
    told: Flags = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    told_ms: Codes = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


def tested_weeks(scored: Scored, *, first_day: int, last_day: int, delay_days: int) -> list[tuple[int, int, Flags]]:
    """Return the first and the last day of each test week and its payments; the last week may be shorter.

    Left out are payments of cards that are known to be defrauded by then, as `unknown_cards` says.
    """
    weeks = []
    for start in range(first_day, last_day + 1, WEEK_DAYS):
        end = min(start + WEEK_DAYS - 1, last_day)
        tested = unknown_cards(
            scored.frauds, scored.cards, scored.days, first_day=start, last_day=end, delay_days=delay_days
        )
        weeks.append((start, end, tested))
    return weeks


def tested_of(scored: Scored, weeks: Sequence[tuple[int, int, Flags]]) -> Flags:
    """Return which payments are tested in any of some weeks."""
    tested = np.zeros(len(scored.days), dtype=np.bool_)
    for _, _, rows in weeks:
        tested |= rows
    return tested


def figures_of(
    scored: Scored, *, first_day: int, last_day: int, delay_days: int, segments: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the figures of each test week, over all, and of each segment of the columns named; days since 1970."""
    weeks = tested_weeks(scored, first_day=first_day, last_day=last_day, delay_days=delay_days)
    tested = tested_of(scored, weeks)
    whole = (scored.days >= first_day) & (scored.days <= last_day)
    return {
        "weeks": [{"from": date_of(start), "to": date_of(end), **figures(scored, rows)} for start, end, rows in weeks],
        "overall": {**figures(scored, tested), "calibration_bins": _bins(scored, tested)},
        "overall_with_known_cards": figures(scored, whole),
        "segments": {name: _segments(scored, tested, name) for name in segments},
    }


def figures(scored: Scored, tested: Flags) -> dict[str, Any]:
    """Return the figures of some payments, and the intervals of those that have one."""
    frauds, cards, days = scored.frauds[tested], scored.cards[tested], scored.days[tested]
    scores, amounts = scored.scores[tested], scored.amounts[tested]
    by_card = _ByCard(scores, frauds, cards)
    by_day = _ByDay(
        daily_card_precision(scores, frauds, cards, days, PER_DAY),
        daily_card_precision(frauds.astype(np.float64), frauds, cards, days, PER_DAY),
        *daily_value_caught(scores, frauds, amounts, days, PER_DAY),
    )
    told = by_card.figures(np.ones(by_card.cards)) | by_day.figures(np.ones(len(by_day.found)))
    drawn = intervals(by_card.figures, by_card.cards) | intervals(by_day.figures, len(by_day.found))
    return {
        "transactions": len(scores),
        "frauds": int(frauds.sum()),
        **{name: rounded(value, _DECIMALS.get(name, 4)) for name, value in told.items()},
        "intervals": {
            name: [rounded(end, _DECIMALS.get(name, 4)) for end in drawn[name]] for name in told if name in drawn
        },
    }


class _ByCard:
    """What is drawn card by card: `figures` take how often each card counts."""

    def __init__(self, scores: Array, frauds: Flags, cards: Codes) -> None:
        probabilities = probabilities_of(scores)
        self._places, self.cards = clusters_of(cards)
        self._ranking = Ranking(scores, frauds)
        columns = {
            "payments": np.ones(len(scores)),
            "frauds": frauds,
            "probabilities": probabilities,
            "log_loss": log_losses(probabilities, frauds),
            "brier": squared_errors(probabilities, frauds),
        }
        # Of each card, once: a draw then is a sum over cards, not over payments.
        self._sums = {name: np.bincount(self._places, values, self.cards) for name, values in columns.items()}

    def figures(self, weights: Array) -> dict[str, float]:
        rows = weights[self._places]
        sums = {name: float(values @ weights) for name, values in self._sums.items()}
        return {
            "auc": self._ranking.auc(rows),
            "ap": self._ranking.average_precision(rows),
            "recall_decile": self._ranking.recall_at(DECILE, rows),
            "log_loss": _ratio(sums["log_loss"], sums["payments"]),
            "brier": _ratio(sums["brier"], sums["payments"]),
            "calibration": _ratio(sums["probabilities"], sums["frauds"]),
        }


@dataclass(frozen=True, slots=True)
class _ByDay:
    """What is drawn day by day: shares of cards found and possible, the fraud's amount caught and whole."""

    found: Array
    possible: Array
    caught: Array
    lost: Array

    def figures(self, weights: Array) -> dict[str, float]:
        days = float(weights.sum())
        return {
            "cp100": _ratio(float(self.found @ weights), days),
            "cp100_ceiling": _ratio(float(self.possible @ weights), days),
            "value_recall100": _ratio(float(self.caught @ weights), float(self.lost @ weights)),
        }


def _segments(scored: Scored, tested: Flags, name: str) -> list[dict[str, Any]]:
    """Return the figures of each segment of a column, in the order of its values."""
    codes, names = segments_of(np.asarray(scored.columns[name])[tested])
    rows = np.flatnonzero(tested)
    told = []
    for code, segment in enumerate(names):
        held = np.zeros(len(tested), dtype=np.bool_)
        held[rows[codes == code]] = True
        if held.any():
            told.append({"segment": segment, **figures(scored, held)})
    return told


def _bins(scored: Scored, tested: Flags) -> list[dict[str, Any]]:
    bins = calibration_bins(probabilities_of(scored.scores[tested]), scored.frauds[tested])
    return [
        {"transactions": each.payments, "mean_probability": rounded(each.mean_probability, 6),
         "fraud_rate": rounded(each.fraud_rate, 6)}
        for each in bins
    ]  # fmt: skip


def _ratio(one: float, other: float) -> float:
    return one / other if other else float("nan")


def rounded(value: float, decimals: int = 4) -> float | None:
    """Return a figure as it is told, None where there is none."""
    return None if np.isnan(value) else round(value, decimals)


def date_of(day: int) -> str:
    """Return the date of a day since 1970.

    >>> date_of(17_697)
    '2018-06-15'
    """
    return str(np.datetime64(day, "D"))
