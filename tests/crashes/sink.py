"""One group of sinks over logs in memory and a real store: they die, are refused, fenced off, and begun again.

The sink and what counts values by hour are the shipped ones. A process that dies loses what it has in memory; the next
one begins where the group has committed, with batches of another size and the partitions in another order.
"""

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from random import Random
from typing import Any

from consumers.batch import Batch, Limits
from consumers.predictions_to_hours import PredictionsToHours
from consumers.rows import Record
from consumers.topics_to_clickhouse import TopicsToClickhouse
from consumers.warehouse import Columns, Warehouse, WarehouseUnavailableError
from tests.crashes.logs import HOURS, Logs, Place
from tests.simulation.chance import KilledError

POINTS = (
    "after a read",
    "before an insert",
    "during an insert",
    "between tables",
    "before the commit",
    "after the commit",
)
"""Where a sink dies. Each life of one is to end at the next of them, at one of the first times that it comes by."""
BUILD_POINTS = ("before a build", "after a build")
PASSES = {"before the commit": 2, "after the commit": 2}
PASSES_ELSEWHERE = 6
ROWS = (20, 90)
"""Least and most records in a batch."""
IDLE_MS = 500
DEPTH_MAX = 2
"""How many processes may stand still within a call while others go on."""
UNAVAILABLE, HALF_STORED, COMMIT_LOST = 0.1, 0.1, 0.3
TAKEN_OVER, BUILT = 0.03, 0.03
"""How often what goes wrong, as a probability of each call or point."""


class Group:
    """Sinks in turn on one store until all is stored and committed. `seen` counts what happened."""

    def __init__(self, logs: Logs, store: Warehouse, seed: int, sink: type[TopicsToClickhouse]) -> None:
        self.logs = logs
        self.store = store
        self.chance = Random(seed)
        self.sink = sink
        self.seen: Counter[str] = Counter()
        self.committed: dict[Place, int] = dict.fromkeys(logs.records, 0)
        self.generation = 0
        self.clock_ms = 0
        self._depth = 0
        self._points = itertools.cycle(POINTS)
        self.build_points = itertools.cycle((*BUILD_POINTS, ""))

    def run(self) -> None:
        """Let one life follow another until nothing is left."""
        while any(self.committed[place] < len(records) for place, records in self.logs.records.items()):
            self.live()
            self.build()

    def live(self) -> None:
        """Let one more member join, and live until it dies or has nothing left to read."""
        self.seen["lives"] += 1
        point = next(self._points)
        # At first each point is struck at once: there are records enough for that, whatever the seed.
        passes = PASSES.get(point, PASSES_ELSEWHERE) if self.seen["lives"] > len(POINTS) else 1
        life = Life(self, point, 1 + self.chance.randrange(passes))
        try:
            life.run()
        except KilledError:
            self.seen[f"killed {point}"] += 1

    def build(self) -> None:
        """Build the values of some hours, perhaps not to the end."""
        # Drawn here, for whether there is anything to build is a matter of the store's clock.
        builds = MortalBuilds(self, overtaken=self.happens(TAKEN_OVER))
        with suppress(KilledError):
            PredictionsToHours(builds, threading.Event(), lambda: 0.0).step()  # type: ignore[arg-type]
        builds.stand_still()

    def stand_still(self) -> None:
        """Let others go on for a while, perhaps."""
        for rate, others in ((TAKEN_OVER, self.live), (BUILT, self.build)):
            if self.happens(rate):
                self.let(others)

    def let(self, others: Callable[[], None]) -> None:
        """Let others go on, where not too many stand still already."""
        if self._depth < DEPTH_MAX:
            self._depth += 1
            self.seen[f"stood still for another to {others.__name__}"] += 1
            others()
            self._depth -= 1

    def happens(self, rate: float) -> bool:
        """Return whether something of this probability happens."""
        return self.chance.random() < rate


class Life:
    """One sink from its start to its end, with its place in the group and its way to the store."""

    def __init__(self, group: Group, dies_at: str, passes: int) -> None:
        self.group = group
        self._dies_at, self._passes = dies_at, passes
        self.batch = Batch(Limits(rows=group.chance.randint(*ROWS)))
        self._sink = group.sink(
            reader=Member(self),
            warehouse=MortalInserts(self),  # type: ignore[arg-type]
            stop=threading.Event(),
            now_ms=lambda: group.clock_ms,
            batch=self.batch,
            until_idle_ms=IDLE_MS,
        )

    def run(self) -> None:
        """Store until there is nothing left.

        Raises
        ------
        KilledError
            It died at its point.
        """
        self._sink.run()

    def at(self, point: str) -> None:
        """Come by a point: die here, or let others go on."""
        if self.is_struck(point):
            raise KilledError
        self.group.stand_still()

    def is_struck(self, point: str) -> bool:
        """Return whether it is to die here and now."""
        self._passes -= point == self._dies_at
        return point == self._dies_at and self._passes == 0


class Member:
    """A `Reader`: what was not committed comes again, from any partition, in any portions.

    Who was taken over hears of it with its next read, and until then commits in vain.
    """

    def __init__(self, life: Life) -> None:
        self._life, self._group = life, life.group
        self._paused = False
        self._join()

    def _join(self) -> None:
        self._group.generation += 1
        self._generation = self._group.generation
        self._next = dict(self._group.committed)

    def read(self, timeout_s: float) -> list[Record]:
        if self._generation != self._group.generation:
            self._life.batch.clear()
            self._join()
        chance, records = self._group.chance, list[Record]()
        behind = [place for place in self._next if not self._paused and self._left(place)]
        for place in chance.sample(behind, min(len(behind), chance.randint(1, 4))):
            portion = self._left(place)[: chance.randint(1, 12)]
            self._next[place] += len(portion)
            records += portion
        self._group.clock_ms += 1 if records else int(timeout_s * 1_000)
        if records:
            self._life.at("after a read")
        return records

    def _left(self, place: Place) -> list[Record]:
        return self._group.logs.records[place][self._next[place] :]

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False

    def at_end(self) -> bool:
        return not any(self._left(place) for place in self._next)

    def commit(self, positions: Mapping[Place, int]) -> None:
        self._life.at("before the commit")
        if self._generation != self._group.generation or self._group.happens(COMMIT_LOST):
            self._group.seen["commits lost"] += 1
        else:
            self._group.committed.update(positions)
        self._life.at("after the commit")


class MortalInserts:
    """The store as one sink reaches it: what it was sent may be there, in part, or not, whatever it is told."""

    def __init__(self, life: Life) -> None:
        self._life, self._group = life, life.group

    def insert_columns(self, table: str, columns: Columns) -> None:
        life, group = self._life, self._group
        life.at("before an insert")
        if life.is_struck("during an insert"):
            self._in_part(table, columns)
            raise KilledError
        if group.happens(UNAVAILABLE):
            raise self._unavailable("before it was reached")
        if group.happens(HALF_STORED):
            self._in_part(table, columns)
            raise self._unavailable("halfway")
        group.store.insert_columns(table, columns)
        group.seen["inserts"] += 1
        group.seen["rows"] += len(next(iter(columns.values())))
        if group.happens(UNAVAILABLE):
            raise self._unavailable("before it could answer")
        if len(life.batch.rows) > 1:
            life.at("between tables")

    def _in_part(self, table: str, columns: Columns) -> None:
        """Store some of the rows: an insert over several months is one part of the table for each."""
        number = len(next(iter(columns.values())))
        chosen = sorted(self._group.chance.sample(range(number), number // 2))
        part = {name: [values[at] for at in chosen] for name, values in columns.items()}
        if chosen:
            self._group.store.insert_columns(table, part)

    def _unavailable(self, when: str) -> WarehouseUnavailableError:
        self._group.seen[f"unavailable {when}"] += 1
        return WarehouseUnavailableError(f"gone {when}")


class MortalBuilds:
    """The store as one that builds hours reaches it. `overtaken`: a sink goes on between its question and its build."""

    def __init__(self, group: Group, *, overtaken: bool) -> None:
        self._group = group
        self._overtaken = overtaken
        self.query_columns: Callable[..., dict[str, list[Any]]] = group.store.query_columns

    def execute(self, statement: str) -> None:
        self.stand_still()
        dies_at = next(self._group.build_points)
        if dies_at == BUILD_POINTS[0]:
            self._die(dies_at)
        self._group.store.execute(statement)
        if dies_at == BUILD_POINTS[1]:
            self._die(dies_at)

    def _die(self, point: str) -> None:
        self._group.seen[f"killed {point}"] += 1
        raise KilledError

    def stand_still(self) -> None:
        """Let a sink go on, once."""
        if self._overtaken:
            self._overtaken = False
            self._group.let(self._group.live)


def build_all(store: Warehouse) -> None:
    """Build the values of every hour once more, undisturbed: the one built longest ago comes first."""
    hours = PredictionsToHours(store, threading.Event(), lambda: 0.0)
    while hours.step() and hours.counters.hours_built < 2 * len(HOURS):
        pass


def settle(store: Warehouse) -> None:
    """Let an hour pass: views then read the hours that were built, and none from the predictions."""
    store.execute(
        "INSERT INTO payment_hours SELECT * REPLACE (read_from + INTERVAL 1 HOUR AS read_from) FROM payment_hours FINAL"
    )
