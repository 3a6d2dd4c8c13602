"""A payment that is history: remembered like any other, answered to nobody, and published once however often begun."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.flags import command_line
from producers.kafka_history import HistoryWriter, Published
from producers.learned import QUIET_S, CatchingUp, wait_until_learned
from schemas.codec import decode, encode
from schemas.decision import Decision, Prediction, Profiled
from schemas.fields import DAY_MS
from schemas.history import Header, history_header, place_in
from schemas.label import Label
from schemas.recordings.stream import Event as Published_Event
from schemas.topics import DEAD_LETTERS, DECISIONS, DUPLICATES, LABELS, PREDICTIONS, PROFILED, TRANSACTIONS
from schemas.transaction import Transaction
from streams.detector.card import CardStage
from streams.detector.decide import InForce
from streams.detector.merchant import MerchantStage
from streams.detector.stage import Context, Event, Output, Record, Refusal, Step
from streams.detector.state import State
from streams.documents import shipped_policy, shipped_rates

NOW_MS = 1_600_000_000_000
HEADERS = (history_header("5c1f", 7),)
CONTEXT = Context(InForce(shipped_policy(), shipped_rates()), "test", lambda _: 0, DAY_MS)
CARD_STAGE, MERCHANT_STAGE = CardStage(CONTEXT), MerchantStage(CONTEXT)


def payment(number: int, **changes: object) -> Transaction:
    fields = {"transaction_id": f"tx-{number}", "card": f"card_{number % 3}", "merchant": "mer_b"}
    money = {"amount_minor": 100 + number, "currency": "EUR", "event_time_ms": NOW_MS + number * 60_000}
    return Transaction.model_validate({**fields, **money, **changes})


def record(number: int, message: Transaction | Label, headers: Sequence[Header]) -> Record:
    topic = TRANSACTIONS if isinstance(message, Transaction) else LABELS
    return Record(topic.name, 0, number, NOW_MS + DAY_MS, message.card.encode(), encode(message), tuple(headers))


def label(number: int) -> Label:
    about = payment(number)
    named = {"transaction_id": about.transaction_id, "card": about.card, "merchant": about.merchant}
    times = {"occurred_at_ms": about.event_time_ms, "reported_at_ms": about.event_time_ms + 90_000}
    return Label.model_validate({**named, "verdict": "fraud", "source": "chargeback", **times})


@dataclass
class Hops:
    """Both stages on states of their own."""

    states: tuple[State, State] = field(default_factory=lambda: (State(CARD_STAGE.kind), State(MERCHANT_STAGE.kind)))

    def take(self, number: int, message: Transaction | Label, headers: Sequence[Header] = ()) -> tuple[Step, Step]:
        """Return what both stages say to a record."""
        event = CARD_STAGE.read(record(number, message, headers))
        assert isinstance(event, Event)
        by_card = CARD_STAGE.step(self.states[0], event, {})
        passed = by_card.outputs[0]
        assert (passed.topic, passed.key) == (PROFILED, b"mer_b")
        hop = MERCHANT_STAGE.read(Record(PROFILED.name, 0, number, NOW_MS, passed.key, passed.value))
        assert isinstance(hop, Event)
        return by_card, MERCHANT_STAGE.step(self.states[1], hop, {})

    def pieces(self) -> list[dict[bytes, bytes | None]]:
        return [dict(state.take_changed_pieces()) for state in self.states]


def _prediction(outputs: Sequence[Output]) -> Prediction:
    [told] = [decode(Prediction, output.value) for output in outputs if output.topic is PREDICTIONS]
    assert isinstance(told, Prediction)
    return told


def test_history_is_remembered_and_predicted_like_a_live_payment_and_not_answered() -> None:
    """Law: state, features and judgement are those of the same payments live; what is missing is the decision."""
    past, live = Hops(), Hops()
    for number in range(30):
        by_card, by_merchant = past.take(number, payment(number), HEADERS)
        _, answered = live.take(number, payment(number))
        assert [output.topic for output in by_merchant.outputs] == [PREDICTIONS]
        assert [output.topic for output in answered.outputs] == [DECISIONS, PREDICTIONS]
        assert (by_card.counts, by_merchant.counts) == (("history",), ("history",))
        told, wanted = _prediction(by_merchant.outputs), _prediction(answered.outputs)
        assert (told.mode, wanted.mode) == ("history", "rules_only")
        assert told.model_copy(update={"mode": wanted.mode}) == wanted
        if number % 4 == 3:
            past.take(100 + number, label(number - 2), HEADERS)
            live.take(100 + number, label(number - 2))
    assert past.pieces() == live.pieces()
    assert past.take(200, payment(200)) == live.take(200, payment(200))


def test_live_bytes_do_not_say_that_it_is_no_history() -> None:
    """Law: a live payment's record is as long as it was before there were histories."""
    by_card, _ = Hops().take(0, payment(0))
    assert b'"mode"' not in (by_card.outputs[0].value or b"")


@pytest.mark.parametrize("headers", [(), HEADERS])
@pytest.mark.parametrize("first", [(), HEADERS])
def test_sent_as_history_and_live_is_a_duplicate(first: tuple[Header, ...], headers: tuple[Header, ...]) -> None:
    """Law: of a payment that was sent twice the first counts, whichever of the two was history."""
    hops = Hops()
    hops.take(0, payment(0), first)
    event = CARD_STAGE.read(record(1, payment(0), headers))
    assert isinstance(event, Event)
    step = CARD_STAGE.step(hops.states[0], event, {})
    assert ([output.topic for output in step.outputs], step.counts) == ([DUPLICATES], ("duplicates",))


def test_refused_history_is_a_dead_letter_and_no_answer() -> None:
    """Law: what is wrong in a history is kept as a dead letter, with its header; nobody asked, nobody is answered."""
    wrong = Record(TRANSACTIONS.name, 0, 0, NOW_MS, b"card_a", b'{"transaction_id": "tx-1"}', HEADERS)
    refusal = CARD_STAGE.read(wrong)
    assert isinstance(refusal, Refusal)
    step = CARD_STAGE.refuse(refusal)
    assert [output.topic for output in step.outputs] == [DEAD_LETTERS]
    assert HEADERS[0] in step.outputs[0].headers
    assert step.counts == ("dead_letters", "dead_letters.invalid")


def test_history_that_the_core_fails_on_is_not_answered() -> None:
    """Law: at either stage a failure on a payment that is history is a dead letter alone."""
    event = CARD_STAGE.read(record(0, payment(0), HEADERS))
    assert isinstance(event, Event)
    profiled = encode(Profiled(transaction=payment(0), mode="history", positions={}))
    hop = MERCHANT_STAGE.read(Record(PROFILED.name, 0, 0, NOW_MS, b"mer_b", profiled))
    assert isinstance(hop, Event)
    for stage, failed in ((CARD_STAGE, event), (MERCHANT_STAGE, hop)):
        step = stage.fail(failed, ValueError("broken"))
        assert [output.topic for output in step.outputs] == [DEAD_LETTERS]
        assert "decided" not in step.counts
    live = CARD_STAGE.read(record(0, payment(0), ()))
    assert isinstance(live, Event)
    answer = decode(Decision, CARD_STAGE.fail(live, ValueError("broken")).outputs[1].value)
    assert isinstance(answer, Decision)
    assert answer.action == "review"


@dataclass
class Partitions:
    """Stands for a `KafkaWriter`: keeps what it took by kind and partition, and refuses every third call."""

    kept: dict[tuple[type, int], list[tuple[int, Published_Event]]] = field(default_factory=dict)
    failed: int = 0
    calls: int = 0

    def send(self, event: Published_Event, headers: Sequence[Header] = ()) -> bool:
        self.calls += 1
        if self.calls % 3 == 0:
            return False
        place = place_in("5c1f", headers)
        assert place is not None
        self.kept.setdefault((type(event), partition_of(event.card)), []).append((place, event))
        return True

    def poll(self) -> None:
        """There is nobody to ask."""

    def close(self) -> None:
        """There is nothing to wait for."""

    def tails(self) -> Published:
        return {where: events[-1][0] for where, events in self.kept.items() if events}


def partition_of(card: str) -> int:
    return int(card.removeprefix("card_")) % 2


EVENTS = [event for number in range(12) for event in (payment(number), label(number))]


@given(st.integers(0, len(EVENTS)), st.lists(st.integers(0, 5), min_size=4, max_size=4))
def test_a_history_that_was_killed_goes_on_where_it_stopped(sent: int, lost: list[int]) -> None:
    """Law: wherever a run was killed, and whatever of the end of each partition was lost, another completes it once."""
    kafka = Partitions()
    _publish(kafka, {}, EVENTS[:sent])
    for events, number in zip(kafka.kept.values(), lost, strict=False):
        del events[len(events) - min(number, len(events)) :]
    there = kafka.tails()
    already = sum(map(len, kafka.kept.values()))
    assert _publish(kafka, there, EVENTS) == already
    whole = Partitions()
    _publish(whole, {}, EVENTS)
    assert {where: events for where, events in kafka.kept.items() if events} == whole.kept


def _publish(kafka: Partitions, there: Published, events: Sequence[Published_Event]) -> int:
    writer = HistoryWriter(kafka, "5c1f", there, partition_of)
    for event in events:
        while not writer.send(event):
            pass
    return writer.skipped


def test_another_recording_is_not_taken_for_this_one() -> None:
    """Law: the places of one recording say nothing of another; nor does a header that somebody else wrote."""
    assert place_in("5c1f", [history_header("77aa", 3)]) is None
    for told in (None, b"", b"5c1f", b"5c1f:", b"5c1f:x", b"\xff:1", b"5c1f:-1"):
        assert place_in("5c1f", [("history", told)]) is None


@dataclass
class Parts:
    """Parts of which a list says what is left, call by call."""

    left_of: dict[str, list[int]]
    joined_is: int = 5

    def left(self, done: str) -> int:
        numbers = self.left_of.get(done, [0])
        return numbers.pop(0) if len(numbers) > 1 else numbers[0]

    def joined(self) -> int:
        return self.joined_is


def _waited(parts: Parts, stop_after_s: float = 1e9) -> tuple[CatchingUp, float, list[str]]:
    now, said = [0.0], list[str]()

    def sleep(seconds: float) -> None:
        now[0] += seconds

    seen = wait_until_learned(
        parts, say=said.append, stopping=lambda: now[0] > stop_after_s, now_s=lambda: now[0], sleep=sleep
    )
    return seen, now[0], said


def test_it_is_over_when_nothing_is_left_of_any_part() -> None:
    """Law: the slowest part decides when it is over, and how far it is is said on the way."""
    seen, seconds, said = _waited(Parts({"decided": [90, 60, 30, 0], "learned": [3] * 20 + [0]}))
    assert seen.is_over
    assert 20 <= seconds <= 25
    assert len(said) == 4
    assert "learner 3" in said[0]


def test_labels_that_nothing_is_stored_for_do_not_hold_it_up() -> None:
    """Law: labels that are looked up in vain for longer than they ever rest end the wait, and are told."""
    seen, seconds, _ = _waited(Parts({"joined": [4]}))
    assert seen.is_over
    assert QUIET_S <= seconds < QUIET_S + 10
    assert seen.labels_waiting == 4


def test_who_stops_the_wait_is_not_told_that_it_is_over() -> None:
    """Law: a wait that was stopped, or where nobody works, does not claim to be over."""
    seen, _, said = _waited(Parts({"decided": [50]}), stop_after_s=60)
    assert not seen.is_over
    assert "nothing moves" in said[-1]


def test_it_says_how_fast_it_goes() -> None:
    """Law: what the first stage makes for the second does not pass for standing still; from its height on it tells."""
    _, _, said = _waited(Parts({"decided": [*range(100, 200, 10), *range(200, 0, -10), 0]}))
    assert said[0].startswith("left: workers 150, ")
    assert said[3].startswith("left: workers 100 (10/s, 1 min), ")
    assert "nothing" not in "".join(said)


def test_a_date_is_utc_unless_it_says_otherwise() -> None:
    """Law: dates and times are read as ISO 8601 has them."""
    for text in ("2018-04-01", "2018-04-01T00:00", "2018-04-01T02:00+02:00"):
        flags = command_line().parse_args(["import", "f.csv", "--mapping", "handbook", "--until", text])
        assert flags.until == 1_522_540_800_000
    with pytest.raises(SystemExit):
        command_line().parse_args(["import", "f.csv", "--mapping", "handbook", "--until", "yesterday"])
