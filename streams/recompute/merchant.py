"""A merchant task played again: what the card tasks came to, then predictions and decisions. Pure."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from schemas.decision import Profiled
from schemas.fields import Features
from schemas.topics import DECISIONS, PREDICTIONS, PROFILED
from streams.detector.stage import Event, Output, Record, Refusal, Step
from streams.recompute.compare import Awaited, Subject
from streams.recompute.replay import Place, Play, put_code, subject_in, subject_of

_IS_FALLBACK = b'"mode":"fallback"'


class MerchantPlay:
    """One merchant task.

    `features` are those of predictions that came out with others, by the places of the predictions; None: there would
    be no prediction.
    """

    def __init__(self, play: Play, changed: Mapping[Place, Output | None]) -> None:
        self._play = play
        self._changed = changed
        outputs = play.start.outputs
        predictions, decisions = (
            play.logs.read(topic, play.partition, outputs.get(topic.name, 0)) for topic in (PREDICTIONS, DECISIONS)
        )
        self._predictions = Awaited(predictions, self._place_in_profiled)
        self._decisions = Awaited(decisions, _whose)
        self.features: dict[Place, Features | None] = {}

    def run(self, *, counted: bool) -> None:
        """Play it, and compare everything."""
        play = self._play
        play.run(self._records(), self._before, self._after, counted=counted)
        end = play.until.next.get(PROFILED.name, 0)
        for record in self._predictions.left():
            if (self._place_in_profiled(record) or 0) < end:
                self._compare_prediction(record, None, subject_in(record))
        end = 0 if play.start.outputs else play.ends(DECISIONS.name, play.partition)
        for record in self._decisions.left():
            if record.offset < end:
                play.found.compare(DECISIONS.name, subject_in(record), record, None)

    def _records(self) -> Iterator[Record]:
        """Give the profiled records as they come out now, each in its place; report those that differ."""
        play = self._play
        end = play.until.next.get(PROFILED.name, 0)
        for record in play.logs.read(PROFILED, play.partition, play.begin(PROFILED.name)):
            place = (record.partition, record.offset)
            now = record
            if place in self._changed:
                made = self._changed[place]
                play.found.compare(PROFILED.name, subject_in(record), record, made)
                # What would lie in another partition has no place there: nothing says what came before it.
                if made is None or made.partition != record.partition:
                    continue
                now = record._replace(key=made.key, value=made.value)
            if record.offset < end:
                yield now

    def _before(self, event: Event | Refusal) -> None:
        play = self._play
        play.before_rare(event)
        recorded = self._predictions.peek(event.record.offset) if _is_payment(event) else None
        if recorded is None:
            return
        named: dict[str, Any] = json.loads(recorded.value or b"{}")
        play.put_policy(named["policy_version"])
        play.found.code[named["code_version"]] += 1
        put_code(play.stage, named["code_version"])
        version = named.get("model_version")
        scorer = play.documents.scorer(version) if version else None
        if version and scorer is None:
            play.note(f"model {version} decided and is not in the log")
        play.stage.context.in_force.scorer = scorer

    def _after(self, event: Event | Refusal, step: Step) -> None:
        if not _is_payment(event):
            self._play.after_rare(event, step.outputs)
            return
        made = {output.topic: output for output in step.outputs}
        recorded = self._predictions.take(event.record.offset)
        subject = subject_of(event)
        if PREDICTIONS not in made:
            self._play.after_rare(event, step.outputs)
        if PREDICTIONS not in made and not recorded:
            return
        self._compare_prediction(recorded, made.get(PREDICTIONS), subject)
        if not _is_history(event):
            decided = made.get(DECISIONS) if PREDICTIONS in made else None
            self._play.found.compare(DECISIONS.name, subject, self._decisions.take(subject[:2]), decided)

    def _compare_prediction(self, recorded: Record | None, made: Output | None, subject: Subject) -> None:
        self._play.found.compare(PREDICTIONS.name, subject, recorded, made)
        if recorded is None or (made and made.value == recorded.value):
            return
        before: Features = json.loads(recorded.value or b"{}")["features"]
        now: Features | None = json.loads(made.value or b"{}")["features"] if made else None
        if now != before:
            self.features[recorded.partition, recorded.offset] = now

    def _place_in_profiled(self, record: Record) -> int | None:
        """Return the offset of the profiled record that a prediction was made from; None: before the start."""
        offset: int = json.loads(record.value or b"{}")["positions"][PROFILED.name][1]
        return offset if offset >= self._play.begin(PROFILED.name) else None


def _is_payment(event: Event | Refusal) -> bool:
    return isinstance(event, Event) and isinstance(event.message, Profiled) and event.message.transaction is not None


def _is_history(event: Event | Refusal) -> bool:
    """Return whether it is a payment that is answered to nobody; an answer to the same one is another record's."""
    return isinstance(event, Event) and isinstance(event.message, Profiled) and event.message.mode is not None


def _whose(record: Record) -> tuple[str | None, str | None] | None:
    """Return whose decision it is; None: one without a prediction, which is looked at elsewhere."""
    return None if _IS_FALLBACK in (record.value or b"") else subject_in(record)[:2]
