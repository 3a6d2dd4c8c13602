"""Hysteresis, causes and the board of the monitors' rules, and a simulated week in which they look."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.monitors.board import Board
from consumers.monitors.causes import CAUSES, RETRAIN, cause_of
from consumers.monitors.finding import Columns, Fact, Finding
from consumers.monitors.hysteresis import Run, change
from consumers.monitors.rules import EVIDENCE, RULES, Probe, Rule, Span
from schemas.registry import Alert, Cause
from tests.bench.drift import PLANTED, false_alarms, planted
from tests.house.tree import ROOT

NOW_MS = 1_525_132_800_000

CASES: list[tuple[set[Fact], Cause]] = [
    ({"missing", "mix_shifted"}, "broken_pipeline"),
    ({"mix_shifted", "field_broken", "score_moved"}, "input_mix"),
    ({"field_broken", "feature_moved", "loss_up"}, "broken_field"),
    ({"feature_moved", "policy_changed"}, "input_feature"),
    ({"recall_down", "loss_up", "policy_changed"}, "fraud_pattern"),
    ({"recall_down", "policy_changed"}, "own_policy"),
    ({"recall_down"}, "fraud_pattern"),
    ({"labels_jumped"}, "labels"),
    ({"miscalibrated"}, "model"),
    ({"decisions_moved"}, "unknown"),
    (set(), "unknown"),
]


@pytest.mark.parametrize(("facts", "cause"), CASES)
def test_the_cause_is_read_from_the_facts(facts: set[Fact], cause: Cause) -> None:
    """Law: what broke comes before what moved, and what came in before what we made of it."""
    assert cause_of(facts) == cause


def test_each_row_of_the_causes_can_be_the_one() -> None:
    """Law: no row stands behind one that always fits where it does."""
    assert all(any(cause_of({fact}) == row.cause for fact in row.any_of) for row in CAUSES)
    assert "broken_field" not in RETRAIN


@given(st.lists(st.sampled_from([True, False, None]), max_size=60), st.integers(1, 4), st.integers(1, 4))
def test_an_alert_fires_and_clears_after_so_many_looks(looks: list[bool | None], fire: int, clear: int) -> None:
    """Law: changes alternate, and each follows its number of looks in a row, those without a finding left out."""
    run, firing, changes = Run(), False, []
    seen: list[bool] = []
    for over in looks:
        run = run.after(None if over is None else Finding(over, 0, 0, 1, "a", "b"))
        seen += [] if over is None else [over]
        if state := change(run, firing=firing, to_fire=fire, to_clear=clear):
            firing = state == "firing"
            changes.append(state)
            least = fire if firing else clear
            assert seen[-least:] == [firing] * least
    assert changes == [("firing", "cleared")[n % 2] for n in range(len(changes))]


class Told:
    """A rule whose figures a test chooses."""

    def __init__(self) -> None:
        self.over = True
        self.asked: list[str] = []
        self.rule = Rule("told", Probe("told", self._judge), Span(1), 1_000, to_fire=2, to_clear=2, retrain=True)

    def _judge(self, _: Columns) -> Finding:
        return Finding(self.over, 3.0, 2.0, 9, "card amount", "4111111111111111 moved", frozenset({"loss_up"}))

    def ask(self, sql: str, _: Mapping[str, Any]) -> Columns:
        self.asked.append(sql)
        return defaultdict(list)


def looks(board: Board, told: Told, *seconds: int) -> list[Alert | None]:
    made = [board.judge(told.rule, told.ask, NOW_MS + second * 1_000) for second in seconds]
    for alert in made:
        if alert:
            board.settle(alert)
    return made


def test_an_alert_names_its_cause_and_what_is_to_be_done() -> None:
    """Law: firing and clearing are two records of one incident, machine-readable, and hold no card number."""
    told = Told()
    board = Board([told.rule])
    none, fired = looks(board, told, 0, 1)
    told.over = False
    quiet_one, over = looks(board, told, 2, 3)
    assert none is None is quiet_one
    assert fired is not None is not over
    assert (fired.state, fired.cause, fired.action, fired.subject) == (
        "firing",
        "fraud_pattern",
        "retrain",
        "card-amount",
    )
    assert fired.text == "[card number removed] moved"
    assert (over.state, over.action, over.fired_at_ms) == ("cleared", None, fired.at_ms)
    assert fired.alert_id != over.alert_id
    assert board.firing == {}


def test_a_rule_with_evidence_asks_every_probe_once_it_fires() -> None:
    """Law: the cause is looked for over the rule's own span, and not before there is an alert."""
    told = Told()
    rule = told.rule._replace(evidence=Span(1, 2))
    board = Board([rule])
    board.judge(rule, told.ask, NOW_MS)
    assert told.asked == ["told"]
    board.judge(rule, told.ask, NOW_MS + 1_000)
    assert told.asked[1:] == ["told", *(probe.sql for probe in EVIDENCE)]


def test_a_rule_is_looked_at_when_it_is_due() -> None:
    """Law: at once, and again after its interval."""
    told = Told()
    board = Board([told.rule])
    assert board.due(NOW_MS) == [told.rule]
    board.judge(told.rule, told.ask, NOW_MS)
    assert board.due(NOW_MS + 999) == []
    assert board.due(NOW_MS + 1_000) == [told.rule]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_each_rule_has_its_line_in_the_runbook(rule: Rule) -> None:
    """Law: the link of an alert leads to a line that says what to do."""
    path, _, anchor = rule.runbook.partition("#")
    assert f'<a id="{anchor}"></a>`{rule.name}`' in (ROOT / path).read_text(encoding="utf-8")


def test_a_simulated_week_is_quiet_and_planted_changes_are_found_and_named() -> None:
    """Law: in short what `tests.bench drift` measures at length."""
    assert set(false_alarms(1, seed=3).values()) == {0.0}
    told = planted("mix", PLANTED["mix"], 2, seed=3)
    assert (told["found"], told["cause_right"]) == (1.0, 1.0)
