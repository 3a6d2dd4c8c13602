"""How soon a new kind of fraud is found once its first labels have come: ours, XGBoost trained nightly, and weekly."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from schemas.fields import DAY_MS, HOUR_MS
from schemas.recordings.stream import Case, Truth
from streams.evaluate import day_of
from streams.quality.figures import Scored, rounded, tested_of, tested_weeks
from streams.quality.ranking import Array, Flags, average_precision
from tests.bench.passed import passed, recorded, table_of
from tests.bench.retrained import NIGHTLY, WEEKLY, Retraining, Trainer, boosted, retrained

ONSET = date(2018, 7, 1)
NIGHT_HOURS = 4
"""From midnight on, UTC."""
AMOUNT_MAX_MINOR = 1_000
TURNED_SHARE = 0.8
"""Of such payments: some fifty a day in the recording."""
LOOKED_AT = 150
RECALL_MIN = 0.5
DELAY_DAYS = 7
WITHIN_DAYS = 2
RIVALS = {"xgboost_nightly": NIGHTLY, "xgboost_weekly": WEEKLY}
_KEY = b"planted fraud"


def run(
    recording: Path, *, mapping: str = "handbook", onset: date = ONSET, test_to: date | None = None
) -> dict[str, Any]:
    """Pass the recording with the new kind planted, and without it, and train the rivals on both."""
    first, last = day_of(onset), day_of(test_to) if test_to else None
    turned: set[str] = set()
    scored = passed(planted(recorded(recording, mapping, DELAY_DAYS, last), first, turned))
    figures = recalls(scored, turned, first_day=first)
    plain = average_precisions(passed(recorded(recording, mapping, DELAY_DAYS, last)), first_day=first)
    return {**figures, "ap_without_the_plant": plain, **judged(figures["recall_by_day"]["ours"])}


def planted(cases: Iterable[Case], onset_day: int, turned: set[str]) -> Iterator[Case]:
    """Give the cases, of which from a day on small payments at night are fraud; `turned` takes their ids."""
    for case in cases:
        payment = case.transaction
        day, in_day_ms = divmod(payment.event_time_ms, DAY_MS)
        small_at_night = in_day_ms < NIGHT_HOURS * HOUR_MS and payment.amount_minor < AMOUNT_MAX_MINOR
        honest = bool(case.labels) and case.labels[-1].verdict != "fraud"
        if day < onset_day or not (small_at_night and honest) or not _drawn(payment.transaction_id):
            yield case
            continue
        turned.add(payment.transaction_id)
        says = {"verdict": "fraud", "source": "chargeback"}
        labels = tuple(label.model_copy(update=says) for label in case.labels)
        yield case._replace(labels=labels, truth=case.truth and Truth(fraud=True, campaign="planted"))


def _drawn(transaction_id: str) -> bool:
    digest = hashlib.blake2b(transaction_id.encode(), digest_size=8, key=_KEY).digest()
    return int.from_bytes(digest) < TURNED_SHARE * 2**64


def recalls(scored: Scored, turned: set[str], *, first_day: int, trainer: Trainer = boosted) -> dict[str, Any]:
    """Return for each model, by days since the onset, the share of the new kind among the day's highest scores."""
    last_day = int(scored.days[-1])
    new = np.fromiter((each in turned for each in scored.ids), np.bool_, len(scored.ids))
    models = {"ours": scored.scores, **_trained(scored, RIVALS, first_day, trainer)}
    by_day = {
        name: [_recall(scores, new, scored.days == day) for day in range(first_day, last_day + 1)]
        for name, scores in models.items()
    }
    return {
        "planted": int(new.sum()),
        "planted_a_day": round(float(new.sum()) / (last_day - first_day + 1), 1),
        "recall_by_day": by_day,
        "reached_on_day": {name: reached(told) for name, told in by_day.items()},
    }


def _trained(scored: Scored, rivals: Mapping[str, Retraining], first_day: int, trainer: Trainer) -> dict[str, Array]:
    table, last_day = table_of(scored), int(scored.days[-1])
    return {
        name: retrained(scored, table, first_day=first_day, last_day=last_day, retraining=how, trainer=trainer)
        for name, how in rivals.items()
    }


def _recall(scores: Array, new: Flags, today: Flags) -> float | None:
    """Return the share of the day's new kind that is among its highest scores, ties in the stream's order."""
    places = np.flatnonzero(today)
    highest = places[np.argsort(-scores[places], kind="stable")[:LOOKED_AT]]
    return round(float(new[highest].sum() / new[places].sum()), 4) if new[places].any() else None


def reached(by_day: Sequence[float | None]) -> int | None:
    """Return from which day on recall is never again under the bound, or None.

    >>> reached([0.0, 0.6, 0.4, 0.5, None, 0.9]), reached([0.9, 0.1])
    (3, None)
    """
    under = [day for day, recall in enumerate(by_day) if recall is not None and recall < RECALL_MIN]
    first = under[-1] + 1 if under else 0
    return first if any(recall is not None for recall in by_day[first:]) else None


def judged(ours: Sequence[float | None]) -> Mapping[str, Any]:
    """Return bounds, and whether ours is found soon enough after the first labels and stays found."""
    day = reached(ours)
    by = DELAY_DAYS + WITHIN_DAYS
    return {"bounds": {"recall_min": RECALL_MIN, "reached_by_day": by}, "holds": day is not None and day <= by}


def average_precisions(scored: Scored, *, first_day: int, trainer: Trainer = boosted) -> dict[str, Any]:
    """Return the average precision of ours and of the weekly rival from a day on, known cards left out."""
    last_day = int(scored.days[-1])
    tested = tested_of(scored, tested_weeks(scored, first_day=first_day, last_day=last_day, delay_days=DELAY_DAYS))
    models = {"ours": scored.scores, **_trained(scored, {"xgboost_weekly": WEEKLY}, first_day, trainer)}
    return {name: rounded(average_precision(scores[tested], scored.frauds[tested])) for name, scores in models.items()}
