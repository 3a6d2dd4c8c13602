"""The port of `Task` on the simulated broker. What is sent lands later, in order; any call may be the last."""

from collections import deque
from collections.abc import Sequence

from streams.detector.stage import Output
from streams.exactly_once import FencedError, TransactionFailedError
from tests.simulation.broker import Broker, Partition, Stored
from tests.simulation.chance import Chance, Mortal


class BrokerLog:
    """One transactional producer and one reader of a state partition, in one process."""

    def __init__(
        self, broker: Broker, chance: Chance, process: Mortal, transactional_id: str, state: Partition, partitions: int
    ) -> None:
        self.broker = broker
        self.chance = chance
        self.process = process
        self.transactional_id = transactional_id
        self.state = state
        self.partitions = partitions
        self.epoch = -1
        self.in_flight: deque[tuple[Partition, Stored] | None] = deque()
        """What was sent and has not landed: records, and None for the request to commit."""
        self._ends: dict[Partition, int] = {}
        self._fenced = False
        self._restoring = False

    def fence(self) -> None:
        self.point("before fence")
        self.epoch = self.broker.init_transactions(self.transactional_id)
        self._set_restoring(is_restoring=True)
        self.point("after fence")

    def state_end(self) -> int:
        self.point("before state_end")
        self.chance.seen["state log end beyond what is stable"] += self.state.stable < self.state.replicated
        return self.state.replicated

    def read_state(self, start: int) -> tuple[Sequence[tuple[bytes, bytes | None]], int]:
        self.point("before read_state")
        found, reached = self.read(start)
        if reached == start and self.chance.happens(0.5):
            for index, (partition, _) in enumerate(self.broker.undelivered_markers):
                if partition is self.state:
                    self.broker.deliver_marker(index)
                    break
            self.state.replicate()
        return [(stored.key or b"", stored.value) for stored in found], reached

    def read(self, start: int) -> tuple[list[Stored], int]:
        """Return some records of the state partition, and the offset reached."""
        return self.state.read(start, self.chance.random.randrange(1, 9))

    def begin(self) -> None:
        self.point("before begin")
        self._set_restoring(is_restoring=False)

    def write(self, output: Output) -> None:
        self.point("before write")
        self.in_flight.append(self.record(output))

    def record(self, output: Output) -> tuple[Partition, Stored]:
        """Return where an output goes and what is stored there."""
        number = output.partition
        if number is None:
            number = partition_of(output.key or b"", self.partitions)
        stored = Stored(-1, output.key, output.value, output.headers, output.timestamp_ms or 0, None, is_marker=False)
        return self.broker.partition(output.topic, number), stored

    def land(self) -> None:
        """Let the oldest thing in flight arrive. What a fenced writer sent is refused, with all that follows it."""
        sent = self.in_flight.popleft()
        try:
            if sent is None:
                self.broker.end(self.transactional_id, self.epoch, "committed")
                return
            partition, stored = sent
            self.broker.write(self.transactional_id, self.epoch, partition, stored)
            self._ends[partition] = len(partition.log)
        except FencedError:
            self.chance.seen["writes refused for their epoch"] += 1
            self._fenced = True
            self.in_flight.clear()

    def commit(self) -> None:
        rates = self.chance.rates
        self.point("before commit")
        self._flush()
        for partition, end in self._ends.items():  # acks=all
            partition.replicate(end)
        self._ends.clear()
        if self.chance.happens(rates.commit_refused):
            self.broker.end(self.transactional_id, self.epoch, "aborted")
            self.chance.seen["commit refused"] += 1
            raise TransactionFailedError("the coordinator refused")
        self.point("after flush")
        self.in_flight.append(None)
        self.point("after the request to commit")
        if self.chance.happens(rates.commit_delayed):
            self.chance.seen["commit delayed"] += 1
            raise TransactionFailedError("no answer; the request is still on its way")
        self._flush()
        self.point("after commit")
        if self.chance.happens(rates.answer_lost):
            self.chance.seen["answer lost"] += 1
            raise TransactionFailedError("no answer, though it is done")

    def _flush(self) -> None:
        while self.in_flight:
            self.land()
        if self._fenced:
            raise FencedError(self.transactional_id)

    def close(self) -> None:
        self._set_restoring(is_restoring=False)

    def point(self, where: str) -> None:
        """Stand between two effects."""
        self.chance.point(self.process, where)

    def _set_restoring(self, *, is_restoring: bool) -> None:
        self.state.restoring += is_restoring - self._restoring
        self._restoring = is_restoring


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key, as murmur2 does in production."""
    return sum(key) % partitions
