"""The rules: what is measured over which window, how often, from when on it is an alert, and what is to be done."""

from collections.abc import Callable
from typing import NamedTuple

from consumers.monitors import queries
from consumers.monitors.finding import Columns, Finding
from consumers.monitors.inputs import features_moved, score_moved, segments_moved
from consumers.monitors.outcomes import decisions_moved, errors_rose, labels_jumped, miscalibrated, quality_dropped
from consumers.monitors.service import quiet, refused, slow, stale, stored_late
from schemas.fields import DAY_MS, HOUR_MS
from schemas.registry import Severity

MINUTE_MS = 60_000


class Span(NamedTuple):
    """A recent window and the reference before it, ms."""

    recent_ms: int
    reference_ms: int = 0


class Probe(NamedTuple):
    """One query, and the judge of what it gives."""

    sql: str
    judge: Callable[[Columns], Finding | None]


class Rule(NamedTuple):
    """One rule of the table.

    `every_ms` is the least time between two looks; `to_fire` and `to_clear` are looks in a row. `evidence` is the span
    over which the probes look for the cause: none where the rule's own fact says it. With `retrain` an alert asks for a
    model that learns anew, where its cause is one that this helps against.
    """

    name: str
    probe: Probe
    span: Span
    every_ms: int
    severity: Severity = "warning"
    to_fire: int = 2
    to_clear: int = 3
    evidence: Span | None = None
    retrain: bool = False

    @property
    def runbook(self) -> str:
        """Where it says what to do."""
        return f"README.md#alert-{self.name.replace('_', '-')}"


FEATURES = Probe(queries.FEATURES, features_moved)
SCORE = Probe(queries.SCORE, score_moved)
SEGMENTS = Probe(queries.SEGMENTS, segments_moved)
DECISIONS = Probe(queries.DECISIONS, decisions_moved)

EVIDENCE: tuple[Probe, ...] = (FEATURES, SCORE, SEGMENTS, DECISIONS)
"""What is looked at beside the rule that fired, over its span of evidence."""

DAY_AND_WEEK = Span(DAY_MS, 7 * DAY_MS)
HOURS_AND_WEEK = Span(6 * HOUR_MS, 7 * DAY_MS)
WEEK_AND_MONTH = Span(7 * DAY_MS, 28 * DAY_MS)
LABELLED = Span(14 * DAY_MS, 28 * DAY_MS)
"""When payments were decided whose labels became known within a week, most of them."""

RULES: tuple[Rule, ...] = (
    Rule("feature_drift", FEATURES, DAY_AND_WEEK, HOUR_MS, evidence=DAY_AND_WEEK, retrain=True),
    Rule("segment_drift", SEGMENTS, DAY_AND_WEEK, HOUR_MS, evidence=DAY_AND_WEEK, retrain=True),
    Rule("score_drift", SCORE, DAY_AND_WEEK, HOUR_MS, evidence=DAY_AND_WEEK, retrain=True),
    Rule("decision_mix", DECISIONS, HOURS_AND_WEEK, 10 * MINUTE_MS, "critical", 3, 6, evidence=HOURS_AND_WEEK),
    Rule(
        "quality_drop",
        Probe(queries.QUALITY, quality_dropped),
        WEEK_AND_MONTH,
        6 * HOUR_MS,
        "critical",
        evidence=LABELLED,
        retrain=True,
    ),
    Rule(
        "error_drift",
        Probe(queries.ERRORS, errors_rose),
        Span(7 * DAY_MS),
        6 * HOUR_MS,
        evidence=LABELLED,
        retrain=True,
    ),
    Rule(
        "calibration",
        Probe(queries.CALIBRATION, miscalibrated),
        Span(7 * DAY_MS),
        6 * HOUR_MS,
        evidence=LABELLED,
        retrain=True,
    ),
    Rule("label_rate", Probe(queries.LABELS, labels_jumped), Span(DAY_MS, 35 * DAY_MS), HOUR_MS),
    Rule("latency", Probe(queries.LATENCY, slow), Span(10 * MINUTE_MS), MINUTE_MS, "critical", 3, 5),
    Rule("sink_lag", Probe(queries.STORED, stored_late), Span(0, 4 * DAY_MS), MINUTE_MS, "critical", 2, 2),
    Rule("throughput", Probe(queries.ARRIVED, quiet), Span(15 * MINUTE_MS, 4 * DAY_MS), MINUTE_MS, "critical", 2, 5),
    Rule("dead_letters", Probe(queries.REFUSED, refused), Span(15 * MINUTE_MS), MINUTE_MS, "warning", 2, 5),
    Rule("model_age", Probe(queries.MODEL, stale), Span(0), 10 * MINUTE_MS),
)
