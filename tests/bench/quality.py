"""Ours beside XGBoost trained anew every week, on the same features, labels and payments; and plain baselines."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from schemas.fields import DAY_MS
from streams.detector.policy import SEVERITY
from streams.documents import shipped_policy
from streams.evaluate import day_of
from streams.file_to_quality import WARM_UP_DAYS
from streams.quality.figures import Scored, date_of, figures, rounded, tested_of, tested_weeks
from streams.quality.probability import probabilities_of
from streams.quality.ranking import Array, Codes, Flags, Ranking, average_precision
from streams.quality.resampling import Compared, compared
from tests.bench.costs import APPROVE, BLOCK, PRICES, REVIEW, cheapest, saved
from tests.bench.passed import passed, recorded, table_of
from tests.bench.retrained import WEEKLY, Trainer, boosted, retrained

AP_MIN = 0.730
"""Of the Handbook's months."""
RATIO_MIN = 0.99
DELAY_DAYS = 7
TENTHS = 10
ACTIONS = {"approve": APPROVE, "step_up": REVIEW, "review": REVIEW, "block": BLOCK}


def run(
    recording: Path,
    *,
    mapping: str = "handbook",
    test_from: date | None = None,
    test_to: date | None = None,
    ap_min: float = 0.0,
    ratio_min: float = RATIO_MIN,
) -> dict[str, Any]:
    """Pass the recording through the detector once, train its rival week by week, and compare."""
    scored = passed(recorded(recording, mapping, DELAY_DAYS, day_of(test_to) if test_to else None))
    first = day_of(test_from) if test_from else int(scored.days[0]) + WARM_UP_DAYS
    return beside(scored, first_day=first, last_day=int(scored.days[-1]), ap_min=ap_min, ratio_min=ratio_min)


def beside(
    scored: Scored,
    *,
    first_day: int,
    last_day: int,
    ap_min: float,
    ratio_min: float,
    delay_days: int = DELAY_DAYS,
    trainer: Trainer = boosted,
) -> dict[str, Any]:
    """Return the figures of ours, of its rival and of the baselines over the test weeks."""
    days = {"first_day": first_day, "last_day": last_day}
    rival = replace(scored, scores=retrained(scored, table_of(scored), **days, retraining=WEEKLY, trainer=trainer))
    weeks = tested_weeks(scored, **days, delay_days=delay_days)
    tested = tested_of(scored, weeks)
    whole = comparison(scored, rival, tested)
    holds = not np.isnan(whole.ratio) and whole.one >= ap_min and whole.ratio >= ratio_min
    return {
        "weeks": [
            {"from": date_of(start), "to": date_of(end), **_told(comparison(scored, rival, rows))}
            for start, end, rows in weeks
        ],
        "overall": _told(whole),
        "overall_by_day": _told(comparison(scored, rival, tested, scored.days)),
        "ours": figures(scored, tested),
        "xgboost": figures(rival, tested),
        "money": {"prices_minor": PRICES._asdict(), **_money(scored, rival, tested, first_day)},
        "bounds": {"ap_min": ap_min, "ratio_min": ratio_min},
        "holds": bool(holds),
    }


def comparison(ours: Scored, rival: Scored, rows: Flags, clusters: Codes | None = None) -> Compared:
    """Return how both rank the same rows, drawn by card unless other clusters are named."""
    frauds, drawn = ours.frauds[rows], ours.cards if clusters is None else clusters
    return compared(Ranking(ours.scores[rows], frauds), Ranking(rival.scores[rows], frauds), drawn[rows])


def _told(found: Compared) -> dict[str, Any]:
    return {
        "ap": rounded(found.one),
        "ap_xgboost": rounded(found.other),
        "difference": rounded(found.difference),
        "difference_interval": [*map(rounded, found.difference_interval)],
        "ratio": rounded(found.ratio),
        "ratio_interval": [*map(rounded, found.ratio_interval)],
    }


def _money(scored: Scored, rival: Scored, tested: Flags, first_day: int) -> dict[str, Any]:
    """Return average precision and what is saved: of the baselines, of ours and of its rival."""
    return worth({**baselines(scored, first_day), **models(scored, ours=scored, xgboost=rival)}, scored, tested)


Table = dict[str, tuple[Array, Codes]]
"""Name -> what ranks payments, and the action on each."""


def models(scored: Scored, **each: Scored) -> Table:
    """Return how models rank payments, and the actions that are expected to cost least."""
    amounts = np.nan_to_num(scored.amounts)
    return {name: (one.scores, cheapest(probabilities_of(one.scores), amounts)) for name, one in each.items()}


def baselines(scored: Scored, first_day: int) -> Table:
    """Return what plain rules do; each knows the labels that had come before the first test day."""
    amounts = np.nan_to_num(scored.amounts)
    known = scored.told_ms <= first_day * DAY_MS
    prior = np.full(len(amounts), scored.told[known].mean() if known.any() else 0.0)
    severity = _severity(scored)
    of_rules = np.array([ACTIONS[action] for action in SEVERITY])[severity]
    return {
        "prior": (prior, cheapest(prior, amounts)),
        "amount_only": (amounts, cheapest(_rate_by_amount(scored.told, amounts, known), amounts)),
        "rules_only": (severity.astype(np.float64), of_rules),
    }


def worth(table: Table, scored: Scored, tested: Flags) -> dict[str, Any]:
    """Return average precision and what is saved by each of a table, on the tested payments."""
    frauds, amounts = scored.frauds[tested], np.nan_to_num(scored.amounts)
    return {
        name: {
            "ap": rounded(average_precision(scores[tested], frauds)),
            **saved(actions[tested], frauds, amounts[tested]),
        }
        for name, (scores, actions) in table.items()
    }


def _severity(scored: Scored) -> Codes:
    """Return the place in `SEVERITY` of what the shipped rules alone ask for."""
    severity = np.zeros(len(scored.days), dtype=np.int64)
    for rule in shipped_policy().rules:
        hits = scored.columns[rule.feature] >= rule.at_least
        severity[hits] = np.maximum(severity[hits], SEVERITY.index(rule.action))
    return severity


def _rate_by_amount(told: Flags, amounts: Array, known: Flags) -> Array:
    """Return for each payment the share of fraud among known ones in its tenth of amounts."""
    if not known.any():
        return np.zeros(len(amounts))
    edges = np.quantile(amounts[known], np.arange(1, TENTHS) / TENTHS)
    places = np.searchsorted(edges, amounts, side="right")
    payments = np.bincount(places[known], minlength=TENTHS)
    frauds = np.bincount(places[known], told[known], minlength=TENTHS)
    return np.divide(frauds, payments, out=np.zeros(TENTHS), where=payments > 0)[places]
