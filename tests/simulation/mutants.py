"""Protocols with one mistake each. The oracle must notice every one of them."""

import json
from collections.abc import Sequence

from streams.detector.stage import Event, Refusal
from streams.exactly_once import POSITION_KEY, Task, TransactionFailedError
from tests.simulation.mutants_of_the_log import (
    EndBeforeFence,
    IgnoreFence,
    NoFence,
    OutputsOutside,
    PositionOutside,
    RestoreUncommitted,
    StateOutside,
    TakeUnknownForFailed,
    TrustStable,
)
from tests.simulation.workers import Process, Protocol, Slot


class _TrustsGroup(Protocol):
    """Goes on from the group's offsets, and makes the task believe in them."""

    def open(self, process: Process, slot: Slot) -> None:
        super().open(process, slot)
        assert slot.task is not None
        group = process.broker.group_offsets
        names = [topic.name for topic in slot.stage.inputs]
        slot.positions = {name: group.get((slot.stage.name, name, slot.partition), 0) for name in names}
        slot.task._next = {topic: position for topic, position in slot.positions.items() if position}


class AckBeforeCommit(_TrustsGroup):
    """Acknowledges what is not committed yet, and goes on from what was acknowledged."""

    name = "ack-before-commit"

    def commit(self, process: Process, slot: Slot) -> None:
        assert slot.task is not None
        self.acknowledge(process, slot, slot.task._next)
        process.chance.point(process, "before commit")
        slot.positions = slot.task.commit()


class TrustGroupOffsets(_TrustsGroup):
    """Acknowledges after the commit, and goes on from what was acknowledged."""

    name = "trust-group-offsets"


class ReadUncommitted(Protocol):
    """Reads its inputs without waiting for their transactions."""

    name = "inputs-uncommitted"
    reads_committed = False


class KeepStateAfterFailure(Protocol):
    """Opens the same task again after a failed commit, with what it already has in memory."""

    name = "keep-state-after-failure"

    def open(self, process: Process, slot: Slot) -> None:
        if slot.task is None:
            super().open(process, slot)

    def failed(self, process: Process, slot: Slot) -> None:
        assert slot.task is not None
        slot.task._log = process.new_log(slot)
        slot.positions = slot.task.open()
        process.seek(slot)


class TakeUnknownForDone(Protocol):
    """Takes a commit without an answer for done, and goes on."""

    name = "take-unknown-for-done"

    def commit(self, process: Process, slot: Slot) -> None:
        try:
            super().commit(process, slot)
        except TransactionFailedError:
            assert slot.task is not None
            slot.positions = dict(slot.task._next)


class ForgetTombstones(Protocol):
    """Restores a piece that a later tombstone took away."""

    name = "forget-tombstones"

    class task(Task):  # noqa: N801
        def _restore(self, key: bytes, value: bytes | None) -> None:
            if value is not None:
                super()._restore(key, value)


class ForgetCounters(Protocol):
    """Does not restore the counters."""

    name = "forget-counters"

    class task(Task):  # noqa: N801
        def _restore(self, key: bytes, value: bytes | None) -> None:
            if key == POSITION_KEY and value:
                value = json.dumps({**json.loads(value), "counters": {}}).encode()
            super()._restore(key, value)


class PositionOfLastOnly(Protocol):
    """Forgets the position of the input that the last batch did not read."""

    name = "position-of-last-input-only"

    class task(Task):  # noqa: N801
        def _position(self) -> bytes:
            position = json.loads(super()._position())
            position["next"] = dict(list(position["next"].items())[-1:])
            return json.dumps(position).encode()


class StepSkipsFailed(Protocol):
    """Leaves a record out of the batch when the stage raises, without an answer."""

    name = "skip-what-raises"

    class task(Task):  # noqa: N801
        def step(self, events: Sequence[Event | Refusal]) -> None:
            super().step([each for each in events if b":666," not in (each.record.value or b"")] or events)


MUTANTS: dict[str, type[Protocol]] = {
    mutant.name: mutant
    for mutant in (
        AckBeforeCommit,
        TrustGroupOffsets,
        PositionOutside,
        StateOutside,
        OutputsOutside,
        NoFence,
        TrustStable,
        EndBeforeFence,
        RestoreUncommitted,
        ReadUncommitted,
        KeepStateAfterFailure,
        TakeUnknownForDone,
        TakeUnknownForFailed,
        ForgetTombstones,
        ForgetCounters,
        PositionOfLastOnly,
        StepSkipsFailed,
        IgnoreFence,
    )
}
