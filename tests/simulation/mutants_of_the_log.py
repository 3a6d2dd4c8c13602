"""Mistakes in the port: in how a task fences, restores, writes and commits."""

from schemas.topics import CARD_STATE, MERCHANT_STATE
from streams.detector.stage import Output
from streams.exactly_once import POSITION_KEY, FencedError, TransactionFailedError
from tests.simulation.broker import Stored
from tests.simulation.task_log import BrokerLog
from tests.simulation.workers import Protocol

_STATE_LOGS = (CARD_STATE.name, MERCHANT_STATE.name)


class _LooseLog(BrokerLog):
    """Writes some records at once, outside the transaction."""

    def is_loose(self, output: Output) -> bool:
        raise NotImplementedError

    def write(self, output: Output) -> None:
        if not self.is_loose(output):
            super().write(output)
            return
        self.point("before write")
        partition, stored = self.record(output)
        partition.append(stored.key, stored.value, headers=stored.headers, timestamp_ms=stored.timestamp_ms)


class PositionOutside(Protocol):
    """Writes the position outside the transaction."""

    name = "position-outside"

    class log(_LooseLog):  # noqa: N801 - named as the attribute that it replaces
        def is_loose(self, output: Output) -> bool:
            return output.key == POSITION_KEY


class StateOutside(Protocol):
    """Writes the pieces of state outside the transaction."""

    name = "state-outside"

    class log(_LooseLog):  # noqa: N801
        def is_loose(self, output: Output) -> bool:
            return output.topic.name in _STATE_LOGS and output.key != POSITION_KEY


class OutputsOutside(Protocol):
    """Writes the outputs outside the transaction."""

    name = "outputs-outside"

    class log(_LooseLog):  # noqa: N801
        def is_loose(self, output: Output) -> bool:
            return output.topic.name not in _STATE_LOGS


class NoFence(Protocol):
    """Gives every producer a transactional id of its own, so that nobody fences anybody."""

    name = "no-fence"

    class log(BrokerLog):  # noqa: N801
        def fence(self) -> None:
            self.transactional_id = f"{self.transactional_id}-{len(self.broker.writers)}"
            super().fence()


class TrustStable(Protocol):
    """Takes the last stable offset for the end of the log: where a reader of committed records meets its end."""

    name = "trust-last-stable-offset"

    class log(BrokerLog):  # noqa: N801
        def state_end(self) -> int:
            super().state_end()
            return self.state.stable


class EndBeforeFence(Protocol):
    """Asks for the end of the state log before it fences the writer of it."""

    name = "end-before-fence"

    class log(BrokerLog):  # noqa: N801
        _end = 0

        def fence(self) -> None:
            self._end = super().state_end()
            super().fence()

        def state_end(self) -> int:
            return self._end


class RestoreUncommitted(Protocol):
    """Restores from uncommitted records too."""

    name = "restore-uncommitted"

    class log(BrokerLog):  # noqa: N801
        def read(self, start: int) -> tuple[list[Stored], int]:
            return self.state.read(start, 8, committed=False)


class TakeUnknownForFailed(Protocol):
    """Takes a commit without an answer for failed, and writes the same again with the same producer."""

    name = "take-unknown-for-failed"

    class log(BrokerLog):  # noqa: N801
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments)  # type: ignore[arg-type]
            self._sent: list[Output] = []

        def begin(self) -> None:
            super().begin()
            self._sent = []

        def write(self, output: Output) -> None:
            super().write(output)
            self._sent.append(output)

        def commit(self) -> None:
            try:
                super().commit()
            except TransactionFailedError:
                for output in self._sent:
                    super().write(output)
                super().commit()


class IgnoreFence(Protocol):
    """Takes being fenced for success: what a paused owner believes to have written is lost."""

    name = "ignore-fence"

    class log(BrokerLog):  # noqa: N801
        def commit(self) -> None:
            try:
                super().commit()
            except FencedError:
                self._fenced = False
