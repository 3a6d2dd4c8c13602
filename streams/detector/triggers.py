"""What starts a retraining with nobody there: a table of triggers, and what is due by what was told and done. Pure.

All that counts is in topics: alerts, commands as they were sent, and the answers to them. So a restart forgets nothing,
and what a person has started counts like what was started here. What is told may come in any order, and repeatedly.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple

from schemas.fields import DAY_MS, TimeMs
from schemas.registry import Alert, Audit, Control, RegistryMode

On = Literal["alert", "criterion", "schedule"]
"""An alert that asks for it is answered by one start. A criterion is looked at again after each cool-down, for as long
as it fails. A schedule needs nothing but time."""
Action = Literal["rebuild", "gate"]
CHAMPION_S_FOLD = ""
"""The target of a rebuild: there is one. Those of a gate are challengers."""


class Trigger(NamedTuple):
    """One row: what starts what, and how long after the last start of that, by whomever, it starts nothing."""

    name: str
    on: On
    starts: Action
    cool_down_days: int


TRIGGERS: tuple[Trigger, ...] = (
    # What is rebuilt sooner has hardly more labels: most come within days.
    Trigger("drift_rebuild", "alert", "rebuild", 7),
    Trigger("drift_gate", "alert", "gate", 1),
    # Until a challenger has enough labels to be surely better, nothing comes of it: so each night.
    Trigger("quality_gate", "criterion", "gate", 1),
    Trigger("monthly_rebuild", "schedule", "rebuild", 28),
    Trigger("weekly_gate", "schedule", "gate", 7),
)
"""In the order in which they are started, one at a time."""
CRITERIA = frozenset({"quality_drop", "error_drift", "calibration"})
"""Alerts that say the champion is not good enough, whatever the cause: one that is surely better helps in any case."""
BECAUSE_MAX = 16
"""Alerts that a command names, the newest: those before them began before it, and are answered as well."""
IN_FORCE = frozenset({"promote", "roll_back", "follow"})
"""Commands that say what decides."""


class Due(NamedTuple):
    """What is to be started now, for whom, by which row, and for which alerts by their ids: none of a schedule's."""

    action: Action
    targets: tuple[str, ...]
    trigger: str
    because: tuple[str, ...]

    @property
    def why(self) -> dict[str, str]:
        """What the commands say of it, so that the audit log does.

        >>> Due("rebuild", ("",), "drift_rebuild", ("5d41402abc4b2a76", "7d793037a0760186")).why
        {'trigger': 'drift_rebuild', 'because': '5d41402abc4b2a76,7d793037a0760186'}
        """
        return {"trigger": self.trigger, "because": ",".join(self.because)}


class _InForce(NamedTuple):
    """The last change of what decides."""

    control_offset: int = -1
    author: str = ""
    mode: RegistryMode = "follow"


class _Done(NamedTuple):
    """When something was last started, and for which alerts it ever was."""

    at_ms: TimeMs | None = None
    because: frozenset[str] = frozenset()


class Docket:
    """What was told so far, and what follows from it.

    Parameters
    ----------
    challengers : whom a gate judges.
    """

    def __init__(self, challengers: Iterable[str], triggers: tuple[Trigger, ...] = TRIGGERS) -> None:
        self._triggers = triggers
        self._targets: Mapping[str, tuple[str, ...]] = {"rebuild": (CHAMPION_S_FOLD,), "gate": tuple(challengers)}
        self._asking: dict[str, Alert] = {}
        self._over: set[tuple[str, TimeMs]] = set()
        self._done: dict[tuple[str, str], _Done] = {}
        self._in_force = _InForce()
        self._sent = self._answered = -1
        self.first_snapshot_ms: TimeMs | None = None
        """When the first snapshot was cut: a schedule counts from there until something was started."""

    def alert(self, alert: Alert) -> None:
        """Take note of an alert that begins, is over, or has no end."""
        if alert.state == "cleared":
            self._over.add((alert.kind, _began_ms(alert)))
        elif alert.action == "retrain" or alert.kind in CRITERIA:
            self._asking[alert.alert_id] = alert

    def sent(self, control_offset: int, control: Control) -> None:
        """Take note of a command that is believed, answered or not."""
        self._sent = max(self._sent, control_offset)
        self._note(control.kind, control.arguments, control.issued_at_ms)

    def answered(self, audit: Audit) -> None:
        """Take note of an answer. One that names no kind is of a command that nobody believes."""
        self._answered = max(self._answered, audit.control_offset)
        self._note(audit.kind, audit.arguments, audit.at_ms)
        if audit.kind in IN_FORCE and audit.outcome == "done":
            self._in_force = max(self._in_force, _InForce(audit.control_offset, audit.author or "", audit.mode))

    def _note(self, kind: str | None, arguments: Mapping[str, str], at_ms: TimeMs) -> None:
        """Note a start. A refused one is one, too: it would be refused again."""
        if kind is None or kind not in self._targets:
            return
        key = kind, arguments.get("challenger", CHAMPION_S_FOLD)
        last, because = self._done.get(key, _Done())
        named = because.union(filter(None, arguments.get("because", "").split(",")))
        self._done[key] = _Done(at_ms if last is None else max(last, at_ms), named)

    @property
    def waits(self) -> bool:
        """Whether a command is without an answer yet: until it has one nothing else is started."""
        return self._sent > self._answered

    def pinned_by_another(self, author: str) -> bool:
        """Return whether somebody else has said that what decides now shall stay."""
        return self._in_force.mode == "pinned" and self._in_force.author != author

    def due(self, now_ms: TimeMs) -> Due | None:
        """Return what is to be started first; None where nothing is."""
        if self.waits:
            return None
        return next((due for trigger in self._triggers if (due := self._due(trigger, now_ms))), None)

    def _due(self, trigger: Trigger, now_ms: TimeMs) -> Due | None:
        targets, because = list[str](), dict[str, TimeMs]()
        for target in self._targets[trigger.starts]:
            done = self._done.get((trigger.starts, target), _Done())
            since_ms = self.first_snapshot_ms if done.at_ms is None and trigger.on == "schedule" else done.at_ms
            if since_ms is not None and now_ms - since_ms < trigger.cool_down_days * DAY_MS:
                continue
            asking = self._that_ask(trigger.on, done)
            if asking or (trigger.on == "schedule" and since_ms is not None):
                targets.append(target)
                because |= asking
        newest = sorted(because, key=lambda name: (-because[name], name))[:BECAUSE_MAX]
        return Due(trigger.starts, tuple(targets), trigger.name, tuple(newest)) if targets else None

    def _that_ask(self, on: On, done: _Done) -> dict[str, TimeMs]:
        """Return the alerts that are not over and ask for a start, and when each began."""
        began = {name: _began_ms(each) for name, each in self._asking.items() if _ASKS[on](each, done)}
        return {name: at_ms for name, at_ms in began.items() if (self._asking[name].kind, at_ms) not in self._over}


def _began_ms(alert: Alert) -> TimeMs:
    return alert.at_ms if alert.fired_at_ms is None else alert.fired_at_ms


def _is_unanswered(alert: Alert, done: _Done) -> bool:
    """Return whether an alert asks for a start and had none. By its name as well: its clock may be ahead of ours."""
    before = done.at_ms is not None and _began_ms(alert) < done.at_ms
    return alert.action == "retrain" and not before and alert.alert_id not in done.because


_ASKS: Mapping[On, Callable[[Alert, _Done], bool]] = {
    "alert": _is_unanswered,
    "criterion": lambda alert, _: alert.kind in CRITERIA,
    "schedule": lambda _alert, _done: False,
}
