"""Commands to the registry as runs: what is recorded of a promotion, a rebuild and a gate. Kafka is in memory."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from schemas.experiment import Experiment
from schemas.registry import Audit
from schemas.settings import Settings
from schemas.topics import ALIASES, MODELS, TRAINING, Topic
from streams.__main__ import main
from streams.detector.admission import CHAMPION
from streams.detector.learner import Kind, Learner
from streams.detector.stage import Record
from streams.experiments import read
from streams.models import command as registry
from streams.models import gating
from streams.models.flags import KIND_OF
from streams.quality.gate import Verdict
from streams.quality.resampling import Interval
from tests.signed import AT_MS, TRUSTED, alias_of, record_of

MODEL = Learner(kind=Kind("cells")).snapshot(0)
RECORDS = {
    MODELS.name: [record_of(MODELS, 0, MODEL.version, MODEL)],
    ALIASES.name: [record_of(ALIASES, 0, CHAMPION, alias_of("m-1", 1, history=(MODEL.version,)))],
}


class _Logs:
    """Topics in memory, one partition each."""

    def __init__(self, _settings: Settings, _reader: str) -> None:
        self.closed = False

    def partitions(self, _topic: Topic) -> int:
        return 1

    def bounds(self, topic: Topic, _partition: int) -> tuple[int, int]:
        return 0, len(RECORDS.get(topic.name, ()))

    def read(self, topic: Topic, _partition: int, start: int = 0) -> Iterator[Record]:
        return iter(RECORDS.get(topic.name, [])[start:])

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry that does what it is told, but for rebuilding, and where runs are recorded."""

    def answer(_settings: Settings, _logs: _Logs, kind: str, arguments: Mapping[str, str], _wait_s: float) -> Audit:
        told = {"control_id": f"c-{kind}", "control_offset": 0, "author": "ann", "text": "so", "mode": "pinned",
                "sequence": 2, "at_ms": AT_MS, "version": arguments.get("version", "m-1"),
                "outcome": "refused" if kind == "rebuild" else "done",
                "reason": "no_log" if kind == "rebuild" else None}  # fmt: skip
        return Audit.model_validate(told)

    for module in (registry, gating):
        monkeypatch.setattr(module, "command", answer)
    monkeypatch.setattr(registry, "KafkaLogs", _Logs)
    monkeypatch.setattr(registry, "trusted_of", lambda _: TRUSTED)
    monkeypatch.setenv("FRAUD_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("FRAUD_TOPIC_PREFIX", "a.")
    return tmp_path


def _ranges(run: Experiment) -> list[tuple[str, int, int]]:
    return [(each.topic, each.first_offset, each.last_offset) for each in run.log]


@pytest.mark.parametrize("arguments", [["promote", MODEL.version], ["rollback"]], ids=lambda it: it[0])
def test_a_promotion_names_the_snapshot_and_its_place(data_dir: Path, arguments: list[str]) -> None:
    """Law: the data of a promotion is the record that comes in force; the answer says what is in force then."""
    assert main(["models", *arguments]) == 0
    (run,), _ = read(data_dir)
    assert (run.kind, run.status, _ranges(run)) == (arguments[0], "done", [(MODELS.name, 0, 0)])
    assert run.answer == {"control_id": f"c-{KIND_OF[arguments[0]]}", "version": MODEL.version,
                          "mode": "pinned"}  # fmt: skip
    assert run.configuration["topic_prefix"] == "a."


def test_a_refusal_is_recorded_as_one(data_dir: Path) -> None:
    """Law: what the registry refused ran, and has its reason; following and rebuilding name their log."""
    assert main(["models", "rebuild"]) == 1
    assert main(["models", "follow"]) == 0
    rebuild, follow = read(data_dir)[0]
    assert (rebuild.status, rebuild.reason, _ranges(rebuild)) == ("refused", "no_log: so", [(TRAINING.name, 0, -1)])
    assert (follow.status, _ranges(follow)) == ("done", [(MODELS.name, 0, 0)])


def test_what_is_not_there_is_a_failed_run(data_dir: Path) -> None:
    """Law: a version that nobody cut ends the command with a reason, which is recorded."""
    assert main(["models", "promote", "m-9"]) == 2
    (run,), _ = read(data_dir)
    assert (run.status, run.reason) == ("failed", "there is no sound snapshot m-9")
    assert run.configuration["version"] == "m-9"


def test_a_gate_has_its_figures_and_reasons(data_dir: Path) -> None:
    """Law: a verdict that refuses is a refused run with the verdict's figures, over all that it read."""
    assert main(["models", "gate", "cells", "--days", "7"]) == 1
    (run,), _ = read(data_dir)
    assert (run.kind, run.status, run.metrics) == ("gate", "refused", {"payments": 0.0, "frauds": 0.0})
    assert (run.reason or "").startswith("too_few")
    assert (run.configuration["challenger"], run.configuration["days"]) == ("cells", 7)
    assert {each.topic for each in run.log} == {"fraud.training.v1", "fraud.predictions.v1", "fraud.shadow-scores.v1"}
    assert run.answer["judged"] == MODEL.version


def test_a_gate_that_promotes_leaves_two_runs(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Law: the promotion is a run of its own, and the gate's has the figures that it was granted on."""
    figures = {"ap": 0.5, "ap_difference_interval": Interval(0.1, 0.2), "said_was": float(np.nan), "segments": [{}]}
    monkeypatch.setattr(gating, "judge", lambda _rows: Verdict(passes=True, reasons=(), figures=figures))
    assert main(["models", "gate", "cells", "--promote"]) == 0
    promotion, gate = read(data_dir)[0]
    assert (promotion.kind, promotion.status, _ranges(promotion)) == ("promote", "done", [(MODELS.name, 0, 0)])
    assert promotion.configuration["version"] == MODEL.version
    assert (gate.kind, gate.status) == ("gate", "done")
    assert gate.metrics == {"ap": 0.5, "ap_difference_interval.low": 0.1, "ap_difference_interval.high": 0.2}
