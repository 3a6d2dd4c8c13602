"""Labels to training records: look up what was stored when their payments were decided, write each label's end once.

The ends of a batch and the positions it was read up to are one Kafka transaction. So whenever this process is killed,
either all of a batch is written and accounted for, or none of it is and another run takes the same labels again.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, field
from typing import Protocol

from consumers.look_up import LOOK_UP, answers, parameters
from consumers.rows import Record
from consumers.training import End, Kind, Terms, Write, asked_for, end_of
from consumers.waiting import Queue, Waiting, positions, waiting_of
from consumers.warehouse import Warehouse, WarehouseUnavailableError

log = logging.getLogger(__name__)

READ_TIMEOUT_S = 0.1
REST_MS_MIN = 100
REST_MS_MAX = 5_000


class AbortedError(Exception):
    """The transaction cannot be committed and must be aborted; the same may be tried again after that."""


class LabelLog(Protocol):
    """What the join asks of Kafka. Partitions are those of `fraud.labels-waiting.v1`.

    Whoever begins a transaction that is not committed was killed or aborts it: nobody ever sees what was written in it.
    `write` and `commit` raise AbortedError where the transaction has to be aborted; anything else that is raised means
    that this process cannot go on, and perhaps does not know if the transaction took effect.
    """

    @property
    def behind(self) -> AbstractSet[int]:
        """Partitions of ours that were not read to their end."""

    @property
    def assigned(self) -> int:
        """How many partitions are ours."""

    @property
    def owns_all(self) -> bool:
        """Whether all partitions are ours."""

    def read(self, timeout_s: float) -> list[Record]:
        """Return the labels that came within the time, after those that were read before."""

    def rest(self, partitions: AbstractSet[int]) -> None:
        """Read nothing of these partitions until another call says otherwise."""

    def begin(self) -> None:
        """Begin a transaction."""

    def write(self, write: Write) -> None:
        """Write one record in it."""

    def commit(self, after: Mapping[int, int]) -> None:
        """Commit it, with the offsets after the labels that it accounts for, by partition."""

    def abort(self) -> None:
        """Abort it."""


@dataclass(slots=True)
class Counters:
    """What one run did. `requeued` counts moves, not labels; `waiting` are the labels that it leaves unjoined."""

    joined: int = 0
    sampled_out: int = 0
    dead_letters: int = 0
    requeued: int = 0
    waiting: int = 0
    transactions: int = 0
    aborted: int = 0

    def ended(self, kind: Kind) -> None:
        """Count what became of one label."""
        setattr(self, kind, getattr(self, kind) + 1)

    def as_dict(self) -> dict[str, int]:
        """Return the counters by name."""
        return asdict(self)


@dataclass(slots=True)
class LabelsToTraining:
    """One run of the join. `now_ms` does not go back; `wall_ms` is the wall clock; `stop` ends the run in order.

    With `until_idle_ms` the run also ends by itself: when all is read, nothing changed for so long, `others_idle_ms`
    says the same of whoever stores predictions, and no label that still waits could be joined at last.
    """

    log: LabelLog
    warehouse: Warehouse
    stop: threading.Event
    now_ms: Callable[[], int]
    wall_ms: Callable[[], int]
    terms: Terms
    queue: Queue
    until_idle_ms: int | None = None
    others_idle_ms: Callable[[], float] = lambda: float("inf")
    counters: Counters = field(default_factory=Counters)
    _changed_ms: int = field(init=False)
    _rest_until_ms: int = field(init=False)
    _rest_ms: int = field(init=False, default=REST_MS_MIN)
    _more: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._changed_ms = self._rest_until_ms = self.now_ms()

    def run(self) -> Counters:
        """Join labels until told to stop.

        Raises
        ------
        WarehouseError
            The store refused to answer in a way that waiting does not mend.
        """
        while not self.stop.is_set():
            self._read()
            if self.now_ms() >= self._rest_until_ms:
                self._rested(self._step)
        self.counters.waiting = len(self.queue) + len(self.queue.moving)
        return self.counters

    def _read(self) -> None:
        """Read also while there is enough: a member that does not is thrown out of its group."""
        wall_ms = self.wall_ms()
        for record in self.log.read(0.0 if self._more else READ_TIMEOUT_S):
            waiting = waiting_of(record, now_ms=wall_ms)
            self.queue.put(waiting)
            if waiting.attempt == 0:
                self._changed_ms = self.now_ms()
        self.log.rest(self.queue.full(self.log.assigned))

    def _step(self) -> None:
        batch = self.queue.take(self.wall_ms(), behind=self.log.behind)
        self._more = bool(batch)
        if batch:
            self._commit(batch, self._ends(batch))
        elif self._quiet():
            # Labels that wait for a time to come are looked up once more now; where that changes nothing, they stay.
            batch = self.queue.everything()
            ends = self._ends(batch)
            if all(end.kind == "requeued" for end in ends):
                self.stop.set()
            else:
                self._commit(batch, ends)

    def _rested(self, step: Callable[[], None]) -> None:
        """Take a step, and after one that failed but may succeed later a rest that grows from one to the next."""
        try:
            step()
        except AbortedError as error:
            log.warning("a transaction is aborted and tried again: %s", error)
            self.log.abort()
            self.counters.aborted += 1
        except WarehouseUnavailableError as error:
            log.warning("%d labels wait for the store: %s", len(self.queue), error)
        else:
            self._rest_ms = REST_MS_MIN
            return
        self._more = False
        self._changed_ms = self.now_ms()
        self._rest_until_ms = self.now_ms() + self._rest_ms
        self._rest_ms = min(2 * self._rest_ms, REST_MS_MAX)

    def _quiet(self) -> bool:
        if self.until_idle_ms is None or not self.log.owns_all:
            return False
        if self.queue.moving or self.log.behind - self.queue.held.keys():
            return False
        return min(self.now_ms() - self._changed_ms, self.others_idle_ms()) >= self.until_idle_ms

    def _ends(self, batch: Sequence[Waiting]) -> list[End]:
        labels = [label for waiting in batch if (label := asked_for(waiting, self.terms))]
        found = answers(self.warehouse.query_columns(LOOK_UP, parameters(labels))) if labels else {}
        wall_ms = self.wall_ms()
        return [end_of(waiting, found, self.terms, now_ms=wall_ms) for waiting in batch]

    def _commit(self, batch: Sequence[Waiting], ends: Sequence[End]) -> None:
        """Write the end of each label of a batch, and account for them, in one transaction."""
        after = positions(batch)
        self.log.begin()
        for end in ends:
            if end.write:
                self.log.write(end.write)
        self.log.commit(after)
        self.queue.done(after)
        again = (end.write for end in ends if end.kind == "requeued" and end.write)
        self.queue.moving.update((write.partition, write.value) for write in again)
        self.counters.transactions += 1
        for end in ends:
            self.counters.ended(end.kind)
        if any(end.kind != "requeued" for end in ends):
            self._changed_ms = self.now_ms()
