"""A card task played again: profiled records, labels that wait, repeats, and what was refused. Pure."""

import json
from typing import Any

from schemas.codec import DecodeFailure, decode
from schemas.dead_letter import REPLAYED_FROM
from schemas.label import EffectiveLabel, Label
from schemas.topics import DUPLICATES, LABELS, LABELS_WAITING, PROFILED, TRANSACTIONS
from schemas.transaction import Transaction
from streams.detector.stage import Event, Output, Record, Refusal, Step
from streams.recompute.compare import Awaited
from streams.recompute.order import Order, digest_of, merged
from streams.recompute.repeats import Repeats
from streams.recompute.replay import Place, Play, subject_of

LabelName = tuple[str, str, str, int]
"""Card, transaction, source, revision."""


class CardPlay:
    """One card task.

    `changed` are the profiled records that came out differently, by their places; None: it would not have been
    written. `labels` are the labels to be learned that did, by their names.
    """

    def __init__(self, play: Play, order: Order) -> None:
        self._play = play
        self._rates = order.rates
        self._path = [
            point
            for point in order.points(play.partition)
            if play.begin(point.own[0]) <= point.own[1] < play.until.next.get(point.own[0], 0)
        ]
        self._points = {point.own: point for point in self._path if point.partition >= 0}
        start = play.start.outputs.get(LABELS_WAITING.name, 0)
        self._waiting = Awaited(play.logs.read(LABELS_WAITING, play.partition, start), _first_wait)
        self._repeats = Repeats(play)
        self.changed: dict[Place, Output | None] = {}
        self.labels: dict[LabelName, EffectiveLabel | None] = {}

    def run(self, *, counted: bool) -> None:
        """Play it, and compare all but the content of profiled records that differ: they are met where they lie."""
        play = self._play
        inputs = (
            play.read(topic.name, play.logs.read(topic, play.partition, play.begin(topic.name)))
            for topic in (LABELS, TRANSACTIONS)
        )
        play.run(merged(self._path, *inputs), self._before, self._after, counted=counted)
        for point in self._points.values():
            self.changed[point.partition, point.offset] = None
        end = 0 if play.start.outputs else play.ends(LABELS_WAITING.name, play.partition)
        for record in self._waiting.left():
            if record.offset < end:
                self._compare_label(record, None)
        self._repeats.end()

    def _before(self, event: Event | Refusal) -> None:
        play, record = self._play, event.record
        play.before_rare(event)
        point = self._points.get((record.topic, record.offset))
        if point is None or point.is_label:
            return
        rates = play.documents.rates.get(self._rates[point.rates])
        if rates is None:
            play.note(f"rates {self._rates[point.rates]} were in force and are not in the log")
        else:
            play.stage.context.in_force.rates = rates

    def _after(self, event: Event | Refusal, step: Step) -> None:
        record = event.record
        point = self._points.pop((record.topic, record.offset), None)
        made = {output.topic: output for output in step.outputs}
        profiled = made.get(PROFILED)
        if profiled and profiled.partition is None:
            profiled = profiled._replace(partition=self._play.stage.context.partition_of(profiled.key or b""))
        if point is None:
            self._play.found.compare(PROFILED.name, subject_of(event), None, profiled)
        elif profiled and digest_of(profiled.partition or 0, profiled.key, profiled.value) == point.digest:
            self._play.found.equal[PROFILED.name] += self._play.found.scope.wants(subject_of(event))
        else:
            self.changed[point.partition, point.offset] = profiled
        if isinstance(event.message if isinstance(event, Event) else None, Label) and (point or profiled):
            made_label = made.get(LABELS_WAITING)
            self._compare_label(self._waiting.take(_label_name(json.loads(record.value or b"{}"))), made_label)
        if isinstance(event, Event) and isinstance(event.message, Transaction):
            self._repeats.compare(event, made.get(DUPLICATES))
        if made and not profiled:
            self._play.after_rare(event, step.outputs)

    def _compare_label(self, decided: Record | None, made: Output | None) -> None:
        held = decided or made
        label = decode(EffectiveLabel, held.value) if held else None
        if label is None or isinstance(label, DecodeFailure):
            return
        again = decode(EffectiveLabel, made.value) if made else None
        event = Event(Record(LABELS.name, 0, 0, 0, None, None), label, label.reported_at_ms)
        self._play.found.compare(LABELS_WAITING.name, subject_of(event), decided, made)
        if decided and (made is None or made.value != decided.value):
            name = (label.card, label.transaction_id, label.source, label.revision)
            self.labels[name] = again if isinstance(again, EffectiveLabel) else None


def _first_wait(record: Record) -> LabelName | None:
    """Return the name of a label that waits for the first time: the join moves those that wait again.

    One that was given up, and then replayed from its dead letter, was not written by the card task.
    """
    if dict(record.headers).keys() & {"attempt", REPLAYED_FROM}:
        return None
    return _label_name(json.loads(record.value or b"{}"))


def _label_name(fields: dict[str, Any]) -> LabelName:
    return fields["card"], fields["transaction_id"], fields["source"], fields.get("revision", 0)
