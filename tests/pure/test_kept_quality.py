"""A small seeded log through the detector: quality, calibration and golden scores are those that were kept."""

import json
from typing import Any

import pytest

from tests.kept_quality import KEPT, SCORE_DIFFERENCE_MAX, found, worse


@pytest.fixture(scope="module")
def kept() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(KEPT.read_text(encoding="utf-8"))
    return read


def test_quality_is_as_kept(kept: dict[str, Any]) -> None:
    """Law: the same payments are ranked as well as before, and scored the same; made anew as the module says."""
    now = found()
    assert worse(now, kept) == []
    assert (now["payments"], now["frauds"]) == (kept["payments"], kept["frauds"])
    assert now["scores"] == pytest.approx(kept["scores"], abs=SCORE_DIFFERENCE_MAX)


def test_a_weaker_learner_is_seen(kept: dict[str, Any]) -> None:
    """Law: one that is kept from what cards and merchants did before ranks worse, and is told to."""
    problems = worse(found(without=("card_", "merchant_")), kept)
    assert any(problem.startswith("ap is ") for problem in problems)


def test_better_is_not_worse(kept: dict[str, Any]) -> None:
    """Law: a figure may move to the better as far as it likes, and to the worse by the bound alone."""
    better = {**kept, "ap": kept["ap"] + 0.2, "log_loss": kept["log_loss"] / 2, "calibration_error": 0.0}
    assert worse(better, kept) == []
    assert worse(kept, better) != []
    assert worse({**kept, "ap": kept["ap"] - 0.009}, kept) == []
