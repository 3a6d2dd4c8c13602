"""Alerts over simulated weeks: how often one fires without a reason, how soon with one, and if it names the cause.

The rules, the judges, hysteresis and causes are those of the monitors; the store is drawn (`tests/simulated_store.py`).
A smaller part asks a real store: the queries must give the judges what pandas works out of the same rows.
"""

from collections import Counter, defaultdict
from contextlib import closing
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from consumers.migrations_to_clickhouse import migrate
from consumers.monitors.board import Board
from consumers.monitors.rules import RULES
from consumers.warehouse import open_warehouse
from schemas.fields import HOUR_MS
from schemas.registry import Alert, Cause
from schemas.settings import Settings
from tests.monitored import NOW_MS, Seeded, differing, expected
from tests.simulated_store import START_MS, Change, Planted, SimulatedStore

WEEKS = 1_000
BLOCK_WEEKS = 50
WEEK_HOURS = 168
WARM_UP_HOURS = 6 * WEEK_HOURS
"""What the longest reference takes."""
FALSE_MAX = 0.01
PLANTED_EACH = 20
CAUSE_MIN = 0.9
FOUND_MIN = 0.9


class Expected(NamedTuple):
    """What a planted change is to be called, within how many hours an alert is to come, and how long is looked."""

    cause: Cause
    hours_max: int
    hours: int


PLANTED: dict[Change, Expected] = {
    "feature": Expected("input_feature", 24, 48),
    "mix": Expected("input_mix", 24, 48),
    "broken_field": Expected("broken_field", 24, 48),
    "fraud_pattern": Expected("fraud_pattern", 14 * 24, 21 * 24),
    "policy": Expected("own_policy", 24, 48),
}
NAMED = frozenset(
    ["feature_drift", "segment_drift", "score_drift", "decision_mix", "quality_drop", "error_drift", "calibration"]
)
"""The rules that look for a cause."""


def run(*, weeks: int = WEEKS, each: int = PLANTED_EACH, seed: int = 1) -> dict[str, Any]:
    """Return how often each rule fires in a week without a change, and what became of the planted ones."""
    false = false_alarms(weeks, seed)
    wrong = queries_that_differ()
    figures: dict[str, Any] = {"weeks": weeks, "false_a_week": false, "queries": len(RULES), "queries_differing": wrong}
    holds = max(false.values()) <= FALSE_MAX and not wrong
    for change, wanted in PLANTED.items():
        told = figures[change] = planted(change, wanted, each, seed)
        holds &= told["found"] >= FOUND_MIN and told["cause_right"] >= CAUSE_MIN
        holds &= told["hours_median"] is not None and told["hours_median"] <= wanted.hours_max
    bounds = {
        "queries_differing": [],
        "false_a_week_max": FALSE_MAX,
        "found_min": FOUND_MIN,
        "cause_right_min": CAUSE_MIN,
        "hours_median_max": {change: expected.hours_max for change, expected in PLANTED.items()},
    }
    return {**figures, "bounds": bounds, "holds": bool(holds)}


def false_alarms(weeks: int, seed: int) -> dict[str, float]:
    """Return for each rule the share of weeks in which it fires though nothing has changed.

    A rule that looks oftener than once an hour is shown the worst of the hour, and fires at once.
    """
    fired: Counter[str] = Counter()
    rules = [rule if rule.every_ms >= HOUR_MS else rule._replace(to_fire=1, to_clear=1) for rule in RULES]
    for block in range(-(-weeks // BLOCK_WEEKS)):
        here = min(BLOCK_WEEKS, weeks - block * BLOCK_WEEKS)
        store = SimulatedStore(WARM_UP_HOURS + here * WEEK_HOURS, seed + block)
        board = Board(rules)
        weeks_fired: set[tuple[str, int]] = set()
        for hour in range(WARM_UP_HOURS, store.hours):
            looked(board, store, hour)
            week = (hour - WARM_UP_HOURS) // WEEK_HOURS
            weeks_fired |= {(name, week) for name in board.firing}
        fired.update(name for name, _ in weeks_fired)
    return {rule.name: round(fired[rule.name] / weeks, 5) for rule in RULES}


def queries_that_differ() -> list[str]:
    """Return the rules whose query on a real store gives another figure than pandas does."""
    seeded = Seeded()
    with TemporaryDirectory() as folder, closing(open_warehouse(Settings(data_dir=Path(folder)))) as store:
        migrate(store)
        seeded.fill(store)
        return [
            rule.name
            for rule in RULES
            if differing(
                store.query_columns(rule.probe.sql, {"now_ms": NOW_MS, **rule.span._asdict()}),
                expected(seeded, rule.probe.sql, *rule.span),
            )
        ]


def looked(board: Board, store: SimulatedStore, hour: int) -> list[Alert]:
    """Let every rule that is due look at the end of an hour; return the alerts that begin."""
    now_ms = START_MS + hour * HOUR_MS
    begun = []
    for rule in board.due(now_ms):
        alert = board.judge(rule, store.ask, now_ms)
        if alert:
            board.settle(alert)
            if alert.state == "firing":
                begun.append(alert)
    return begun


def planted(change: Change, wanted: Expected, number: int, seed: int) -> dict[str, Any]:
    """Plant a change so many times; return how soon an alert came, and how often its cause was the one planted."""
    chance = np.random.default_rng(seed)
    delays: list[int] = []
    right: list[bool] = []
    all_right: list[bool] = []
    by: defaultdict[str, list[int]] = defaultdict(list)
    for at in range(number):
        onset = WARM_UP_HOURS + int(chance.integers(0, WEEK_HOURS))
        strength = (at + 0.5) / number
        store = SimulatedStore(onset + wanted.hours, seed + 1_000 + at, Planted(change, onset, strength))
        board = Board(rule for rule in RULES if rule.name in NAMED)
        begun = [
            (hour - onset, alert)
            for hour in range(onset - 24, store.hours)
            for alert in looked(board, store, hour)
            if hour > onset
        ]
        if not begun:
            continue
        delays.append(begun[0][0])
        right.append(begun[0][1].cause == wanted.cause)
        all_right += [alert.cause == wanted.cause for _, alert in begun]
        for hours, alert in begun:
            by[alert.kind].append(hours)
    return {
        "planted": number,
        "found": round(len(delays) / number, 3),
        "hours_median": median(delays) if delays else None,
        "hours_max": max(delays, default=None),
        "cause_right": round(sum(right) / max(1, len(right)), 3),
        "causes_right_of_all": round(sum(all_right) / max(1, len(all_right)), 3),
        "alerts": {kind: {"fired": len(hours), "hours_median": median(hours)} for kind, hours in sorted(by.items())},
    }
