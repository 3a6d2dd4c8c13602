"""The rules' state: which alerts fire, and what each look changes.

Which alerts fire is told by who keeps them, and is not lost with a process. Looks in a row are: after a restart an
alert takes as many looks as it does at first.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from consumers.monitors.causes import RETRAIN, cause_of
from consumers.monitors.finding import Columns, Fact, Finding
from consumers.monitors.hysteresis import Run, change
from consumers.monitors.rules import EVIDENCE, RULES, Probe, Rule, Span
from schemas.fields import without_card_numbers
from schemas.registry import Alert

Ask = Callable[[str, Mapping[str, Any]], Columns]
"""A query and its parameters -> its result by column."""

TEXT_CHARACTERS_MAX = 500
NAME_CHARACTERS_MAX = 64
NOT_IN_NAMES = str.maketrans(dict.fromkeys(" /,;'\"()[]{}", "-"))


def look(probe: Probe, span: Span, ask: Ask, now_ms: int) -> Finding | None:
    """Return what a probe finds over a span that ends now; None where there is too little to judge."""
    return probe.judge(ask(probe.sql, {"now_ms": now_ms, **span._asdict()}))


class Board:
    """All rules, how many looks in a row each has, and which alerts fire."""

    def __init__(self, rules: Iterable[Rule] = RULES) -> None:
        self._rules = tuple(rules)
        self._runs = {rule.name: Run() for rule in self._rules}
        self._looked_ms: dict[str, int] = {}
        self.firing: dict[str, Alert] = {}

    def due(self, now_ms: int) -> list[Rule]:
        """Return the rules whose last look is as long ago as it should be."""
        return [
            rule for rule in self._rules if now_ms - self._looked_ms.get(rule.name, -rule.every_ms) >= rule.every_ms
        ]

    def judge(self, rule: Rule, ask: Ask, now_ms: int) -> Alert | None:
        """Look, and return the alert that begins or ends by it. It is not in force before `settle`."""
        self._looked_ms[rule.name] = now_ms
        finding = look(rule.probe, rule.span, ask, now_ms)
        self._runs[rule.name] = run = self._runs[rule.name].after(finding)
        before = self.firing.get(rule.name)
        state = change(run, firing=before is not None, to_fire=rule.to_fire, to_clear=rule.to_clear)
        if finding is None or state is None:
            return None
        if before is not None:
            return cleared(before, finding, now_ms)
        facts: set[Fact] = set(finding.facts)
        if rule.evidence:
            others = (look(probe, rule.evidence, ask, now_ms) for probe in EVIDENCE if probe != rule.probe)
            facts = facts.union(*(other.facts for other in others if other))
        return fired(rule, finding, facts, now_ms)

    def settle(self, alert: Alert) -> None:
        """Take note of an alert that was written."""
        if alert.state == "firing":
            self.firing[alert.kind] = alert
        elif alert.state == "cleared":
            self.firing.pop(alert.kind, None)


def fired(rule: Rule, finding: Finding, facts: Iterable[Fact], now_ms: int) -> Alert:
    """Return the alert of a rule that begins to fire, with its cause."""
    cause = cause_of(frozenset(facts))
    return Alert(
        alert_id=_id(rule.name, now_ms, "firing"),
        kind=rule.name,
        severity=rule.severity,
        subject=name_of(finding.subject),
        text=_words(finding.text),
        at_ms=now_ms,
        state="firing",
        fired_at_ms=now_ms,
        value=finding.value,
        bound=finding.bound,
        cause=cause,
        action="retrain" if rule.retrain and cause in RETRAIN else None,
        runbook=rule.runbook,
    )


def cleared(before: Alert, finding: Finding, now_ms: int) -> Alert:
    """Return the record that says an alert is over."""
    changes = {
        "alert_id": _id(before.kind, before.fired_at_ms, "cleared"),
        "text": _words(finding.text),
        "at_ms": now_ms,
        "state": "cleared",
        "value": finding.value,
        "bound": finding.bound,
        "action": None,
    }
    return before.model_copy(update=changes)


def name_of(subject: str) -> str:
    """Return a subject as a message may name it.

    >>> name_of("card amount"), name_of("")
    ('card-amount', 'none')
    """
    return subject.translate(NOT_IN_NAMES)[:NAME_CHARACTERS_MAX] or "none"


def _words(text: str) -> str:
    return without_card_numbers(text.encode()).decode()[:TEXT_CHARACTERS_MAX]


def _id(kind: str, fired_at_ms: int | None, state: str) -> str:
    return hashlib.sha256(f"{kind} {fired_at_ms} {state}".encode()).hexdigest()[:16]
