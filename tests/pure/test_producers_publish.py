"""Publishing at a pace on a clock of the test: nothing skipped, lost or repeated, and a report that says so."""

import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

import pytest

from producers.aftermath import Reporting
from producers.events_to_file import TruthWriter
from producers.events_to_kafka import Clock, Report, publish
from producers.pace import Pace
from producers.world import World, cases
from schemas.label import Label, Outcome
from schemas.recordings.mapping import RecordingError
from schemas.recordings.stream import Case, Event, Stream
from schemas.transaction import Transaction

START_MS = 1_522_540_800_000
REPORTING = Reporting(label_delay_ms=3_000, legitimate_one_in=2, capture_delay_ms=1_000)
WORLD = World(seed=1, start_ms=START_MS, rate=20, shoppers=10, merchants=10, fraud_rate=0.2, reporting=REPORTING)


@dataclass
class FakeTime:
    now: float = 100.0

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 1e-9)

    def clock(self) -> Clock:
        return Clock(now_s=lambda: self.now, sleep=self.sleep)


@dataclass
class FakeWriter:
    """Keeps what it is given and when; refuses every `full_every`-th call; each call takes `call_s`."""

    time: FakeTime
    full_every: int = 0
    call_s: float = 0.0
    failed: int = 0
    closed: bool = False
    calls: int = 0
    sent: list[tuple[float, Event]] = field(default_factory=list)

    def send(self, event: Event) -> bool:
        self.calls += 1
        self.time.now += self.call_s
        if self.full_every and self.calls % self.full_every == 0:
            return False
        self.sent.append((self.time.now, event))
        return True

    def poll(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


def due_ms(event: Event) -> int:
    if isinstance(event, Transaction):
        return event.event_time_ms
    return event.reported_at_ms if isinstance(event, Label) else event.occurred_at_ms


def run(pace: Pace, *, count: int = 200, origin_ms: int | None = None, **writer: float) -> tuple[FakeWriter, Report]:
    time = FakeTime()
    kept = FakeWriter(time, **writer)  # type: ignore[arg-type]
    report = Report()
    publish(Stream(islice(cases(WORLD), count)), kept, pace, report=report, origin_ms=origin_ms, clock=time.clock())
    assert kept.closed
    return kept, report


def test_at_speed_one_from_its_start_a_world_happens_now() -> None:
    writer, report = run(Pace(speed=1), origin_ms=START_MS)
    for sent_s, event in writer.sent:
        assert sent_s - 100.0 == pytest.approx((due_ms(event) - START_MS) / 1000, abs=1e-6)
    kinds = Counter(type(event) for _, event in writer.sent)
    assert (report.transactions, report.labels, report.outcomes) == (200, kinds[Label], kinds[Outcome])
    assert min(report.labels, report.outcomes, report.labels_pending, report.outcomes_pending) > 0
    assert report.behind_s_max < 1e-6


def test_a_rate_is_kept_whatever_the_event_times() -> None:
    _, report = run(Pace(rate=1000))
    assert report.seconds == pytest.approx(0.199, abs=1e-6)


def test_flat_out_takes_no_time() -> None:
    assert run(Pace())[1].seconds == 0


def test_a_full_queue_is_tried_again_and_nothing_is_lost_or_repeated() -> None:
    writer, report = run(Pace(), full_every=3)
    events = [event for _, event in writer.sent]
    assert events == [event for _, event in Stream(islice(cases(WORLD), 200))]
    assert report.transactions + report.labels + report.outcomes == len(events)


def test_late_is_counted_and_not_skipped() -> None:
    _, report = run(Pace(rate=1000), call_s=0.01)
    assert report.transactions == 200
    assert report.behind_s_max > 1


@pytest.mark.parametrize("after", [0, 1, 37, 90])
def test_stopping_counts_every_label_and_outcome_that_was_not_sent(after: int) -> None:
    time = FakeTime()
    writer = FakeWriter(time)
    report = Report()
    given_cases: list[Case] = []

    def watched() -> Iterator[Case]:
        for case in cases(WORLD):
            given_cases.append(case)
            yield case

    publish(
        Stream(watched()),
        writer,
        Pace(speed=1),
        report=report,
        stopping=lambda: len(writer.sent) >= after,
        clock=time.clock(),
    )
    assert writer.closed
    assert len(writer.sent) == report.transactions + report.labels + report.outcomes == after
    published = given_cases[: report.transactions]
    assert report.labels + report.labels_pending == sum(len(case.labels) for case in published)
    assert report.outcomes + report.outcomes_pending == sum(len(case.outcomes) for case in published)
    assert len(given_cases) - len(published) <= 1


def test_a_source_that_fails_leaves_a_full_report_and_a_closed_writer() -> None:
    def failing() -> Iterator[Case]:
        yield from islice(cases(WORLD), 5)
        raise RecordingError("row 6: is unreadable")

    writer = FakeWriter(FakeTime())
    report = Report()
    with pytest.raises(RecordingError):
        publish(Stream(failing()), writer, Pace(), report=report)
    assert writer.closed
    assert report.transactions == 5
    assert report.first_event_ms == min(due_ms(event) for _, event in writer.sent)


@pytest.mark.parametrize("after", [0, 1, 37, 300])
def test_the_truth_of_each_published_transaction_is_written_and_of_no_other(after: int) -> None:
    inner, file, report = FakeWriter(FakeTime(), full_every=4), io.StringIO(), Report()
    writer = TruthWriter(inner, file)
    publish(
        Stream(islice(writer.watch(cases(WORLD)), 200)),
        writer,
        Pace(),
        report=report,
        stopping=lambda: len(inner.sent) >= after,
        clock=inner.time.clock(),
    )
    truths = {case.transaction.transaction_id: case.truth for case in islice(cases(WORLD), 200)}
    sent = [event for _, event in inner.sent if isinstance(event, Transaction)]
    told = [json.loads(line) for line in file.getvalue().splitlines()]
    assert [line["transaction_id"] for line in told] == [event.transaction_id for event in sent]
    assert len(told) == report.transactions
    for line, event in zip(told, sent, strict=True):
        assert (line["fraud"], line["campaign"]) == truths[event.transaction_id]
        copied = ("card", "amount_minor", "currency", "event_time_ms")
        assert {name: line[name] for name in copied} == event.model_dump(include=set(copied))
        assert len(line) == 7
