"""Publish a stream to Kafka at a pace. Nothing is skipped when late; the report says how far behind it was."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tqdm import tqdm

from producers.pace import Pace
from schemas.label import Label, Outcome
from schemas.recordings.stream import Event, Stream
from schemas.transaction import Transaction

NAP_S = 0.05
"""Longest sleep between two looks at whether to stop."""


class Writer(Protocol):
    """Where events go: a `kafka_writer`, or what stands for it or before it."""

    @property
    def failed(self) -> int:
        """Messages that were not delivered."""

    def send(self, event: Event) -> bool:
        """Take an event, or return False where it must be sent again."""

    def poll(self) -> None:
        """Take answers."""

    def close(self) -> None:
        """Wait for what is under way."""


@dataclass(slots=True)
class Report:
    """What was published: events handed to Kafka, of which `failed` were not acknowledged.

    Labels and outcomes are `pending` where their time had not come, although their transaction was published. `skipped`
    events of a history are counted with the others, and were published by an earlier run. `seconds` is real time until
    the last acknowledgement, `rate` transactions per second of it, `behind_s_max` the latest that an event was sent
    after it was due.
    """

    transactions: int = 0
    labels: int = 0
    labels_pending: int = 0
    outcomes: int = 0
    outcomes_pending: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    rate: float = 0.0
    first_event_ms: int | None = None
    last_event_ms: int | None = None
    behind_s_max: float = 0.0


@dataclass(frozen=True, slots=True)
class Clock:
    """Real time; a test gives its own."""

    now_s: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def publish(
    stream: Stream,
    writer: Writer,
    pace: Pace,
    *,
    report: Report,
    origin_ms: int | None = None,
    stopping: Callable[[], bool] = lambda: False,
    clock: Clock | None = None,
    expected: int | None = None,
) -> None:
    """Send the stream's events when they are due, until it ends or `stopping`, then wait for the acknowledgements.

    `origin_ms` is the event time that is due at the start; without it, the first event's. `expected` transactions tell
    the display when it will end. The report is filled in as
    far as it went, also where the stream or the writer raises.
    """
    run = _Run(writer, pace, report, stopping, clock or Clock())
    start_s = run.clock.now_s()
    in_hand: Event | None = None
    try:
        with tqdm(total=expected, unit=" transactions", unit_scale=True, disable=None) as bar:
            for event_ms, event in stream:
                in_hand = event
                origin_ms = event_ms if origin_ms is None else origin_ms
                run.wait(start_s, event_ms - origin_ms)
                if not run.send(event):
                    break
                in_hand = None
                _count(report, event_ms, event)
                if isinstance(event, Transaction):
                    bar.update()
    finally:
        writer.close()
        report.seconds = run.clock.now_s() - start_s
        report.rate = report.transactions / report.seconds if report.seconds else 0.0
        report.failed = writer.failed
        report.labels_pending = stream.labels_pending + isinstance(in_hand, Label)
        report.outcomes_pending = stream.outcomes_pending + isinstance(in_hand, Outcome)


@dataclass(frozen=True, slots=True)
class _Run:
    writer: Writer
    pace: Pace
    report: Report
    stopping: Callable[[], bool]
    clock: Clock

    def wait(self, start_s: float, event_ms: int) -> None:
        """Sleep until an event is due, or stopping."""
        while not self.stopping():
            elapsed_s = self.clock.now_s() - start_s
            wait_s = self.pace.wait_s(transactions=self.report.transactions, event_ms=event_ms, elapsed_s=elapsed_s)
            if wait_s <= 0:
                self.report.behind_s_max = max(self.report.behind_s_max, -wait_s)
                return
            self.writer.poll()
            self.clock.sleep(min(wait_s, NAP_S))

    def send(self, event: Event) -> bool:
        """Send an event, as often as the queue is full. Return False where stopping came first."""
        while not self.stopping():
            if self.writer.send(event):
                return True
        return False


def _count(report: Report, event_ms: int, event: Event) -> None:
    if isinstance(event, Transaction):
        report.transactions += 1
    elif isinstance(event, Label):
        report.labels += 1
    else:
        report.outcomes += 1
    if report.first_event_ms is None:
        report.first_event_ms = event_ms
    report.last_event_ms = event_ms
