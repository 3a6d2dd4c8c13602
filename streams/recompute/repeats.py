"""The markers of repeated payments that one card task wrote, beside those that come out now. Pure."""

import json
from itertools import chain

from schemas.topics import DUPLICATES, TRANSACTIONS
from streams.detector.stage import Event, Output, Record
from streams.recompute.compare import Awaited
from streams.recompute.replay import Play, subject_in, subject_of

NEVER = 2**63


class Repeats:
    """The markers of one card task, each by the place of its repeat among the payments."""

    def __init__(self, play: Play) -> None:
        self._play = play
        begin, _ = play.logs.bounds(DUPLICATES, play.partition)
        start = play.start.outputs.get(DUPLICATES.name, 0)
        records = play.logs.read(DUPLICATES, play.partition, start)
        first = next(records, None)
        # They are kept for a shorter time than payments: what came before the first that is left may have had one.
        self._known_from = 0 if begin <= start else NEVER if first is None else _place_of(first)
        self._markers = Awaited(chain(() if first is None else (first,), records), self._name_of)

    def compare(self, event: Event, made: Output | None) -> None:
        """Compare what was written of a payment with what comes out. Neither: it was no repeat, and is none."""
        at = event.record.offset
        recorded = self._markers.take(at)
        if recorded or at >= self._known_from:
            self._play.found.compare(DUPLICATES.name, subject_of(event), recorded, made)

    def end(self) -> None:
        """Report the markers up to the task's end that nothing led to."""
        end = self._play.until.next.get(TRANSACTIONS.name, 0)
        for record in self._markers.left():
            if _place_of(record) < end:
                self._play.found.compare(DUPLICATES.name, subject_in(record), record, None)

    def _name_of(self, record: Record) -> int | None:
        place = _place_of(record)
        return place if place >= self._play.begin(TRANSACTIONS.name) else None


def _place_of(record: Record) -> int:
    offset: int = json.loads(record.value or b"{}")["positions"][TRANSACTIONS.name][1]
    return offset
