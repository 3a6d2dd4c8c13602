"""Commands to the registry: what each leads to, and every one that is refused."""

from typing import Any

import pytest

from schemas.registry import HISTORY_MAX, SEEN_MAX, Control
from schemas.signing import Signer
from schemas.topics import CONTROLS, MODELS
from streams.detector.admission import Admission
from streams.detector.learner import Learner
from streams.detector.registry import CarriedOut, Registry
from streams.detector.stage import Record
from tests.signed import AT_MS, SIGNERS, STRANGER, TRUSTED, record_of


def _models() -> list[Record]:
    learner, records = Learner(), list[Record]()
    for offset in range(5):
        learner.learn_example({"payment_hour": offset}, is_fraud=offset % 2 == 0)
        model = learner.snapshot(offset + 1)
        records.append(record_of(MODELS, offset, model.version, model))
    return records


HELD = _models()
VERSIONS = [(record.key or b"").decode() for record in HELD]


class _Registry:
    """A registry that has cut all five snapshots, and the commands it is given."""

    def __init__(self) -> None:
        held = {record.offset: record for record in HELD}
        held[9] = HELD[2]._replace(offset=9, value=b"{")
        self.registry = Registry(Admission(TRUSTED), held.get)
        for version in VERSIONS:
            self.registry.cut(version)
        self.offset = 0

    def give(
        self,
        kind: str,
        version: int | str | None = None,
        offset: Any = None,
        *,
        signer: Signer | None = None,
        **more: Any,
    ) -> CarriedOut:
        name = VERSIONS[version] if isinstance(version, int) else version
        place = version if offset is None else offset
        arguments = {} if name is None else {"version": name, "model_offset": str(place)}
        fields = {"control_id": f"c-{self.offset}", "author": "operator", "issued_at_ms": AT_MS + self.offset, **more}
        control = Control.model_validate({**fields, "kind": kind, "arguments": arguments})
        return self.take(record_of(CONTROLS, self.offset, control.control_id, control, signer=signer))

    def take(self, record: Record) -> CarriedOut:
        self.offset += 1
        return self.registry.carry_out(record._replace(offset=self.offset - 1))


@pytest.fixture
def given() -> _Registry:
    """Give a registry whose champion is the newest of five snapshots."""
    return _Registry()


def test_the_champion_follows_the_learner_until_told_otherwise(given: _Registry) -> None:
    """Law: each snapshot comes in force; after a promotion none does; after follow the newest does again."""
    assert (given.registry.alias.version, given.registry.alias.mode) == (VERSIONS[4], "follow")
    done = given.give("promote", 1)
    assert (done.alias.version, done.alias.mode, done.alias.model_offset) == (VERSIONS[1], "pinned", 1)
    assert (done.audit.outcome, done.audit.author, done.alert) == ("done", "operator", None)
    assert given.registry.cut("m-6").version == VERSIONS[1]
    done = given.give("follow")
    assert (done.alias.version, done.alias.mode, done.alias.model_offset) == ("m-6", "follow", None)
    assert given.registry.cut("m-7").version == "m-7"


def test_rollbacks_go_back_one_champion_at_a_time(given: _Registry) -> None:
    """Law: the champion before this one comes back, and the one rolled back is no champion that was."""
    for back in (3, 2, 0):
        alias = given.give("roll_back", back).alias
        assert (alias.version, alias.mode) == (VERSIONS[back], "pinned")
        assert alias.history == tuple(VERSIONS[:back])
    assert given.give("roll_back", 4).audit.reason == "never_champion"


def test_every_record_has_its_sequence(given: _Registry) -> None:
    """Law: whatever is written, done or refused, the sequence grows by one and the position is behind the command."""
    before = given.registry.alias.sequence
    for number, kind in enumerate(("promote", "stop", "follow", "roll_back"), start=1):
        alias = given.give(kind, 1 if kind != "follow" else None).alias
        assert (alias.sequence, alias.controls_next) == (before + number, number)


REFUSED: dict[str, tuple[dict[str, Any], str, bool]] = {
    "a snapshot that is not there": ({"kind": "promote", "version": 1, "offset": 77}, "no_such_model", False),
    "a place that is no number": ({"kind": "promote", "version": 1, "offset": "-1"}, "no_such_model", False),
    "a place that is absurd": ({"kind": "promote", "version": 1, "offset": "9" * 40}, "no_such_model", False),
    "the place of another": ({"kind": "promote", "version": 1, "offset": 2}, "no_such_model", False),
    "a snapshot that is refused": ({"kind": "promote", "version": 2, "offset": 9}, "model_refused", False),
    "no version": ({"kind": "promote"}, "no_such_model", False),
    "a rollback to no champion": ({"kind": "roll_back", "version": "m-x", "offset": 1}, "never_champion", False),
    "a command of another office": ({"kind": "publish_policy"}, "unknown_kind", False),
    "a stranger": ({"kind": "follow", "signer": STRANGER}, "unknown_key", True),
    "the learner": ({"kind": "follow", "signer": SIGNERS["learner"]}, "unknown_key", True),
    "in another's name": ({"kind": "follow", "author": "ana"}, "other_author", True),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_command_that_is_refused_changes_nothing_and_is_answered(name: str, given: _Registry) -> None:
    """Law: a refusal is audited with its reason; one that only an intruder can have caused raises an alert."""
    command, reason, alarming = REFUSED[name]
    before = given.registry.alias
    done = given.give(**command)
    assert (done.audit.outcome, done.audit.reason, done.alert is not None) == ("refused", reason, alarming)
    kept = ("version", "mode", "history", "model_offset", "newest")
    assert all(getattr(done.alias, field) == getattr(before, field) for field in kept)
    assert done.alias.controls_next == 1


def test_unsigned_and_unreadable_commands_are_answered(given: _Registry) -> None:
    """Law: what nobody can have meant is answered under its place."""
    control = record_of(CONTROLS, 0, "c-9", b'{"kind": "follow"}')
    unsigned, unreadable = given.take(control._replace(headers=())), given.take(control)
    assert (unsigned.audit.reason, unsigned.audit.control_id, unsigned.audit.author) == ("unsigned", "offset-0", None)
    assert (unreadable.audit.reason, unreadable.audit.author) == ("unreadable", "operator")
    assert unsigned.alert is not None


def test_a_command_that_comes_again_is_refused(given: _Registry) -> None:
    """Law: one command is carried out once, however often it is written; one that was refused stays refused."""
    first = Control(control_id="c-a", author="operator", kind="follow", issued_at_ms=AT_MS)
    early = Control(
        control_id="c-b",
        author="operator",
        kind="promote",
        arguments={"version": "m-6", "model_offset": "5"},
        issued_at_ms=AT_MS,
    )
    records = [record_of(CONTROLS, 0, each.control_id, each) for each in (first, early)]
    assert [given.take(record).audit.reason for record in (*records, *records)] == [
        None,
        "no_such_model",
        "replayed",
        "replayed",
    ]


def test_commands_older_than_all_that_are_remembered_are_refused(given: _Registry) -> None:
    """Law: what is remembered is bounded, and nothing that was forgotten can come again."""
    kept = record_of(
        CONTROLS, 0, "c-0", Control(control_id="c-0", author="operator", kind="follow", issued_at_ms=AT_MS)
    )
    given.take(kept)
    for _ in range(SEEN_MAX):
        assert given.give("follow").audit.outcome == "done"
    assert "c-0" not in given.registry.alias.seen
    assert len(given.registry.alias.seen) == SEEN_MAX
    assert given.take(kept).audit.reason == "replayed"
    for number in range(HISTORY_MAX + 9):
        given.registry.cut(f"m-x{number}")
    assert len(given.registry.alias.history) == HISTORY_MAX


def test_a_bug_in_a_command_does_not_stop_learning() -> None:
    """Law: whatever a command runs into, it is answered and passed."""

    def broken(_offset: int) -> Record | None:
        raise OSError("no such broker 4111111111111111")

    given = _Registry()
    given.registry._model_at = broken
    done = given.give("promote", 1)
    assert (done.audit.reason, done.alias.controls_next) == ("failed", 1)
    assert "4111" not in done.audit.text
