"""`python -m tests.kept_quality` makes `tests/kept_quality.json` anew: what the detector is worth on a small log.

Run it where a change of the learner, of its inputs or of the simulated world is meant, and look at the difference: it
says whether the change was for the better.
"""

import json
import sys
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from producers.aftermath import Reporting
from producers.world import World, cases
from schemas.fields import DAY_MS
from streams.documents import shipped_rates
from streams.file_to_quality import Costs, score_all
from streams.quality.probability import log_losses, probabilities_of
from streams.quality.ranking import average_precision

KEPT = Path(__file__).with_suffix(".json")
FIRST_DAY, DAYS, TESTED_FROM = 18_000, 12, 5
REPORTING = Reporting(label_delay_ms=2 * DAY_MS, legitimate_one_in=1, outcomes=False)
WORLD = World(
    seed=11,
    start_ms=FIRST_DAY * DAY_MS,
    rate=0.003,
    shoppers=80,
    merchants=30,
    fraud_rate=0.06,
    reporting=REPORTING,
)
GOLDEN_EVERY = 100
SCORE_DIFFERENCE_MAX = 1e-6
"""In log-odds. To the last bit they are equal on one kind of machine only: `exp` is the C library's."""
WORSE_BY = {"ap": -0.01, "log_loss": 0.005, "calibration_error": 0.05}
"""By so much a figure may move to the worse: what changes of no importance move it by."""


def found(without: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return quality, calibration and every hundredth score; `without` hides features from the model."""
    end_ms = (FIRST_DAY + DAYS) * DAY_MS
    small = takewhile(lambda case: case.transaction.event_time_ms < end_ms, cases(WORLD))
    rates, costs = shipped_rates(), Costs()
    scored = score_all(small, rates, kept_one_in=3, snapshot_records=100, costs=costs, without=without)
    tested = scored.days >= FIRST_DAY + TESTED_FROM
    scores, frauds = scored.scores[tested], scored.frauds[tested]
    said = probabilities_of(scores)
    return {
        "payments": len(scored.scores),
        "frauds": int(scored.frauds.sum()),
        "ap": round(float(average_precision(scores, frauds)), 6),
        "log_loss": round(float(log_losses(said, frauds).mean()), 6),
        "calibration_error": round(abs(float(np.log(said.sum() / frauds.sum()))), 6),
        "scores": [round(float(score), 6) for score in scored.scores[::GOLDEN_EVERY]],
    }


def worse(now: dict[str, Any], kept: dict[str, Any]) -> list[str]:
    """Return what is worse than what was kept, beyond what is allowed."""
    return [
        f"{name} is {now[name]}, was {kept[name]}" for name, by in WORSE_BY.items() if (now[name] - kept[name]) / by > 1
    ]


def main() -> int:
    """Write what is found now."""
    KEPT.write_text(json.dumps(found(), indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
