"""`python -m streams models gate`: judge a challenger, have that noted in the audit log, and promote it."""

import argparse
import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from schemas.learning import ModelVersion
from schemas.registry import Audit
from schemas.settings import Settings
from schemas.topics import MODELS, PREDICTIONS, SHADOW_SCORES, TRAINING
from streams.commands_to_kafka import command
from streams.detector.admission import Admission, NotAdmittedError
from streams.detector.challengers import TABLE
from streams.detector.stage import Record
from streams.documents import shipped_policy
from streams.experiments import Run, log_range, log_ranges, recorded
from streams.look_back import MODELS_BACK, backwards
from streams.models.comparing import metrics_of
from streams.models.labelled import labelled
from streams.quality.figures import rounded
from streams.quality.gate import Verdict, judge
from streams.recompute.logs import Logs

PASSED, REFUSED = 0, 1
TOLD = ("payments", "frauds", "ap", "ap_champion", "ap_difference", "said_was", "score_us")
"""Figures that go into the audit log."""
REASONS_CHARACTERS_MAX = 400


def gate(flags: argparse.Namespace, settings: Settings, logs: Logs, admission: Admission, run_: Run) -> int:
    """Judge, have it noted, promote; return the exit status: 0 it passes, 1 it or its promotion is refused."""
    run_.log = log_ranges(logs, (TRAINING, PREDICTIONS, SHADOW_SCORES))
    actions = {rule.name: rule.action for rule in shipped_policy().rules}
    verdict = judge(labelled(logs, flags.challenger, flags.days, actions))
    found = newest(logs, admission, flags.challenger)
    verdict = with_what_is_promoted(verdict, flags.challenger, found[1] if found else None)
    noted = command(settings, logs, "gate", event(verdict, flags.challenger, found), flags.wait)
    answered(run_, noted)
    run_.metrics = metrics_of(verdict.figures)
    run_.answer = {**run_.answer, "judged": found[1].version if found else "no snapshot"}
    run_.refused = run_.refused or "; ".join(verdict.reasons) or None
    promoted = None
    if flags.promote and verdict.passes and found:
        promoted = _promote(settings, logs, found, run_, flags.wait)
    told = {
        "challenger": flags.challenger,
        "passes": verdict.passes,
        "reasons": list(verdict.reasons),
        "version": found[1].version if found else None,
        "promoted": bool(promoted and promoted.outcome == "done"),
        "control_id": noted.control_id,
        "figures": figures_told(verdict.figures),
    }
    sys.stdout.write((json.dumps(told) if flags.json else _words(told)) + "\n")
    done = noted.outcome == "done" and (promoted is None or promoted.outcome == "done")
    return PASSED if verdict.passes and done else REFUSED


def _promote(settings: Settings, logs: Logs, found: tuple[Record, ModelVersion], judged: Run, wait_s: float) -> Audit:
    """Put the snapshot that was judged in force; that is a run of its own."""
    record, model = found
    with recorded(settings, "promote", {**judged.configuration, "version": model.version}) as run_:
        run_.log = (log_range(MODELS, 0, record.offset, record.offset + 1),)
        arguments = {"version": model.version, "model_offset": str(record.offset)}
        answer = command(settings, logs, "promote", arguments, wait_s)
        answered(run_, answer)
    return answer


def answered(run_: Run, answer: Audit) -> None:
    """Tell a run what became of its command."""
    told = {"control_id": answer.control_id, "version": answer.version, "mode": answer.mode}
    run_.answer = {name: value for name, value in told.items() if value}
    run_.refused = None if answer.outcome == "done" else f"{answer.reason}: {answer.text}"


def newest(logs: Logs, admission: Admission, challenger: str) -> tuple[Record, ModelVersion] | None:
    """Return the last sound snapshot of a challenger with its record; None where there is none."""
    for records in backwards(logs, MODELS, MODELS_BACK):
        for record in reversed(list(records)):
            with suppress(NotAdmittedError):
                model = admission.snapshot(record).model
                if model.challenger == challenger:
                    return record, model
    return None


def with_what_is_promoted(verdict: Verdict, challenger: str, model: ModelVersion | None) -> Verdict:
    """Return the verdict with what speaks against promoting whatever its scores are worth."""
    reasons = list(verdict.reasons)
    if challenger not in TABLE or not TABLE[challenger].promotable:
        reasons.append("not_promotable: the deciders cannot load a model of its kind")
    elif model is None:
        reasons.append("no_snapshot: it has left none yet")
    return verdict._replace(passes=not reasons, reasons=tuple(reasons))


def event(verdict: Verdict, challenger: str, found: tuple[Record, ModelVersion] | None) -> dict[str, str]:
    """Return what the audit log is told of a verdict."""
    told = {name: str(rounded(float(verdict.figures[name]))) for name in TOLD if name in verdict.figures}
    return {
        "challenger": challenger,
        "verdict": "passed" if verdict.passes else "refused",
        "reasons": "; ".join(verdict.reasons)[:REASONS_CHARACTERS_MAX],
        "version": found[1].version if found else "",
        **told,
    }


def figures_told(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return figures as JSON has them: rounded, and null where there is none."""
    return {name: _told(value) for name, value in figures.items()}


def _told(value: Any) -> Any:
    if isinstance(value, dict):
        return figures_told(value)
    if isinstance(value, list | tuple):
        return [_told(each) for each in value]
    return rounded(value, 6) if isinstance(value, float) else value


def _words(told: Mapping[str, Any]) -> str:
    state = "passes" if told["passes"] else "is refused"
    lines = [f"{told['challenger']} ({told['version'] or 'no snapshot'}) {state}{', promoted' * told['promoted']}"]
    lines += [f"  {reason}" for reason in told["reasons"]]
    lines += [f"  {name} {value}" for name, value in told["figures"].items() if name != "segments"]
    return "\n".join(lines)
