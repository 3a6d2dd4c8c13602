"""The audits of refusals and pauses say what is there, and see what is wrong."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from schemas.dead_letter import PREFIX
from tests.faults.acts import Strike
from tests.faults.gateway import Expected
from tests.faults.plan import Fault
from tests.faults.refusals import ZEROES, compare_refusals
from tests.faults.waits import Wait, told_by_fault

PLACE = ("payments.transactions.v1", 3, 7)
SENT = {PLACE: Expected("invalid", "wrong_type"), (*PLACE[:2], 9): Expected("not_json", None)}


def letter(offset: int, reason: str) -> Any:
    facts = {"topic": PLACE[0], "partition": PLACE[1], "offset": offset, "exception.class.name": reason}
    return SimpleNamespace(headers=lambda: [(PREFIX + name, str(fact).encode()) for name, fact in facts.items()])


def answer(transaction_id: str) -> Any:
    return SimpleNamespace(value=lambda: json.dumps({"transaction_id": transaction_id, "action": "invalid"}).encode())


LETTERS, ANSWERS = [letter(7, "invalid"), letter(9, "not_json")], [answer("wrong_type")]


@pytest.mark.parametrize(
    ("letters", "answers", "figure"),
    [
        (LETTERS[:1], ANSWERS, "refusals_lost"),
        (LETTERS, [], "refusals_lost"),
        ([*LETTERS, LETTERS[0]], ANSWERS, "refusals_repeated"),
        (LETTERS, ANSWERS * 2, "refusals_repeated"),
        (LETTERS, [*ANSWERS, answer("another")], "refusals_repeated"),
        ([LETTERS[0], letter(9, "too_large")], ANSWERS, "refusals_differing"),
        ([*LETTERS, letter(8, "invalid")], ANSWERS, "refusals_differing"),
    ],
)
def test_refused_records_are_answered_once(letters: list[Any], answers: list[Any], figure: str) -> None:
    """A dead letter or an answer that is missing, repeated, of another reason or of nothing is seen."""
    right = compare_refusals(SENT, LETTERS, ANSWERS)
    assert [right[name] for name in ZEROES] == [0, 0, 0]
    wrong = compare_refusals(SENT, letters, answers)
    assert [name for name in ZEROES if wrong[name]] == [figure]


def test_a_fault_is_told_with_the_pauses_it_led_to() -> None:
    """The longest of each partition from its begin to the next fault; a partition without work does not pause."""
    strikes = [
        Strike(Fault("kill", 1, 0), 1_000, 1_000, "worker-1 killed"),
        Strike(Fault("pause", 9, 5), 9_000, 14_000, "worker-2"),
    ]
    found = [
        Wait(500, 520, 0), Wait(1_100, 4_100, 0), Wait(1_200, 4_150, 0), Wait(2_000, 2_010, 1), Wait(9_100, 9_400, 1),
    ]  # fmt: skip
    killed, paused = told_by_fault(strikes, found)
    assert (killed["pause_s_by_partition"], killed["pause"]) == ([3.0, 0.0], {"median_s": 3.0, "max_s": 3.0})
    assert (paused["pause_s_by_partition"], paused["at_s"], paused["lasted_s"]) == ([0.0, 0.3], 8.5, 5.0)
