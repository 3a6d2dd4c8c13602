"""Laws of the plan: the same for a seed, every kind in it, nobody struck who cannot be, rests and overlaps."""

from itertools import pairwise

import pytest

from tests.bench.audited import STORED, ZEROES
from tests.faults.acts import ACTS
from tests.faults.plan import DEFAULT_KINDS, FIRST_AT_S, KINDS, REST_S, SESSION_TIMEOUT_S, Fault, end_s, plan
from tests.faults.run import problems_of

SEEDS = range(200)
WORKERS = (1, 2, 4)


def all_plans(seconds: float = 300) -> list[tuple[int, list[Fault]]]:
    return [
        (workers, plan(seed, seconds=seconds, kinds=tuple(KINDS), workers=workers))
        for workers in WORKERS
        for seed in SEEDS
    ]


def test_a_seed_gives_one_plan() -> None:
    """The same seed the same plan, another seed another one."""
    plans = [plan(seed, seconds=90, kinds=DEFAULT_KINDS, workers=2) for seed in (1, 1, 2)]
    assert plans[0] == plans[1] != plans[2]


def test_every_kind_has_an_act() -> None:
    """What can be planned can be done."""
    assert ACTS.keys() == KINDS.keys() >= set(DEFAULT_KINDS)


@pytest.mark.parametrize("seconds", [0.0, 90.0])
def test_every_kind_asked_for_strikes(seconds: float) -> None:
    """Each kind is in the plan, once where there is no time for more."""
    for workers, faults in all_plans(seconds):
        assert {fault.kind for fault in faults} == KINDS.keys(), workers
        assert seconds > 0 or len(faults) == len(KINDS)


def test_faults_come_in_order_and_end_in_time() -> None:
    """Ordered by time, none before the system is warm, none that lasts shorter than its kind, all over at the end."""
    for _, faults in all_plans():
        assert [fault.at_s for fault in faults] == sorted(fault.at_s for fault in faults)
        assert faults[0].at_s >= FIRST_AT_S
        assert all(KINDS[each.kind].lasts_s[0] <= each.lasts_s <= KINDS[each.kind].lasts_s[1] for each in faults)
        assert max(fault.until_s for fault in faults) <= 300
        assert end_s(faults) == max(fault.until_s for fault in faults) + REST_S[1]


def test_only_workers_that_run_are_struck() -> None:
    """A worker is named where the kind strikes one, and never one that a pause holds."""
    for workers, faults in all_plans():
        for fault in faults:
            assert (fault.worker is not None) == KINDS[fault.kind].strikes_worker
            if fault.worker is None:
                continue
            assert 0 <= fault.worker < workers
            assert not [
                other
                for other in faults
                if other is not fault
                and other.kind == "pause"
                and other.worker == fault.worker
                and other.at_s <= fault.at_s < other.until_s
            ]


def test_a_kind_never_overlaps_itself() -> None:
    """One worker more at a time, one pause at a time."""
    for _, faults in all_plans():
        for kind in KINDS:
            same = [fault for fault in faults if fault.kind == kind]
            assert all(one.until_s + REST_S[0] <= two.at_s + 1e-9 for one, two in pairwise(same))


def test_store_and_learner_are_struck_one_fault_at_a_time() -> None:
    """Of those there is one each: a kill during its pause would be a kill alone."""
    for _, faults in all_plans():
        for victim in ("the store", "the learner"):
            same = [fault for fault in faults if KINDS[fault.kind].victim == victim]
            assert all(one.until_s + REST_S[0] <= two.at_s + 1e-9 for one, two in pairwise(same))


def test_the_system_rests_and_faults_overlap() -> None:
    """Over the seeds both happen: faults while another lasts, and rests in which the system works undisturbed."""
    overlaps = rests = 0
    for _, faults in all_plans():
        for index, fault in enumerate(faults[1:], start=1):
            before_s = max(earlier.until_s for earlier in faults[:index])
            overlaps += fault.at_s < before_s
            rests += fault.at_s >= before_s + REST_S[0]
    assert overlaps > 100
    assert rests > 1_000


def test_a_pause_outlasts_the_session() -> None:
    """Another worker has taken over before the paused one wakes."""
    assert KINDS["pause"].lasts_s[0] > SESSION_TIMEOUT_S


GOOD = {
    "transactions": 10, "published": 10, "repeats_published": 2, "duplicates": 2, "duplicates_counted": 2,
    "decisions": 10, "predictions": 10, "stored": 10, **dict.fromkeys(ZEROES, 0), "drained": True, "learned": True,
    "labels_left_waiting": 0, "training_records": 7, "snapshots": 2, "models_that_decided": 2, "faults": {"kill": 1},
    "exit_codes": [0, 0], "labels_published": 9, "labels_stored": 9, "decisions_stored": 10, "training_stored": 7,
    "models_stored": 2,
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        *({name: 1} for name in ZEROES),
        {"decisions": 9},
        {"transactions": 9, "decisions": 9},
        {"transactions": 0, "published": 0, "decisions": 0},
        {"duplicates": 1, "duplicates_counted": 1},
        {"duplicates_counted": 3},
        *({name: 1} for name in STORED),
        {"stored": 9},
        {"faults": {}},
        {"drained": False},
        {"learned": False},
        {"labels_left_waiting": 1},
        {"training_records": 0},
        {"snapshots": 1},
        {"models_that_decided": 1},
        {"exit_codes": [0, -9]},
    ],
)
def test_a_run_can_fail(change: dict[str, object]) -> None:
    """Each figure that must hold makes the run fail where it does not."""
    assert problems_of(GOOD, ["kill"]) == []
    assert problems_of(GOOD | change, ["kill"])
