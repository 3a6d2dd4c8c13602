"""Comparison and order of a recomputation: what is counted, what is named, and in which order records are taken."""

import random

from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import encode
from schemas.decision import Profiled
from schemas.label import Label
from schemas.topics import DECISIONS, LABELS, PROFILED, TRANSACTIONS
from schemas.transaction import Transaction
from streams.detector.stage import Output, Record
from streams.recompute.compare import Awaited, Found, Scope, Subject
from streams.recompute.order import Order, merged

NOW_MS = 1_600_000_000_000
SUBJECT = Subject("card_a", "tx-1", NOW_MS)


def _record(value: bytes) -> Record:
    return Record(DECISIONS.name, 0, 7, 0, b"card_a", value)


def _output(value: bytes) -> Output:
    return Output(DECISIONS, b"card_a", value, 0)


def test_each_kind_of_difference_is_counted_and_named() -> None:
    """Law: equal, differing, missing and extra records are told apart, with the fields that differ."""
    found = Found()
    assert found.compare(DECISIONS.name, SUBJECT, _record(b'{"score":1}'), _output(b'{"score":1}'))
    assert not found.compare(DECISIONS.name, SUBJECT, _record(b'{"score":1}'), _output(b'{"score":2}'))
    assert not found.compare(DECISIONS.name, SUBJECT, None, _output(b"{}"))
    assert not found.compare(DECISIONS.name, SUBJECT, _record(b"{}"), None)
    assert found.equal[DECISIONS.name] == 1
    assert [(each.kind, each.fields) for each in found.differences] == [
        ("differs", {"score": (1, 2)}),
        ("missing", {}),
        ("extra", {}),
    ]
    assert found.decisions == {("card_a", "tx-1")}


def test_bytes_that_say_the_same_are_not_the_same() -> None:
    """Law: what is compared are bytes, not what they mean."""
    found = Found()
    found.compare(DECISIONS.name, SUBJECT, _record(b'{"score":1}'), _output(b'{"score": 1}'))
    assert list(found.differences[0].fields) == ["bytes"]


def test_all_are_counted_and_the_first_are_listed() -> None:
    """Law: the list is bounded, the counts are not."""
    found = Found(listed_max=2)
    for number in range(5):
        found.compare(DECISIONS.name, Subject("card_a", f"tx-{number}"), _record(b"1"), None)
    assert (len(found.differences), len(found.decisions), found.wrong[DECISIONS.name, "extra"]) == (2, 5, 5)


def test_what_is_not_asked_for_is_not_compared() -> None:
    """Law: a record outside the range is neither equal nor different."""
    found = Found(Scope(to_ms=NOW_MS))
    found.compare(DECISIONS.name, SUBJECT, _record(b"1"), None)
    assert (found.holds, sum(found.equal.values())) == (True, 0)


@given(st.permutations(range(12)), st.sets(st.integers(0, 11)))
def test_what_is_awaited_is_found_in_any_order(order: list[int], asked: set[int]) -> None:
    """Law: each record is taken once, by its name, wherever it lies; what nobody took is left."""
    awaited = Awaited([Record("t", 0, at, 0, None, None) for at in order], lambda record: record.offset)
    for name in sorted(asked):
        taken = awaited.take(name)
        assert taken is not None
        assert taken.offset == name
        assert awaited.take(name) is None
    assert {record.offset for record in awaited.left()} == set(range(12)) - asked


@given(st.randoms(use_true_random=False), st.lists(st.booleans(), max_size=30))
def test_the_order_of_a_card_task_is_in_what_it_wrote(chance: random.Random, path: list[bool]) -> None:
    """Law: whatever path a task took through labels and payments, it is taken again; without a record it is free."""
    order, took, at = Order(), [], [0, 0]
    for number, is_label in enumerate(path):
        name = (LABELS if is_label else TRANSACTIONS).name
        wrote = chance.random() < 0.7
        if wrote:
            took.append((name, at[not is_label]))
            order.add(Record(PROFILED.name, 1, number, 0, b"mer_b", encode(_profiled(is_label=is_label, at=at))))
        at[not is_label] += 1
    inputs = (
        iter([Record(topic.name, 0, offset, 0, None, None) for offset in range(end)])
        for topic, end in zip((LABELS, TRANSACTIONS), at, strict=True)
    )
    points = order.points(0)
    again = [(record.topic, record.offset) for record in merged(points, *inputs)]
    assert [place for place in again if place in took] == took
    assert sorted(again) == sorted((LABELS.name, n) for n in range(at[0])) + sorted(
        (TRANSACTIONS.name, n) for n in range(at[1])
    )
    for point in points:
        before = again[: again.index(point.own)]
        assert sum(name == LABELS.name for name, _ in before) == point.label
        assert sum(name == TRANSACTIONS.name for name, _ in before) == point.transaction


def _profiled(*, is_label: bool, at: list[int]) -> Profiled:
    positions = {LABELS.name: (0, at[0]), TRANSACTIONS.name: (0, at[1])}
    named = {"transaction_id": "tx-1", "card": "card_a", "merchant": "mer_b"}
    if is_label:
        times = {"occurred_at_ms": NOW_MS, "reported_at_ms": NOW_MS}
        label = Label.model_validate({**named, **times, "verdict": "fraud", "source": "chargeback"})
        return Profiled(label=label, positions=positions)
    amount = {"amount_minor": 1, "currency": "EUR", "event_time_ms": NOW_MS}
    return Profiled(transaction=Transaction.model_validate({**named, **amount}), positions=positions)
