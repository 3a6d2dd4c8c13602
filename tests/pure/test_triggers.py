"""Triggers of an unattended retraining: nothing twice within a cool-down, nothing missed, in any order."""

from collections.abc import Callable, Iterable
from functools import partial
from itertools import pairwise
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.monitors.rules import RULES
from schemas.fields import DAY_MS, HOUR_MS
from schemas.registry import Alert, Audit, Control
from streams.detector.triggers import BECAUSE_MAX, CRITERIA, TRIGGERS, Docket, Due

START_MS = 1_525_132_800_000
CHALLENGERS = ("cells", "leaves")
OURS = "retrainer"
DAYS = 40
COOL_DOWN_DAYS = {trigger.name: trigger.cool_down_days for trigger in TRIGGERS}


def _alert(name: str, at_ms: int, kind: str = "feature_drift", *, over: bool = False, asks: bool = True) -> Alert:
    return Alert.model_validate(
        {
            "alert_id": f"{name}-over" if over else name,
            "kind": kind,
            "severity": "warning",
            "subject": "card_pace",
            "text": "moved",
            "at_ms": at_ms + HOUR_MS if over else at_ms,
            "state": "cleared" if over else "firing",
            "fired_at_ms": at_ms,
            "action": "retrain" if asks and not over else None,
        }
    )


def _control(offset: int, kind: str, at_ms: int, **arguments: str) -> Control:
    fields = {"control_id": f"c-{offset}", "author": OURS, "kind": kind, "issued_at_ms": at_ms}
    return Control.model_validate({**fields, "arguments": arguments})


def _answer(offset: int, control: Control, **changes: str | None) -> Audit:
    fields = {
        "control_id": control.control_id,
        "control_offset": offset,
        "author": control.author,
        "kind": control.kind,
        "arguments": control.arguments,
        "outcome": "done",
        "text": "done",
        "mode": "follow",
        "sequence": offset,
        "at_ms": control.issued_at_ms,
    }
    return Audit.model_validate({**fields, **changes})


class _Log:
    """What is in the topics: a docket that is made of it knows what one that saw it come does."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []
        self.commands: list[tuple[int, Control]] = []
        self.answers: list[Audit] = []

    def carry_out(self, due: Due, now_ms: int) -> None:
        for target in due.targets:
            arguments = {**due.why, **({"challenger": target} if target else {})}
            control = _control(len(self.commands), due.action, now_ms, **arguments)
            self.commands.append((len(self.commands), control))
            self.answers.append(_answer(len(self.answers), control))

    def docket(self, chance: Random | None = None) -> Docket:
        docket = Docket(CHALLENGERS)
        docket.first_snapshot_ms = START_MS
        tells: list[Callable[[], None]] = [partial(docket.alert, each) for each in self.alerts]
        tells += [partial(docket.sent, *each) for each in self.commands]
        tells += [partial(docket.answered, each) for each in self.answers]
        if chance:
            tells += chance.sample(tells, len(tells) // 2)
            chance.shuffle(tells)
        for tell in tells:
            tell()
        return docket


class _Fire(NamedTuple):
    """An alert of a simulated run: when it begins, for how long, of which kind, whether it asks for a retraining."""

    at_h: int
    hours: int
    kind: str
    asks: bool


KINDS = ("feature_drift", "quality_drop", "latency")
FIRES = st.lists(
    st.builds(_Fire, st.integers(0, 24 * DAYS), st.integers(1, 24 * 20), st.sampled_from(KINDS), st.booleans()),
    max_size=12,
    unique_by=lambda fire: (fire.kind, fire.at_h),
)


class _Started(NamedTuple):
    at_h: int
    due: Due


def _run(fires: Iterable[_Fire], seed: int) -> list[_Started]:
    """Let the alerts come over the days, look each 6 hours with a docket that is made anew, and start what is due."""
    chance, log, started = Random(seed), _Log(), list[_Started]()
    told = list[tuple[int, Alert]]()
    for fire in fires:
        name, at_ms = f"{fire.kind}-{fire.at_h}", START_MS + fire.at_h * HOUR_MS
        told.append((fire.at_h, _alert(name, at_ms, fire.kind, asks=fire.asks)))
        told.append((fire.at_h + fire.hours, _alert(name, at_ms, fire.kind, over=True)))
    for hour in range(0, 24 * DAYS, 6):
        log.alerts = [alert for at_h, alert in told if at_h <= hour]
        now_ms = START_MS + hour * HOUR_MS
        while due := log.docket(chance).due(now_ms):
            assert due == log.docket().due(now_ms)
            log.carry_out(due, now_ms)
            started.append(_Started(hour, due))
    return started


@given(FIRES, st.integers(0, 1_000))
@settings(max_examples=40, deadline=None)
def test_nothing_is_started_twice_within_its_cool_down(fires: list[_Fire], seed: int) -> None:
    """Law: between two starts of one thing lies the cool-down of the row that started the second, whoever looks."""
    started = _run(fires, seed)
    for action, target in (("rebuild", ""), *(("gate", name) for name in CHALLENGERS)):
        of_it = [each for each in started if each.due.action == action and target in each.due.targets]
        for before, after in pairwise(of_it):
            assert after.at_h - before.at_h >= 24 * COOL_DOWN_DAYS[after.due.trigger]


@given(FIRES, st.integers(0, 1_000))
@settings(max_examples=40, deadline=None)
def test_nothing_is_missed(fires: list[_Fire], seed: int) -> None:
    """Law: an alert that asks and lasts for a cool-down is answered, a schedule kept, a criterion looked at daily."""
    started = _run(fires, seed)
    for fire in (each for each in fires if each.asks and each.at_h < 24 * (DAYS - 8)):
        for action, days in (("rebuild", 7), ("gate", 1)):
            if fire.hours > 24 * days + 6:
                within = [each.at_h for each in started if each.due.action == action]
                assert any(fire.at_h <= at_h <= fire.at_h + 24 * days + 6 for at_h in within)
    gates = [0, *(each.at_h for each in started if each.due.action == "gate"), 24 * DAYS]
    assert all(after - before <= 24 * 7 for before, after in pairwise(gates))
    for fire in (each for each in fires if each.kind in CRITERIA):
        nights = [at_h for at_h in gates if fire.at_h <= at_h < min(fire.at_h + fire.hours, 24 * DAYS)]
        assert len(nights) >= (min(fire.at_h + fire.hours, 24 * DAYS) - fire.at_h) // 30 - 1


@given(FIRES, st.integers(0, 1_000))
@settings(max_examples=40, deadline=None)
def test_only_what_asks_and_is_not_over_starts_anything(fires: list[_Fire], seed: int) -> None:
    """Law: each alert that a start names fires then, and asks once; without alerts there is the calendar alone."""
    when = {f"{fire.kind}-{fire.at_h}": fire for fire in fires}
    named = list[tuple[str, str]]()
    for at_h, due in _run(fires, seed):
        for name in due.because:
            assert when[name].at_h <= at_h < when[name].at_h + when[name].hours
        named += [(due.trigger, name) for name in due.because if not due.trigger.startswith("quality")]
    assert len(named) == len(set(named))
    calm = [(each.at_h // 24, each.due.trigger) for each in _run([], seed)]
    weeks = [(day, "weekly_gate") for day in (7, 14, 21, 28, 35)]
    assert calm == sorted([(28, "monthly_rebuild"), *weeks])


def test_an_alert_within_the_cool_down_waits_for_its_end() -> None:
    """Law: it starts nothing before, and then once; where it is over by then, nothing."""
    log = _Log()
    log.alerts = [_alert("a-1", START_MS)]
    due = log.docket().due(START_MS)
    assert due == Due("rebuild", ("",), "drift_rebuild", ("a-1",))
    log.carry_out(due, START_MS)
    log.carry_out(Due("gate", CHALLENGERS, "drift_gate", ("a-1",)), START_MS + 6 * DAY_MS)
    log.alerts.append(_alert("a-2", START_MS + DAY_MS))
    assert log.docket().due(START_MS + 7 * DAY_MS - 1) is None
    after = log.docket().due(START_MS + 7 * DAY_MS)
    assert after
    assert (after.action, after.because) == ("rebuild", ("a-2",))
    log.alerts.append(_alert("a-2", START_MS + DAY_MS, over=True))
    assert log.docket().due(START_MS + 7 * DAY_MS) is None


@pytest.mark.parametrize("outcome", ["done", "refused"])
def test_what_a_person_started_counts(outcome: str) -> None:
    """Law: a rebuild by hand begins the cool-down and answers what fired before it, refused or done."""
    docket = Docket(())
    docket.alert(_alert("a-1", START_MS))
    control = _control(4, "rebuild", START_MS + 1)
    docket.answered(_answer(4, control, outcome=outcome, author="ana"))
    assert docket.due(START_MS + 20 * DAY_MS) is None
    docket.alert(_alert("a-2", START_MS + 2))
    assert docket.due(START_MS + DAY_MS) is None
    assert docket.due(START_MS + 7 * DAY_MS + 1) == Due("rebuild", ("",), "drift_rebuild", ("a-2",))


def test_nothing_is_started_before_the_last_command_is_answered() -> None:
    """Law: one at a time, whoever's: what was sent and not answered yet counts as sent."""
    docket = Docket(CHALLENGERS)
    docket.alert(_alert("a-1", START_MS))
    control = _control(7, "rebuild", START_MS, because="a-1")
    docket.sent(7, control)
    assert docket.waits
    assert docket.due(START_MS) is None
    docket.answered(_answer(7, control))
    assert docket.due(START_MS) == Due("gate", CHALLENGERS, "drift_gate", ("a-1",))


def test_an_answer_to_what_nobody_believes_counts_for_nothing() -> None:
    """Law: who may write commands without a trusted key cannot hold a retraining back."""
    docket = Docket(())
    docket.alert(_alert("a-1", START_MS))
    docket.answered(_answer(3, _control(3, "rebuild", START_MS + 1), kind=None, author=None, outcome="refused"))
    assert docket.due(START_MS + 2) == Due("rebuild", ("",), "drift_rebuild", ("a-1",))


def test_a_clock_that_is_ahead_starts_nothing_twice() -> None:
    """Law: an alert that is dated after the command that names it is answered by that command."""
    docket = Docket(())
    docket.alert(_alert("a-1", START_MS + HOUR_MS))
    docket.answered(_answer(3, _control(3, "rebuild", START_MS, because="a-0,a-1")))
    assert docket.due(START_MS + 9 * DAY_MS) is None


def test_who_was_not_judged_is_due_still() -> None:
    """Law: a gate that was ended in the middle goes on with those that are left."""
    docket = Docket(CHALLENGERS)
    docket.first_snapshot_ms = START_MS
    docket.answered(_answer(3, _control(3, "gate", START_MS + 7 * DAY_MS, challenger="cells")))
    assert docket.due(START_MS + 7 * DAY_MS) == Due("gate", ("leaves",), "weekly_gate", ())


def test_before_the_first_snapshot_no_schedule_counts() -> None:
    """Law: where there is no model yet nothing is due by the calendar."""
    assert Docket(CHALLENGERS).due(START_MS) is None


def test_a_flood_of_alerts_makes_no_large_command() -> None:
    """Law: a command names the newest alerts only, and answers the others as well."""
    docket = Docket(())
    for at in range(100):
        docket.alert(_alert(f"a-{at:02}", START_MS + at))
    due = docket.due(START_MS + 200)
    assert due
    assert due.because == tuple(f"a-{at}" for at in range(99, 99 - BECAUSE_MAX, -1))
    docket.answered(_answer(3, _control(3, "rebuild", START_MS + 200, **due.why)))
    assert docket.due(START_MS + 9 * DAY_MS) is None


def test_what_a_person_has_pinned_is_told() -> None:
    """Law: the last change of what decides counts, in whatever order they come; our own pin binds nobody."""
    ours, theirs = _control(3, "promote", START_MS), _control(4, "roll_back", START_MS + 1)
    answers = [
        _answer(3, ours, mode="pinned"),
        _answer(4, theirs, mode="pinned", author="ana"),
        _answer(5, _control(5, "promote", START_MS), mode="pinned", outcome="refused"),
        _answer(6, _control(6, "follow", START_MS), author="ana"),
    ]
    assert [_pinned(answers[:last]) for last in range(5)] == [False, False, True, True, False]
    assert _pinned(answers[2::-1])


def _pinned(answers: Iterable[Audit]) -> bool:
    docket = Docket(())
    for each in answers:
        docket.answered(each)
    return docket.pinned_by_another(OURS)


def test_each_criterion_is_an_alert_of_the_monitors() -> None:
    """Law: what the table waits for exists."""
    assert {rule.name for rule in RULES} >= CRITERIA
