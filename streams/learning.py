"""The learning stage's task: a fold over the training log, whose only state is its snapshots and the champion's alias.

A snapshot is cut where the number of records learned is a multiple of `snapshot_records`: a place that the log sets, so
every learner of this log cuts the same snapshots. It holds its own position; a task that opens takes up the last one,
reads again what the next trees grow from, and goes on behind it. Between two snapshots no state is written, and what
was learned there is learned again after a crash. A record that cannot be read is put aside together with a snapshot
behind it, so that it is put aside once.

With each snapshot goes an alias record, in one transaction: the snapshot becomes champion, unless it is much worse than
the one in force on payments whose labels are trusted. Quarantines that begin or end are told by alerts, as that is; an
alert that is raised again after a crash is the same one. Commands of people change the alias: answer, alias and
position are one transaction, so each is carried out once. What is read back is believed only with its signature.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

from schemas.codec import encode
from schemas.fields import Message
from schemas.learning import ModelVersion, TrainingRecord
from schemas.signing import Signer
from schemas.topics import ALERTS, ALIASES, AUDIT, CONTROLS, MODELS, TRAINING, Topic
from streams.detector.admission import CHAMPION, TIME_MS_MIN, Admission, NotAdmittedError, alert_of, place_of
from streams.detector.encode import ENCODER
from streams.detector.learner import Learner
from streams.detector.learning_stage import LearningStage
from streams.detector.rebuild import rebuilt
from streams.detector.registry import Registry
from streams.detector.scorer import made_by, scorer_from
from streams.detector.stage import Event, Output, Record, Refusal
from streams.detector.state import Size
from streams.exactly_once import FencedError, Restored, TaskLog
from streams.look_back import MODELS_BACK, backwards, between, last_alias
from streams.recompute.logs import Logs


class LearningTask:
    """The one task of the learning stage. `open` once, then `step` and `commit` in turn; after an error, discard it.

    Parameters
    ----------
    logs : where snapshots and aliases are read back, with their headers.
    signer : our own key; `admission` must trust it.
    """

    def __init__(
        self,
        stage: LearningStage,
        partition: int,
        log: TaskLog,
        logs: Logs,
        *,
        snapshot_records: int,
        signer: Signer,
        admission: Admission,
    ) -> None:
        self.stage = stage
        self.partition = partition
        self.counters: Counter[str] = Counter()
        self.watermark_ms = 0
        self.restored = Restored()
        self._log = log
        self._logs = logs
        self._signer = signer
        self._admission = admission
        self._registry = Registry(admission, self._model_at)
        self._snapshot_records = snapshot_records
        self._learner = Learner()
        self._next: dict[str, int] = {}
        self._in_transaction = False

    def open(self) -> dict[str, int]:
        """Take the task over, go back to the last snapshot and alias, and return where to read on.

        Whatever the topics held when the fence fell is final, so they are read to their uncommitted ends of then.
        """
        self._log.fence()
        if found := last_alias(self._logs, self._admission):
            self._registry.alias = found[0]
            self._go_back(found[0].newest)
        return self._positions()

    def _go_back(self, newest: str | None) -> None:
        """Take up the snapshot that was cut last; where this code cannot, the last one that it can."""
        best: ModelVersion | None = None
        for records in backwards(self._logs, MODELS, MODELS_BACK) if newest else ():
            for record in records:
                self.restored = Restored(self.restored.records + 1, record.offset, record.offset + 1)
                with suppress(NotAdmittedError):
                    model = self._admission.snapshot(record).model
                    newer = best is None or model.place > best.place
                    best = model if newer and model.challenger is None else best
            if best and best.version == newest:
                break
        if best:
            self._learner, self._next[TRAINING.name] = Learner.of(best), best.training_offset
            self._learner.parent = best.version
            self._remember(best.training_offset)

    def _remember(self, end: int) -> None:
        """Give the learner back the records before an offset of its log that the next trees grow from."""
        begin, _ = self._logs.bounds(TRAINING, 0)
        back = self._learner.examples_max
        while not self._learner.remembers_all:
            start, back = max(begin, end - back), 2 * back
            events = map(self.stage.read, between(self._logs, TRAINING, start, end))
            messages = (event.message for event in events if isinstance(event, Event))
            self._learner.remember(message for message in messages if isinstance(message, TrainingRecord))
            if start == begin:
                break

    def _model_at(self, offset: int) -> Record | None:
        record = next(self._logs.read(MODELS, 0, offset), None)
        return record if record and record.offset == offset else None

    def step(self, events: Sequence[Event | Refusal]) -> None:
        """Learn records in this order; what is to be written is in one transaction that is not committed yet."""
        for event in events:
            record = event.record
            if record.offset < (self.position(record.topic) or 0):
                raise FencedError(f"{record.topic}: offset {record.offset} was learned before")
            if record.topic == CONTROLS.name:
                self._carry_out(record)
                continue
            self._next[TRAINING.name] = record.offset + 1
            self.watermark_ms = max(self.watermark_ms, event.event_time_ms)
            if isinstance(event, Refusal):
                refused = self.stage.refuse(event)
                self.counters.update(refused.counts)
                self._write(*refused.outputs)
                self._cut()
                continue
            assert isinstance(event.message, TrainingRecord)
            self._learner.learn(event.message)
            self._tell_turns(event)
            self.counters["learned"] += 1
            if self._learner.records % self._snapshot_records == 0:
                self._cut()

    def _tell_turns(self, event: Event) -> None:
        turns = self._learner.guard.turns
        for kind in ("quarantined", "released") if turns else ():
            if text := "; ".join(turn.text for turn in turns if turn.held == (kind == "quarantined")):
                self._alert(kind, place_of(event.record), text)

    def _cut(self) -> None:
        cut = self._learner.snapshot(self._next.get(TRAINING.name, 0))
        self._learner.parent = cut.version
        model = made_by(cut, self.stage.context.code_version)
        candidate = scorer_from(cut.state, model.version, cut.records, cut.frauds, ENCODER)
        worse = self._learner.guard.worse(candidate)
        self._write(self._signed(MODELS, model.version, model))
        self._write(self._signed(ALIASES, CHAMPION, self._registry.cut(model.version, may_decide=worse is None)))
        if worse:
            self._alert("worse", model.version, worse)
        self.counters["snapshots"] += 1

    def _alert(self, kind: str, subject: str, text: str) -> None:
        alert = alert_of(kind, subject, text, max(self.watermark_ms, TIME_MS_MIN))
        self._write(Output(ALERTS, alert.alert_id.encode(), encode(alert), self.partition))

    def _carry_out(self, record: Record) -> None:
        done = self._registry.carry_out(record)
        again = self._learner.rebuilt_at != self._next.get(TRAINING.name, 0)
        rebuilds = again and (done.audit.kind, done.audit.outcome) == ("rebuild", "done")
        if rebuilds:
            self._rebuild()
        self._write(
            self._signed(ALIASES, CHAMPION, done.alias),
            Output(AUDIT, done.audit.control_id.encode(), encode(done.audit), self.partition),
        )
        if done.alert:
            self._write(Output(ALERTS, done.alert.alert_id.encode(), encode(done.alert), self.partition))
        if rebuilds:
            self._cut()
        self.counters[f"commands.{done.audit.outcome}"] += 1

    def _rebuild(self) -> None:
        """Learn again what of the log so far still stands. It takes longer than a transaction may stay open."""
        self.commit()
        end, parent = self._next.get(TRAINING.name, 0), self._learner.parent
        events = map(self.stage.read, between(self._logs, TRAINING, 0, end))
        messages = (event.message for event in events if isinstance(event, Event))
        self._learner = rebuilt(message for message in messages if isinstance(message, TrainingRecord))
        self._learner.parent, self._learner.rebuilt_at = parent, end

    def _signed(self, topic: Topic, name: str, message: Message) -> Output:
        key, value = name.encode(), encode(message)
        return Output(topic, key, value, self.partition, self._signer.headers(topic, key, value))

    def _write(self, *outputs: Output) -> None:
        if not self._in_transaction:
            self._log.begin()
            self._in_transaction = True
        for output in outputs:
            self._log.write(output)

    def commit(self) -> dict[str, int]:
        """Commit what `step` wrote, if anything, and return how far the inputs are read."""
        if self._in_transaction:
            self._log.commit()
            self._in_transaction = False
        return self._positions()

    def _positions(self) -> dict[str, int]:
        return {topic.name: at for topic in self.stage.inputs if (at := self.position(topic.name)) is not None}

    def position(self, topic: str) -> int | None:
        """Return the next offset to read of an input, or None where it was never read."""
        if topic == CONTROLS.name:
            return self._registry.alias.controls_next or None
        return self._next.get(topic)

    @property
    def size(self) -> Size:
        """How much the task remembers of entities: nothing."""
        return Size()

    def close(self) -> None:
        """Let go of Kafka."""
        self._log.close()
