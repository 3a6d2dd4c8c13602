"""The production stages over the logs, a task at a time, each record under the documents that were in force. Pure."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from types import TracebackType
from typing import Any

from schemas.codec import readable_identity
from schemas.decision import Profiled
from schemas.fields import Positions
from schemas.label import Label
from schemas.learning import PolicyVersion, TrainingRecord
from schemas.topics import DEAD_LETTERS, DECISIONS
from streams.detector.stage import EntityStage, Event, Output, Record, Refusal, Step
from streams.detector.state import State
from streams.exactly_once import Task
from streams.recompute.compare import Difference, Found, Subject, differing_fields
from streams.recompute.documents import Documents
from streams.recompute.logs import ArchivedLog, Logs, Position, Start, size_of
from streams.recompute.rare import Answer, Letter, Rare, answer_of

BATCH = 500

Place = tuple[int, int]
"""Partition and offset."""


@dataclass
class Play:
    """One task to be played again: its stage, from where, up to where, and what it is compared with."""

    logs: Logs
    stage: EntityStage
    partition: int
    start: Start
    until: Position
    documents: Documents
    rare: Rare
    found: Found
    ends: Callable[[str, int], int]
    """Topic and partition -> an offset: all records before it were written before `until`."""

    def read(self, topic_name: str, records: Iterable[Record]) -> Iterator[Record]:
        """Give the records of an input that the task has processed since its start."""
        end = self.until.next.get(topic_name, 0)
        for record in records:
            if record.offset >= end:
                return
            yield record

    def begin(self, topic_name: str) -> int:
        """Return the first offset of an input behind the start."""
        return self.start.position.next.get(topic_name, 0)

    def policy_of_answer(self, card: str | None, transaction_id: str) -> None:
        """Put in force the policy that the recorded answer to a failed or refused record names."""
        recorded = self.rare.peek(Answer(self.partition, card, transaction_id))
        if recorded:
            self.put_policy(json.loads(recorded.value or b"{}").get("policy_version", ""))

    def put_policy(self, version: str) -> None:
        """Put a policy in force."""
        policy: PolicyVersion | None = self.documents.policy(version)
        if policy is None:
            self.note(f"policy {version} decided and is not in the log")
        else:
            self.stage.context.in_force.policy = policy

    def note(self, text: str) -> None:
        """Say something once."""
        if text not in self.found.notes:
            self.found.notes.append(text)

    def before_rare(self, event: Event | Refusal) -> None:
        """Where the log holds an answer without a prediction to this record, put its policy in force."""
        record = event.record
        if isinstance(event, Refusal):
            identity = readable_identity(record.value)
            if identity:
                self.policy_of_answer(identity.card, identity.transaction_id)
        elif self.rare.peek(Letter(self.stage.name, record.topic, record.partition, record.offset)):
            subject = subject_of(event)
            self.policy_of_answer(subject.card, subject.transaction_id or "")

    def after_rare(self, event: Event | Refusal, outputs: Iterable[Output]) -> None:
        """Compare dead letters and answers without a prediction."""
        record, subject = event.record, subject_of(event)
        for output in outputs:
            if output.topic is DEAD_LETTERS:
                name: Letter | Answer = Letter(self.stage.name, record.topic, record.partition, record.offset)
            elif output.topic is DECISIONS:
                name = answer_of(self.partition, output.value)
            else:
                continue
            self.found.compare(output.topic.name, subject, self.rare.take(name), output)

    def run(
        self,
        records: Iterable[Record],
        before: Callable[[Event | Refusal], None],
        after: Callable[[Event | Refusal, Step], None],
        *,
        counted: bool,
    ) -> None:
        """Run the task over records. `counted`: it must come to position, counters and size of its state log."""
        stage = Followed(self.stage, before, after)
        task = Task(stage, self.partition, ArchivedLog(self.start.pieces))
        task.open()
        events = map(stage.read, records)
        while batch := list(islice(events, BATCH)):
            task.step(batch)
            task.commit()
        reached = {topic.name: at for topic in stage.inputs if (at := task.position(topic.name)) is not None}
        if counted:
            counters, size = dict(sorted(task.counters.items())), size_of(task.size._asdict())
            self._compare_position(Position(reached, counters, task.watermark_ms, size))

    def _compare_position(self, made: Position) -> None:
        topic = self.stage.state_log
        held, again = (
            Output(topic, None, json.dumps(vars(each), sort_keys=True).encode(), self.partition)
            for each in (self.until, made)
        )
        if held == again:
            self.found.equal["positions and counters"] += 1
        else:
            place, fields = f"{topic.name}-{self.partition}", differing_fields(held, again)
            self.found.differs(Difference("positions and counters", "differs", place, Subject(), fields))


class Followed(EntityStage):
    """A stage that tells of each record before it and after it, and is the stage itself in all else."""

    def __init__(
        self,
        stage: EntityStage,
        before: Callable[[Event | Refusal], None],
        after: Callable[[Event | Refusal, Step], None],
    ) -> None:
        super().__init__(stage.context)
        self.name, self.kind, self.inputs, self.state_log = stage.name, stage.kind, stage.inputs, stage.state_log
        self._stage, self._before, self._after = stage, before, after

    def read(self, record: Record) -> Event | Refusal:
        return self._stage.read(record)

    def step(self, state: State, event: Event, positions: Positions) -> Step:
        self._before(event)
        return self._told(event, self._stage.step(state, event, positions))

    def refuse(self, refusal: Refusal) -> Step:
        self._before(refusal)
        return self._told(refusal, self._stage.refuse(refusal))

    def fail(self, event: Event, error: Exception) -> Step:
        _leave_out(error.__traceback__)
        return self._told(event, self._stage.fail(event, error))

    def _told(self, event: Event | Refusal, step: Step) -> Step:
        self._after(event, step)
        return step


def _leave_out(calls: TracebackType | None) -> None:
    """Take this module's calls out of where an error was raised: a dead letter tells those of the stage."""
    while calls is not None:
        while calls.tb_next is not None and calls.tb_next.tb_frame.f_globals.get("__name__") == __name__:
            calls.tb_next = calls.tb_next.tb_next
        calls = calls.tb_next


def put_code(stage: EntityStage, version: str) -> None:
    """Let a stage name the code that decided then: what is asked is whether this code says the same."""
    if stage.context.code_version != version:
        stage.context = replace(stage.context, code_version=version)


def subject_of(event: Event | Refusal) -> Subject:
    """Return what an event is about."""
    if isinstance(event, Refusal):
        identity = readable_identity(event.record.value)
        card, transaction_id = (identity.card, identity.transaction_id) if identity else (None, None)
        return Subject(card, transaction_id, event.record.timestamp_ms)
    message = event.message
    about = message.transaction or message.label if isinstance(message, Profiled) else message
    if about is None:
        return Subject()
    time_ms = about.reported_at_ms if isinstance(about, Label | TrainingRecord) else about.event_time_ms
    return Subject(about.card, about.transaction_id, time_ms)


def subject_in(record: Record) -> Subject:
    """Return what a profiled record, a prediction, a decision or the marker of a repeat is about."""
    fields: dict[str, Any] = json.loads(record.value or b"{}")
    about = fields.get("transaction") or fields.get("label") or fields
    time_ms = about.get("event_time_ms", about.get("reported_at_ms"))
    return Subject(about.get("card"), about.get("transaction_id"), time_ms)
