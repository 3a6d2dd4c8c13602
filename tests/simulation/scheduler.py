"""One run: chance decides what happens next, until it is told to be calm; then everything must be drained and right."""

from collections import Counter
from collections.abc import Callable

from schemas.dead_letter import REPLAYED_FROM, DeadLetter, place_text
from schemas.topics import DEAD_LETTERS, PROFILED
from tests.simulation import oracle, world
from tests.simulation.broker import Broker
from tests.simulation.chance import CALM, Chance, KilledError
from tests.simulation.workers import Process, Protocol, Slot

CALM_ROUNDS_MAX = 120
WORKERS = 3
REPLAYS_IN_CALM = 0.3
"""How often, in a round, somebody replays a dead letter."""


class Run:
    """A broker, a few workers and their inputs, from one seed."""

    def __init__(self, seed: int, protocol: Protocol) -> None:
        self.chance = Chance(seed)
        self.chance.interlude = self.act
        self.protocol = protocol
        random = self.chance.random
        self.partitions = random.choice((1, 2, 2, 3))
        self.stages = world.stages(self.partitions)
        self.unsent = world.inputs(random, self.partitions)[::-1]
        self.broker = Broker()
        for stage in self.stages:
            for topic in (*stage.inputs, stage.state_log):
                for number in range(self.partitions):
                    self.broker.partition(topic, number)
        self.processes = [self._new_process() for _ in range(WORKERS)]
        self.dead: list[Process] = []
        self._replayed: set[str] = set()
        self._acts: tuple[tuple[float, Callable[[], None]], ...] = (
            (0.58, self._advance_someone),
            (0.70, self._send),
            (0.78, self._land),
            (0.84, self._deliver_marker),
            (0.92, self._replicate),
            (0.94, self._compact),
            (0.95, self._replay),
            (0.97, self._rebalance),
            (0.985, self._time_out),
            (1.0, self._kill),
        )
        for stage in self.stages:
            for number in range(self.partitions):
                random.choice(self.processes).assign(stage, number)

    def _new_process(self) -> Process:
        return Process(self.broker, self.chance, self.protocol, self.partitions)

    def violations(self) -> list[str]:
        """Run to the end and return everything that is wrong."""
        for _ in range(self.chance.random.randrange(60, 260)):
            self.act()
        self.chance.rates = CALM
        try:
            is_drained = self._drain()
        except KilledError:  # no process may be killed now
            return ["a process died in the calm"]
        if not is_drained:
            return ["stuck: the inputs were never read to their end"]
        return oracle.violations(self.broker, self.stages, self.partitions)

    def act(self) -> None:
        """Let one thing happen."""
        roll = self.chance.random.random()
        next(act for below, act in self._acts if roll < below)()

    def _advance_someone(self) -> None:
        process = self.chance.random.choice(self.processes)
        free = [slot for slot in process.slots.values() if slot.is_assigned and not slot.is_busy]
        if free:
            try:
                process.advance(self.chance.random.choice(free))
            except KilledError:
                self._bury()

    def _bury(self) -> None:
        """Put a new process in the place of every dead one; it has the same assignment and an empty memory."""
        for index, process in enumerate(self.processes):
            if not process.alive:
                self.dead.append(process)
                self.processes[index] = self._new_process()
                for slot in process.slots.values():
                    if slot.is_assigned:
                        self.processes[index].assign(slot.stage, slot.partition)

    def _send(self) -> None:
        if not self.unsent:
            return
        sent = self.unsent.pop()
        partition = self.broker.partition(sent.topic, sent.partition)
        transaction = None
        if sent.is_aborted:
            transaction = self.broker.aborted_transaction(partition)
        partition.append(
            sent.key, sent.value, headers=sent.headers, timestamp_ms=sent.timestamp_ms, transaction=transaction
        )

    def _replay(self) -> None:
        """Send a dead letter of the merchant stage again, once, as `dead-letters replay` does."""
        for number in range(self.partitions):
            for stored in self.broker.partition(DEAD_LETTERS, number).committed():
                letter = DeadLetter.from_record(stored.key, stored.value, stored.headers, stored.timestamp_ms)
                place = place_text(number, stored.offset)
                if letter.origin.topic == PROFILED.name and place not in self._replayed:
                    self._replayed.add(place)
                    self.chance.seen["dead letters replayed"] += 1
                    again = self.broker.partition(PROFILED, letter.origin.partition)
                    again.append(stored.key, stored.value, headers=((REPLAYED_FROM, place.encode()),))
                    return

    def _land(self) -> None:
        process = self.chance.random.choice(self.processes + self.dead[-2:])
        waiting = [log for log in process.logs if log.in_flight]
        if waiting:
            self.chance.random.choice(waiting).land()

    def _deliver_marker(self) -> None:
        if self.broker.undelivered_markers:
            self.broker.deliver_marker(self.chance.random.randrange(len(self.broker.undelivered_markers)))

    def _replicate(self) -> None:
        self.chance.random.choice(list(self.broker.partitions.values())).replicate()

    def _compact(self) -> None:
        stage = self.chance.random.choice(self.stages)
        state = self.broker.partition(stage.state_log, self.chance.random.randrange(self.partitions))
        records, tombstones = state.compact()
        self.chance.seen["records compacted away"] += records
        self.chance.seen["tombstones compacted away"] += tombstones

    def _time_out(self) -> None:
        writers = sorted(self.broker.writers)
        if writers:
            self.chance.seen["transactions timed out"] += self.broker.time_out(self.chance.random.choice(writers))

    def _kill(self) -> None:
        self.chance.random.choice(self.processes).kill()
        self._bury()

    def _rebalance(self) -> None:
        """Give a task to somebody; its owner may hear of that now, later, or never."""
        random = self.chance.random
        stage, number = random.choice(self.stages), random.randrange(self.partitions)
        heir = random.choice(self.processes)
        for process in self.processes:
            slot = process.slots.get((stage.name, number))
            if slot and process is not heir and random.random() < 0.6:
                slot.is_assigned = False
                if random.random() < 0.5 and not slot.is_busy:
                    process.discard(slot)
        heir.assign(stage, number)

    def _drain(self) -> bool:
        """Send the rest, give each task to one process, and go on until nothing is left to do."""
        random = self.chance.random
        while self.unsent:
            self._send()
        owners: list[tuple[Process, Slot]] = []
        for stage in self.stages:
            for number in range(self.partitions):
                owner = random.choice(self.processes)
                owner.assign(stage, number)
                owners.append((owner, owner.slots[stage.name, number]))
        for _ in range(CALM_ROUNDS_MAX):
            for owner, slot in owners:
                slot.is_assigned = True
                owner.advance(slot)
            if random.random() < REPLAYS_IN_CALM:
                self._replay()
            self._settle()
            if all(self._is_done(slot) for _, slot in owners):
                return True
        return False

    def _settle(self) -> None:
        """Let everything that is on its way arrive."""
        for process in (*self.processes, *self.dead):
            for log in process.logs:
                while log.in_flight:
                    log.land()
        while self.broker.undelivered_markers:
            self._deliver_marker()
        for partition in self.broker.partitions.values():
            partition.replicate()

    def _is_done(self, slot: Slot) -> bool:
        if slot.task is None or len(slot.inputs):
            return False
        ends = {topic.name: self.broker.partition(topic, slot.partition) for topic in slot.stage.inputs}
        return all(slot.cursors[name] >= len(partition.log) == partition.stable for name, partition in ends.items())


def violations(seed: int, protocol: Protocol, seen: Counter[str] | None = None) -> list[str]:
    """Run one seed and return what is wrong; an exception that escapes is wrong too. Adds to `seen` what happened."""
    run = Run(seed, protocol)
    try:
        return run.violations()
    except (LookupError, ValueError, AssertionError, AttributeError, TypeError) as error:
        return [f"{type(error).__name__}: {error}"]
    finally:
        if seen is not None:
            seen.update(run.chance.seen)
