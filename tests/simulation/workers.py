"""Processes that own tasks: open, seek, fetch, take, step, commit, acknowledge. What the app does, without Faust."""

from collections import defaultdict
from dataclasses import dataclass, field

from streams.detector.stage import EntityStage, Record
from streams.exactly_once import FencedError, RestoreError, Task, TransactionFailedError
from streams.inputs import Inputs
from tests.simulation.broker import Broker
from tests.simulation.chance import Chance
from tests.simulation.task_log import BrokerLog


@dataclass(eq=False, slots=True)
class Slot:
    """One task of one process: what it holds of it, in memory."""

    stage: EntityStage
    partition: int
    inputs: Inputs
    task: Task | None = None
    log: BrokerLog | None = None
    cursors: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    positions: dict[str, int] = field(default_factory=dict)
    is_assigned: bool = True
    is_busy: bool = False

    @property
    def key(self) -> tuple[str, int]:
        return self.stage.name, self.partition


class Protocol:
    """How a process runs its tasks. A mutant replaces one part of it."""

    name = "production"
    task: type[Task] = Task
    log: type[BrokerLog] = BrokerLog
    reads_committed = True

    def open(self, process: "Process", slot: Slot) -> None:
        """Take the task over and note the positions of its inputs."""
        slot.log = process.new_log(slot)
        slot.task = self.task(slot.stage, slot.partition, slot.log)
        slot.positions = slot.task.open()

    def commit(self, process: "Process", slot: Slot) -> None:
        """Commit, and only then acknowledge."""
        assert slot.task is not None
        slot.positions = slot.task.commit()
        process.chance.point(process, "before acknowledging")
        self.acknowledge(process, slot, slot.positions)

    def acknowledge(self, process: "Process", slot: Slot, positions: dict[str, int]) -> None:
        """Commit the group's offsets, which nobody trusts."""
        for topic, position in positions.items():
            process.broker.group_offsets[slot.stage.name, topic, slot.partition] = position

    def failed(self, process: "Process", slot: Slot) -> None:
        """Throw the task away after an error."""
        process.discard(slot)


class Process:
    """One process of one worker, until it dies."""

    def __init__(self, broker: Broker, chance: Chance, protocol: Protocol, partitions: int) -> None:
        self.broker = broker
        self.chance = chance
        self.protocol = protocol
        self.partitions = partitions
        self.alive = True
        self.slots: dict[tuple[str, int], Slot] = {}
        self.logs: list[BrokerLog] = []
        self.now_ms = 0

    def kill(self) -> None:
        self.alive = False
        for log in self.logs:
            log.close()

    def new_log(self, slot: Slot) -> BrokerLog:
        """Return a new producer for a task. What earlier ones sent may still land."""
        state = self.broker.partition(slot.stage.state_log, slot.partition)
        transactional_id = f"sim-{slot.stage.name}-{slot.partition}"
        log = self.protocol.log(self.broker, self.chance, self, transactional_id, state, self.partitions)
        self.logs.append(log)
        return log

    def assign(self, stage: EntityStage, partition: int) -> None:
        """Take a task on. One that was given up a while ago and kept goes on from where it stood."""
        slot = self.slots.get((stage.name, partition))
        if slot is None:
            slot = Slot(stage, partition, Inputs([topic.name for topic in stage.inputs]))
            self.slots[slot.key] = slot
        elif not slot.is_assigned and not slot.is_busy:
            self.chance.seen["task kept through a rebalance"] += slot.task is not None
            self.seek(slot)
        slot.is_assigned = True

    def seek(self, slot: Slot) -> None:
        """Read the inputs again from the task's positions."""
        slot.inputs.clear()
        slot.cursors = defaultdict(int, slot.positions)

    def discard(self, slot: Slot) -> None:
        """Forget the task and what waits for it."""
        if slot.log:
            slot.log.close()
        slot.task = slot.log = None
        slot.inputs.clear()

    def advance(self, slot: Slot) -> None:
        """Do the next thing for a task."""
        slot.is_busy = True
        try:
            if slot.task is None:
                self.protocol.open(self, slot)
                self.seek(slot)
            else:
                self._fetch(slot)
                if self.chance.random.random() < 0.7:
                    self._step(slot)
        except FencedError:
            self.chance.seen["tasks fenced"] += 1
            self.discard(slot)
            slot.is_assigned = slot.is_assigned and self.chance.random.random() < 0.5
        except (TransactionFailedError, RestoreError):
            self.protocol.failed(self, slot)
        finally:
            slot.is_busy = False

    def _fetch(self, slot: Slot) -> None:
        for topic in slot.stage.inputs:
            if self.chance.random.random() < 0.3:
                continue
            partition = self.broker.partition(topic, slot.partition)
            cursor, is_committed = slot.cursors[topic.name], self.protocol.reads_committed
            found, reached = partition.read(cursor, self.chance.random.randrange(1, 7), committed=is_committed)
            self.now_ms += 1
            for stored in found:
                record = Record(
                    topic.name,
                    slot.partition,
                    stored.offset,
                    stored.timestamp_ms,
                    stored.key,
                    stored.value,
                    stored.headers,
                )
                slot.inputs.put(slot.stage.read(record), self.now_ms)
            slot.cursors[topic.name] = reached
            if reached >= (partition.stable if is_committed else partition.replicated):
                slot.inputs.read_to_end(topic.name, self.now_ms)

    def _step(self, slot: Slot) -> None:
        unready = self.chance.rates.unready
        events = slot.inputs.take(self.chance.random.randrange(1, 6), lambda _, __: not self.chance.happens(unready))
        if events:
            assert slot.task is not None
            slot.task.step(events)
            self.chance.point(self, "after step")
            self.protocol.commit(self, slot)
