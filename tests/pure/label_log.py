"""A log of labels in memory whose runs are killed, refused and usurped, and a store that answers when told to."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Literal

from consumers.labels_to_training import AbortedError, LabelsToTraining
from consumers.rows import Record
from consumers.training import Terms, Write
from consumers.waiting import Limits, Queue
from consumers.warehouse import WarehouseUnavailableError
from schemas.codec import encode
from schemas.label import EffectiveLabel, Label
from schemas.topics import LABELS_WAITING, TRAINING

AT_MS = 1_522_540_800_000
DAY_MS = 86_400_000
TERMS = Terms(legitimate_kept_one_in=3, label_wait_ms_max=7 * DAY_MS)

Fault = Literal["killed before", "killed after", "aborted", "store is down", "usurped"]


class Killed(BaseException):
    """This run is no more."""


def label(number: int, **changes: Any) -> EffectiveLabel:
    fields: dict[str, Any] = {
        "transaction_id": f"tx-{number}",
        "card": f"card_{number % 5}",
        "merchant": "mer_b",
        "verdict": "fraud",
        "source": "chargeback",
        "occurred_at_ms": AT_MS + number * 60_000,
        "reported_at_ms": AT_MS + DAY_MS + number * 60_000,
    }
    return EffectiveLabel(**(fields | changes))


@dataclass
class World:
    """The committed content of the broker, the store, and the clock, which moves only when somebody waits.

    `stored_from_ms` says from when on the store has the prediction of a transaction; of others it never has one.
    """

    labels: Sequence[Label | bytes]
    stored_from_ms: Mapping[str, int]
    partitions: int = 3
    time_ms: int = AT_MS + 30 * DAY_MS
    generation: int = 0
    waiting: dict[int, list[Record]] = field(default_factory=dict)
    committed: Counter[int] = field(default_factory=Counter)
    written: list[Write] = field(default_factory=list)
    faults: list[tuple[int, Fault]] = field(default_factory=list)
    calls: int = 0

    def __post_init__(self) -> None:
        self.waiting = {partition: [] for partition in range(self.partitions)}
        for number, each in enumerate(self.labels):
            value = encode(each) if isinstance(each, Label) else each
            self._append(number % self.partitions, b"card", value, ())

    def _append(
        self, partition: int, key: bytes | None, value: bytes | None, headers: tuple[tuple[str, bytes | None], ...]
    ) -> None:
        log = self.waiting[partition]
        log.append(Record(LABELS_WAITING.name, partition, 2 * len(log), self.time_ms, key, value, headers))

    def end(self, partition: int) -> int:
        """Return the offset after the last record: between two records lies a marker."""
        return max(0, 2 * len(self.waiting[partition]) - 1)

    def commit(self, writes: Sequence[Write], after: Mapping[int, int]) -> None:
        self.committed.update({partition: after[partition] - self.committed[partition] for partition in after})
        for write in writes:
            if write.topic is LABELS_WAITING:
                self._append(write.partition, write.key, write.value, write.headers)
            else:
                self.written.append(write)

    def due_fault(self) -> Fault | None:
        """Return what happens at this call, which is one more."""
        self.calls += 1
        if self.faults and self.calls >= self.faults[0][0]:
            return self.faults.pop(0)[1]
        return None

    def run(self, *, until_idle_ms: int | None = 2_000, limits: Limits | None = None) -> LabelsToTraining:
        """Run the join until it ends or is killed, and return it. After a kill another run takes over."""
        while True:
            join = self.join(until_idle_ms=until_idle_ms, limits=limits)
            try:
                join.run()
            except Killed:
                continue
            return join

    def join(self, *, until_idle_ms: int | None = 2_000, limits: Limits | None = None) -> LabelsToTraining:
        queue = Queue(limits or Limits(batch=7, held=30))
        member = Member(self, queue.clear)
        return LabelsToTraining(
            log=member,
            warehouse=member,  # type: ignore[arg-type]
            stop=Event(),
            now_ms=lambda: self.time_ms,
            wall_ms=lambda: self.time_ms,
            terms=TERMS,
            queue=queue,
            until_idle_ms=until_idle_ms,
        )

    def ids(self, topic: str = TRAINING.name) -> list[str]:
        """Return the transaction ids that were written to a topic, in the order of the log."""
        wanted = (write.value for write in self.written if write.topic.name == topic)
        return [Label.model_validate_json(value or b"").transaction_id for value in wanted]


class Member:
    """One run's view: a member of the group, its open transaction, and the store as it answers this run."""

    def __init__(self, world: World, on_revoked: Callable[[], None]) -> None:
        self._world = world
        self._on_revoked = on_revoked
        self._resting: AbstractSet[int] = frozenset()
        self._open: list[Write] | None = None
        self._join_group()

    def _join_group(self) -> None:
        self._world.generation += 1
        self._generation = self._world.generation
        self._at = {partition: self._world.committed[partition] for partition in range(self._world.partitions)}
        self._resting = frozenset()

    def _fault(self, *, abortable: bool = False) -> Fault | None:
        fault = self._world.due_fault()
        if fault == "killed before":
            raise Killed
        if fault == "usurped":
            self._world.join(until_idle_ms=2_000).run()
        if fault == "aborted" and abortable:
            raise AbortedError(fault)
        return fault

    @property
    def behind(self) -> AbstractSet[int]:
        return {partition for partition, at in self._at.items() if at < self._world.end(partition)}

    @property
    def assigned(self) -> int:
        return self._world.partitions

    @property
    def owns_all(self) -> bool:
        return True

    def read(self, timeout_s: float) -> list[Record]:
        self._fault()
        self._world.time_ms += int(timeout_s * 1_000)
        if self._generation != self._world.generation:
            self._on_revoked()
            self._join_group()
        for partition in self.behind - self._resting:
            found = [record for record in self._world.waiting[partition] if record.offset >= self._at[partition]][:4]
            self._at[partition] = found[-1].offset + 1
            return found
        return []

    def rest(self, partitions: AbstractSet[int]) -> None:
        self._resting = partitions

    def begin(self) -> None:
        assert self._open is None
        self._fault()
        self._open = []

    def write(self, write: Write) -> None:
        assert self._open is not None
        self._fault(abortable=True)
        self._open.append(write)

    def commit(self, after: Mapping[int, int]) -> None:
        assert self._open is not None
        fault = self._fault(abortable=True)
        if self._generation != self._world.generation:
            raise AbortedError("of a generation that is over")
        self._world.commit(self._open, after)
        self._open = None
        if fault == "killed after":
            raise Killed

    def abort(self) -> None:
        assert self._open is not None
        self._fault()
        self._open = None

    def query_columns(self, _sql: str, parameters: Mapping[str, Any]) -> dict[str, list[Any]]:
        if self._fault() == "store is down":
            raise WarehouseUnavailableError("down")
        rows = [
            (card, id_, parameters["from_ms"] + DAY_MS, {"card_count_1h": 3.0}, 0.25, "m-1", 0, 7)
            for card, id_ in zip(parameters["cards"], parameters["ids"], strict=True)
            if self._world.stored_from_ms.get(id_, 2**62) <= self._world.time_ms
        ]
        return {str(place): list(values) for place, values in enumerate(zip(*rows, strict=True))}
