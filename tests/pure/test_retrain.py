"""What an unattended gate promotes: the best of those that pass, and nothing where a person has pinned."""

from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import pytest

from schemas.registry import Audit
from schemas.settings import Settings
from schemas.signing import TrustedKeys
from streams import retrain
from streams.detector.admission import Admission
from streams.detector.triggers import Docket, Due
from streams.models.gating import Gating
from streams.quality.gate import Verdict
from streams.recompute.logs import Logs
from streams.retrain import Retraining

DUE = Due("gate", ("cells", "leaves", "adaptive"), "weekly_gate", ())
OURS = "retrainer"


def _audit(author: str, kind: str, mode: str) -> Audit:
    fields = {"control_id": "c-1", "control_offset": 1, "author": author, "kind": kind, "outcome": "done"}
    return Audit.model_validate({**fields, "text": "done", "mode": mode, "sequence": 1, "at_ms": 1_525_132_800_000})


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is recorded of a run goes where nobody keeps it."""
    monkeypatch.setenv("FRAUD_DATA_DIR", str(tmp_path))


def _promoted(
    monkeypatch: pytest.MonkeyPatch, differences: dict[str, float | None], pinned_by: str | None = None
) -> list[str]:
    """Return who is promoted where the gate finds these differences: None of who is refused."""
    promoted = list[str]()

    def judged(_settings: Any, _logs: Any, _admission: Any, challenger: str, **_: Any) -> Gating:
        found = differences[challenger]
        verdict = Verdict(found is not None, (), {"ap_difference": found})
        return Gating(challenger, verdict, None, _audit(OURS, "gate", "follow"))

    def promote(_settings: Any, _logs: Any, gating: Gating, **_: Any) -> None:
        promoted.append(gating.challenger)

    monkeypatch.setattr(retrain, "judged", judged)
    monkeypatch.setattr(retrain, "promote", promote)
    nothing_new = create_autospec(Logs, instance=True)
    nothing_new.read.side_effect = lambda *_: iter(())
    docket = Docket(DUE.targets)
    if pinned_by:
        docket.answered(_audit(pinned_by, "promote", "pinned"))
    Retraining(Settings(), nothing_new, Admission(TrustedKeys({})), docket, OURS)._start(DUE)
    return promoted


def test_the_best_of_those_that_pass_is_promoted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Law: one is, whatever the order of the table; where none passes, none."""
    assert _promoted(monkeypatch, {"cells": 0.01, "leaves": 0.04, "adaptive": 0.02}) == ["leaves"]
    assert _promoted(monkeypatch, {"cells": None, "leaves": None, "adaptive": None}) == []


@pytest.mark.parametrize(("pinned_by", "promoted"), [("ana", []), (OURS, ["cells"]), (None, ["cells"])])
def test_what_a_person_pinned_stays(
    monkeypatch: pytest.MonkeyPatch, pinned_by: str | None, promoted: list[str]
) -> None:
    """Law: a pin of another's holds against whoever passes; our own does not."""
    assert _promoted(monkeypatch, {"cells": 0.01, "leaves": None, "adaptive": None}, pinned_by) == promoted
