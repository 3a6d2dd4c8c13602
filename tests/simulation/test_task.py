"""The task itself, one law at a time, on a log in a list."""

import json

import pytest

from schemas.codec import decode
from schemas.decision import Decision, Profiled
from schemas.fields import DAY_MS, Positions
from schemas.topics import DEAD_LETTERS, DECISIONS, LABELS, PROFILED, TRANSACTIONS
from schemas.transaction import Transaction
from streams.detector.card import CardStage, pay_by_card
from streams.detector.decide import InForce
from streams.detector.stage import Context, Event, Output, Record, Step
from streams.detector.state import State
from streams.documents import shipped_policy, shipped_rates
from streams.exactly_once import POSITION_KEY, FencedError, RestoreError, Task

NOW_MS = 1_600_000_000_000
CARD_NUMBER = "4111111111111111"
CONTEXT = Context(InForce(shipped_policy(), shipped_rates()), "test", lambda _: 0, DAY_MS)


def _payment(offset: int, name: str = "A", amount_minor: int = 1999) -> Record:
    message = {
        "transaction_id": name,
        "card": "card_a",
        "merchant": "mer_b",
        "amount_minor": amount_minor,
        "currency": "EUR",
        "event_time_ms": NOW_MS,
    }
    return Record(TRANSACTIONS.name, 0, offset, NOW_MS, b"card_a", json.dumps(message).encode())


class _Memory:
    """A task's log in a list."""

    def __init__(self) -> None:
        self.committed: list[Output] = []
        self._open: list[Output] = []

    def fence(self) -> None:
        self._open = []

    def state_end(self) -> int:
        return len(self.committed)

    def read_state(self, start: int) -> tuple[list[tuple[bytes, bytes | None]], int]:
        state = [output for output in self.committed[start:] if output.topic is CardStage.state_log]
        return [(output.key or b"", output.value) for output in state], len(self.committed)

    def begin(self) -> None:
        self._open = []

    def write(self, output: Output) -> None:
        self._open.append(output)

    def commit(self) -> None:
        self.committed += self._open

    def close(self) -> None:
        """Let nothing go."""


class _Faulty(CardStage):
    """Raises on one amount, as late in its step as it can."""

    def step(self, state: State, event: Event, positions: Positions) -> Step:
        if isinstance(event.message, Transaction) and event.message.amount_minor == 13:
            pay_by_card(state, event.message, self.context.in_force.rates)
            raise ZeroDivisionError(CARD_NUMBER)
        return super().step(state, event, positions)


def _opened(log: _Memory) -> Task:
    task = Task(_Faulty(CONTEXT), 0, log)
    task.open()
    return task


def test_core_exception_is_answered_and_the_batch_goes_on() -> None:
    """Law: a payment the core fails on is answered `review`, kept as dead letter and not counted; the next goes on."""
    log = _Memory()
    task = _opened(log)
    records = [_payment(0, "A"), _payment(1, "B", amount_minor=13), _payment(2, "C")]
    task.step([task.stage.read(record) for record in records])
    assert task.commit() == {TRANSACTIONS.name: 3}
    assert (task.position(TRANSACTIONS.name), task.position(LABELS.name), task.size.entities) == (3, None, 1)
    review = decode(Decision, next(output.value for output in log.committed if output.topic is DECISIONS))
    assert isinstance(review, Decision)
    assert (review.transaction_id, review.action, review.mode) == ("B", "review", "fallback")
    assert (review.card, review.event_time_ms, review.reasons[0].code) == ("card_a", NOW_MS, "core_exception")
    profiled = [decode(Profiled, output.value) for output in log.committed if output.topic is PROFILED]
    assert [each.features["card_count_1h"] for each in profiled if isinstance(each, Profiled)] == [1, 2]
    headers = dict(next(output.headers for output in log.committed if output.topic is DEAD_LETTERS))
    assert headers["__connect.errors.exception.message"] == b"ZeroDivisionError: [card number removed]"
    assert task.counters == {"transactions": 2, "dead_letters": 1, "dead_letters.core_exception": 1, "decided": 1}


def test_task_goes_on_where_its_log_ends() -> None:
    """Law: a task that is opened again has the positions, counters, watermark and state of its last commit."""
    log = _Memory()
    task = _opened(log)
    task.step([task.stage.read(_payment(4, "A"))])
    task.commit()
    task.step([task.stage.read(_payment(5, "lost"))])
    again = _opened(log)
    assert again.position(TRANSACTIONS.name) == 5
    assert (again.counters, again.watermark_ms, again.size.entities) == ({"transactions": 1}, NOW_MS, 1)
    again.step([again.stage.read(_payment(5, "A"))])
    assert again.counters["duplicates"] == 1


def test_record_that_was_processed_stops_the_task() -> None:
    """Law: a position only moves forward: a record before it means that the task is not what it believes to be."""
    task = _opened(_Memory())
    task.step([task.stage.read(_payment(4))])
    with pytest.raises(FencedError):
        task.step([task.stage.read(_payment(4))])


def test_unreadable_end_stops_the_restore() -> None:
    """Law: a state log that cannot be read to its end is never taken for a shorter one."""

    class Stalled(_Memory):
        def state_end(self) -> int:
            return 1

    with pytest.raises(RestoreError):
        _opened(Stalled())


def test_position_is_the_last_piece_of_every_transaction() -> None:
    """Law: each step writes the position, even where nothing else follows from it."""
    log = _Memory()
    task = _opened(log)
    task.step([])
    task.commit()
    assert [output.key for output in log.committed] == [POSITION_KEY]
