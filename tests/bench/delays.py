"""What labels cost that come later, never or wrong: average precision of ours and of XGBoost trained every week."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from schemas.recordings.stream import Case
from streams.evaluate import day_of
from streams.file_to_quality import WARM_UP_DAYS
from streams.label_faults import NO_FAULTS, LabelFaults
from streams.quality.figures import Scored, rounded, tested_of, tested_weeks
from streams.quality.ranking import Flags, average_precision
from tests.bench.passed import passed, recorded, table_of
from tests.bench.retrained import WEEKLY, Trainer, boosted, retrained


class Variant(NamedTuple):
    """How labels are: days late, and what is wrong with them."""

    delay_days: int = 7
    faults: LabelFaults = NO_FAULTS


VARIANTS = {
    "1d": Variant(1),
    "7d": Variant(7),
    "14d": Variant(14),
    "7d-missing-30": Variant(7, LabelFaults(missing=0.3)),
    "7d-wrong-2": Variant(7, LabelFaults(wrong=0.02)),
}
RATIO_MIN = 0.95
"""Labels that fail must not cost ours much more than its rival."""


def run(
    recording: Path,
    *,
    mapping: str = "handbook",
    test_from: date | None = None,
    test_to: date | None = None,
    variants: Iterable[str] = VARIANTS,
) -> dict[str, Any]:
    """Pass the recording once for each variant."""
    last = day_of(test_to) if test_to else None
    rows = {
        name: of_variant(
            recorded(recording, mapping, VARIANTS[name].delay_days, last),
            VARIANTS[name],
            day_of(test_from) if test_from else None,
        )
        for name in variants
    }
    holds = all((row["ratio"] or 0.0) >= RATIO_MIN for row in rows.values())
    return {"average_precision": rows, "bounds": {"ratio_min": RATIO_MIN}, "holds": holds}


def of_variant(
    cases: Iterable[Case], variant: Variant, first_day: int | None, trainer: Trainer = boosted
) -> dict[str, Any]:
    """Return average precision of both, on cards not known to be defrauded by then, and on all payments.

    Which cards are known depends on the delay: only the second has the same rows in every variant.
    """
    scored = passed(cases, variant.faults)
    first = int(scored.days[0]) + WARM_UP_DAYS if first_day is None else first_day
    last = int(scored.days[-1])
    days = {"first_day": first, "last_day": last}
    rival = replace(scored, scores=retrained(scored, table_of(scored), **days, retraining=WEEKLY, trainer=trainer))
    tested = tested_of(scored, tested_weeks(scored, **days, delay_days=variant.delay_days))
    whole = (scored.days >= first) & (scored.days <= last)
    ours, theirs = _ap(scored, tested), _ap(rival, tested)
    return {
        "ours": rounded(ours),
        "xgboost": rounded(theirs),
        "ratio": rounded(ours / theirs) if theirs else None,
        "ours_with_known_cards": rounded(_ap(scored, whole)),
        "xgboost_with_known_cards": rounded(_ap(rival, whole)),
        "fraud_labels": int(scored.told.sum()),
    }


def _ap(scored: Scored, rows: Flags) -> float:
    return average_precision(scored.scores[rows], scored.frauds[rows])
