"""Which model is in force, and the commands that change it. Pure: the learning stage's task writes what comes out.

The whole state is the last alias record: the champion, the ones before it, how far the commands were carried out, and
the newest commands' ids. A command that is not believed, that came before, or that cannot be done changes nothing but
the position; it is answered all the same.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from schemas.codec import DecodeFailure, decode
from schemas.registry import HISTORY_MAX, SEEN_MAX, Alert, Alias, Audit, Control, RegistryMode
from schemas.signing import Signed
from streams.detector.admission import (
    CHAMPION,
    Admission,
    NotAdmittedError,
    alert_of,
    moment_of,
    place_of,
    words,
)
from streams.detector.stage import Record

ModelAt = Callable[[int], Record | None]
"""Offset in the models' topic -> the record there."""
SUSPICIOUS = frozenset({"unsigned", "unknown_key", "forged", "other_author", "replayed"})
"""Refusals that only somebody who should not be there can have caused: an alert is raised."""


class CommandError(Exception):
    """A command is not carried out."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class CarriedOut(NamedTuple):
    """What follows from one command, done or refused: all of it is written in one transaction."""

    alias: Alias
    audit: Audit
    alert: Alert | None


class Registry:
    """The registry as its one writer has it.

    Parameters
    ----------
    model_at : looks a snapshot up.
    """

    def __init__(self, admission: Admission, model_at: ModelAt) -> None:
        self._admission = admission
        self._model_at = model_at
        self._commands: Mapping[str, Callable[[Control], Alias]] = {
            "promote": self._promote,
            "roll_back": self._roll_back,
            "follow": self._follow,
            "rebuild": self._note,
            "gate": self._note,
        }
        self.alias = Alias(name=CHAMPION, mode="follow", sequence=0, controls_next=0)

    def cut(self, version: str, *, may_decide: bool = True) -> Alias:
        """Return the alias record that goes with a new snapshot: a champion that is pinned, or better, stays."""
        before = self.alias.model_copy(update={"newest": version})
        stays = before.mode == "pinned" or not may_decide
        champion, offset = (before.version, before.model_offset) if stays else (version, None)
        self.alias = self._with(before, champion, offset, mode=before.mode, changed_by=None)
        return self.alias

    def carry_out(self, record: Record) -> CarriedOut:
        """Carry out the command in a record, or refuse it."""
        signed: Signed | None = None
        control: Control | None = None
        before = self.alias.model_copy(update={"controls_next": record.offset + 1})
        refused = before.model_copy(update={"sequence": before.sequence + 1, "changed_by": None})
        reason, text = None, "done"
        try:
            signed = self._admission.signed(record)
            control = self._read(record, signed)
            before = _having_seen(before, control)
            after = self._commands.get(control.kind, _unknown)(control)
        except (NotAdmittedError, CommandError) as error:
            reason, text = (error.kind if isinstance(error, NotAdmittedError) else error.reason), str(error)
            after = refused
        except Exception as error:  # noqa: BLE001 - a command that a bug fails on must not stop learning for ever
            reason, text = "failed", f"{type(error).__name__}: {error}"
            after = refused
        self.alias = after.model_copy(update={"controls_next": before.controls_next, "seen": before.seen})
        alert = alert_of(reason, place_of(record), text, moment_of(record)) if reason in SUSPICIOUS else None
        return CarriedOut(self.alias, self._answer(record, signed, control, reason, text), alert)

    def _read(self, record: Record, signed: Signed) -> Control:
        control = decode(Control, record.value)
        if isinstance(control, DecodeFailure):
            raise CommandError("unreadable", control.detail)
        if control.author != signed.owner:
            raise CommandError("other_author", f"the key is of {signed.owner}, and not of who it says gave the command")
        if control.control_id in self.alias.seen:
            raise CommandError("replayed", "this command was answered before")
        if len(self.alias.seen) == SEEN_MAX and control.issued_at_ms <= min(self.alias.seen.values()):
            raise CommandError("replayed", f"it is older than the {SEEN_MAX} commands that are remembered")
        return control

    def _promote(self, control: Control) -> Alias:
        offset = self._named(control)
        return self._with(self.alias, control.arguments["version"], offset, mode="pinned", changed_by=control)

    def _roll_back(self, control: Control) -> Alias:
        version, history = control.arguments.get("version", ""), self.alias.history
        if version not in history:
            raise CommandError("never_champion", "it was not champion before the one in force: promote it instead")
        offset = self._named(control)
        # Whoever came after it is forgotten, so that a second rollback goes further back.
        earlier = self.alias.model_copy(update={"history": history[: history.index(version)], "version": None})
        return self._with(earlier, version, offset, mode="pinned", changed_by=control)

    def _follow(self, control: Control) -> Alias:
        return self._with(self.alias, self.alias.newest, None, mode="follow", changed_by=control)

    def _note(self, _control: Control) -> Alias:
        """Change nothing in force: what a gate found is in its arguments, what is rebuilt a snapshot like others."""
        # As of no command: workers put what a command names in force unmeasured, and this one names nothing.
        return self.alias.model_copy(update={"sequence": self.alias.sequence + 1, "changed_by": None})

    def _named(self, control: Control) -> int:
        """Return the place of the snapshot that a command names, checked as every worker will check it."""
        version, place = control.arguments.get("version", ""), control.arguments.get("model_offset", "")
        record = self._model_at(int(place)) if place.isdecimal() and len(place) < 19 else None
        if record is None or record.key != version.encode():
            raise CommandError("no_such_model", "there is no such snapshot at the place that the command names")
        try:
            self._admission.snapshot(record)
        except NotAdmittedError as error:
            raise CommandError("model_refused", f"the snapshot is refused: {error}") from None
        return record.offset

    def _with(
        self,
        before: Alias,
        version: str | None,
        offset: int | None,
        *,
        mode: RegistryMode,
        changed_by: Control | None,
    ) -> Alias:
        history = before.history
        if before.version is not None and before.version != version:
            history = (*history, before.version)[-HISTORY_MAX:]
        changes = {
            "version": version,
            "model_offset": offset,
            "mode": mode,
            "sequence": self.alias.sequence + 1,
            "changed_by": changed_by.control_id if changed_by else None,
            "history": history,
        }
        return before.model_copy(update=changes)

    def _answer(
        self, record: Record, signed: Signed | None, control: Control | None, reason: str | None, text: str
    ) -> Audit:
        return Audit(
            control_id=control.control_id if control else f"offset-{record.offset}",
            control_offset=record.offset,
            author=signed.owner if signed else None,
            key_id=signed.key_id if signed else None,
            kind=control.kind if control else None,
            arguments=control.arguments if control else {},
            outcome="refused" if reason else "done",
            reason=reason,
            text=words(text),
            version=self.alias.version,
            mode=self.alias.mode,
            sequence=self.alias.sequence,
            at_ms=moment_of(record),
        )


def _having_seen(alias: Alias, control: Control) -> Alias:
    seen = {**alias.seen, control.control_id: control.issued_at_ms}
    if len(seen) > SEEN_MAX:
        del seen[min(seen, key=lambda each: seen[each])]
    return alias.model_copy(update={"seen": seen})


def _unknown(control: Control) -> Alias:
    raise CommandError("unknown_kind", f"the registry does not know how to {control.kind.replace('_', ' ')}")
