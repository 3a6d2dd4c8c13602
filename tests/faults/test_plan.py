"""Laws of the plan: the same for a seed, every kind in it, nobody struck who cannot be, rests and overlaps."""

from functools import cache

import pytest

from tests.faults.acts import ACTS
from tests.faults.armed import HOOKS
from tests.faults.plan import (
    BEYOND_SESSION_S,
    FIRST_AT_S,
    KINDS,
    NAMES,
    REST_S,
    SESSION_TIMEOUT_S,
    Fault,
    clash,
    end_s,
    kinds_of,
    plan,
)
from tests.faults.points import POINTS
from tests.faults.report import PAIRS, STRUCK_MIN, TOLD, ZEROES, least_of, problems_of

SEEDS = range(200)
WORKERS = (1, 2, 4)
THROUGHOUT = {name for name, kind in KINDS.items() if not kind.lasts_s}


@cache
def all_plans(seconds: float = 300) -> list[tuple[int, list[Fault]]]:
    return [
        (workers, plan(seed, seconds=seconds, kinds=tuple(KINDS), workers=workers))
        for workers in WORKERS
        for seed in SEEDS
    ]


def striking(faults: list[Fault]) -> list[Fault]:
    return [fault for fault in faults if fault.kind not in THROUGHOUT]


def overlap(one: Fault, other: Fault, apart_s: float = 0.0) -> bool:
    return one.at_s < other.until_s + apart_s - 1e-9 and other.at_s < one.until_s + apart_s - 1e-9


def test_a_seed_gives_one_plan() -> None:
    """The same seed the same plan, another seed another one."""
    plans = [plan(seed, seconds=90, kinds=tuple(KINDS), workers=2) for seed in (1, 1, 2)]
    assert plans[0] == plans[1] != plans[2]


def test_every_kind_has_an_act_and_a_name() -> None:
    """What can be asked for can be planned, and what can be planned can be done."""
    assert ACTS.keys() == KINDS.keys() == set(kinds_of(NAMES))
    asked = ["kill", "pause", "rebalance", "broker", "clickhouse", "disk", "poison", "duplicate", "late", "learner"]
    assert sorted(NAMES) == sorted(asked)


def test_every_point_is_hooked() -> None:
    """A point that no process comes by would never be reached."""
    hooked = {
        victim: {point for hook in HOOKS[process] for point in (hook.before, hook.during, hook.after) if point}
        for victim, process in (
            ("a worker", "streams worker"),
            ("the learner", "streams worker --stages learning"),
            ("the store", "consumers run"),
        )
    }
    assert hooked == {victim: {point.name for point in points} for victim, points in POINTS.items()}


@pytest.mark.parametrize("seconds", [0.0, 90.0])
def test_every_kind_asked_for_strikes(seconds: float) -> None:
    """Each kind is in the plan, once where there is no time for more."""
    for workers, faults in all_plans(seconds):
        assert {fault.kind for fault in faults} == KINDS.keys(), workers
        assert seconds > 0 or len(faults) == len(KINDS)


def test_a_long_run_kills_and_pauses_enough() -> None:
    """Whatever the seed: the bounds of the report are not left to luck."""
    for _, faults in all_plans(600):
        assert sum(KINDS[fault.kind].kills for fault in faults) >= STRUCK_MIN["sigkills"]
        assert sum(KINDS[fault.kind].pauses for fault in faults) >= STRUCK_MIN["pauses"]
        assert any(fault.kind == "broker-freeze" and fault.lasts_s == 60 for fault in faults)


def test_faults_come_in_order_and_end_in_time() -> None:
    """Ordered by time, none before the system is warm, none shorter than its kind or a pause, all over at the end."""
    for _, faults in all_plans():
        assert [fault.at_s for fault in faults] == sorted(fault.at_s for fault in faults)
        assert striking(faults)[0].at_s >= FIRST_AT_S
        for fault in striking(faults):
            least_s, most_s = KINDS[fault.kind].lasts_s or (0, 0)
            assert min(least_s, 30) <= fault.lasts_s <= most_s
        assert {fault.until_s for fault in faults if fault.kind in THROUGHOUT} == {300}
        assert max(fault.until_s for fault in faults) <= 300
        assert end_s(faults) == max(fault.until_s for fault in faults) + REST_S[1]


def test_only_workers_that_run_are_struck() -> None:
    """A worker is named where the kind strikes one, and never one that another fault still holds."""
    for workers, faults in all_plans():
        for number, fault in enumerate(faults):
            assert (fault.worker is not None) == KINDS[fault.kind].strikes_worker
            if fault.worker is not None:
                assert 0 <= fault.worker < workers
                before = [each for each in faults[:number] if each.worker == fault.worker]
                assert all(each.until_s <= fault.at_s for each in before)


def test_what_clashes_never_overlaps() -> None:
    """One pause at a time, one fault of the store, of the learner and of the broker, no rebalance without a broker."""
    for _, faults in all_plans():
        for number, fault in enumerate(striking(faults)):
            others = striking(faults)[:number]
            assert not any(overlap(fault, each, REST_S[0]) for each in others if clash(fault.kind, each.kind))


def test_the_system_rests_and_faults_overlap() -> None:
    """Over the seeds both happen: faults while another lasts, and rests in which the system works undisturbed."""
    overlaps = rests = 0
    for _, faults in all_plans():
        struck = striking(faults)
        for index, fault in enumerate(struck[1:], start=1):
            before_s = max(earlier.until_s for earlier in struck[:index])
            overlaps += fault.at_s < before_s
            rests += fault.at_s >= before_s + REST_S[0]
    assert overlaps > 100
    assert rests > 1_000


def test_a_pause_outlasts_the_session() -> None:
    """Another worker has taken over before the paused one wakes."""
    assert BEYOND_SESSION_S[0] > SESSION_TIMEOUT_S
    assert all(kind.lasts_s == BEYOND_SESSION_S for kind in KINDS.values() if kind.pauses)


LEAST = least_of(KINDS, 600)
GOOD = {
    **dict.fromkeys(TOLD, 0), "transactions": 10, "published": 10, "repeats_published": 2, "duplicates": 2,
    "duplicates_counted": 2, "refused": 3, "refused_sent": 3, "dead_letters": 3, "dead_letters_counted": 3,
    "decisions": 10, "predictions": 10, "stored": 10, "drained": True, "learned": True, "training_records": 7,
    "snapshots": 2, "models_that_decided": 2, "faults": dict.fromkeys(KINDS, 1), "exit_codes": [0, 0], "sigkills": 15,
    "pauses": 5, "points_reached": 1, "figures_compared": 9,
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        *({name: 1} for name in ZEROES),
        *({name: 99} for pair in PAIRS for name in pair[:1]),
        {"decisions": 0, "transactions": 0, "published": 0},
        {"faults": dict.fromkeys(tuple(KINDS)[1:], 1)},
        {"drained": False},
        {"learned": False},
        {"training_records": 0},
        {"snapshots": 1},
        {"models_that_decided": 1},
        {"exit_codes": [0, -9]},
        {"sigkills": 14},
        {"pauses": 4},
        {"points_reached": 0},
        {"figures_compared": 0},
    ],
)
def test_a_run_can_fail(change: dict[str, object]) -> None:
    """Each figure that must hold makes the run fail where it does not."""
    assert problems_of(GOOD, KINDS, LEAST) == []
    assert problems_of(GOOD | change, KINDS, LEAST)
