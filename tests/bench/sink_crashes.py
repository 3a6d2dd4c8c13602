"""Sinks that die at every step, seed by seed: every view beside records stored once, and beside pandas."""

import logging
import tempfile
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from consumers.migrations_to_clickhouse import migrate
from consumers.warehouse import open_warehouse
from schemas.settings import Settings
from tests.crashes.sink import BUILD_POINTS, POINTS
from tests.crashes.trial import mistakes_noticed, tried, unnoticed_without_final
from tests.stored import ZEROES

SEEDS = 10
HIDDEN_OTHERWISE = frozenset({"v_verdicts"})
"""Views that take one row of several by themselves: with and without FINAL they show the same."""
EXAMPLES_MAX = 5


def run(*, seeds: int = SEEDS) -> dict[str, Any]:
    """Return what the trials found, and how many seeds each mistake took to be noticed."""
    logging.getLogger("consumers").setLevel(logging.CRITICAL)  # what is refused and waited for is meant here
    with tempfile.TemporaryDirectory() as folder, closing(open_warehouse(Settings(data_dir=Path(folder)))) as store:
        migrate(store)
        trials = [tried(store, seed) for seed in range(1, seeds + 1)]
        mistakes = mistakes_noticed(store)
        unnoticed = {view for view, same in unnoticed_without_final(store).items() if same} - HIDDEN_OTHERWISE
    seen = sum((trial.seen for trial in trials), Counter[str]())
    figures = {figure: sum(getattr(trial.audit, figure) for trial in trials) for figure in ZEROES}
    figures["views_differing"] = sum(len(trial.differing) for trial in trials)
    not_struck = [point for point in (*POINTS, *BUILD_POINTS) if not seen[f"killed {point}"]]
    examples = [each for trial in trials for each in (*trial.differing, *trial.audit.store_examples)]
    return {
        "seeds": seeds,
        "views": trials[-1].views,
        "rows_compared": sum(trial.rows for trial in trials),
        **figures,
        "seen": dict(sorted(seen.items())),
        "steps_not_struck": not_struck,
        "seeds_until_mistake_noticed": mistakes,
        "views_unnoticed_without_final": sorted(unnoticed),
        "examples": examples[:EXAMPLES_MAX],
        "bounds": dict.fromkeys(figures, 0) | {"steps_not_struck": 0, "mistakes_unnoticed": 0},
        "holds": not any((*figures.values(), not_struck, unnoticed, None in mistakes.values())),
    }
