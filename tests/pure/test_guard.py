"""The guard: within his share everybody is learned, beyond it nobody is; a restart is the same."""

import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.label import LabelSource
from streams.detector.guard import BUCKETS, WARM_UP, Guard, Witness
from streams.detector.reference import FRAUDS_MAX, HONEST_MAX

Told = tuple[Witness, float]


def _log(seed: int, number: int, sources: tuple[LabelSource, ...] = ("chargeback", "customer")) -> list[Told]:
    """Return what honest witnesses say of payments of 300 cards at 60 merchants, one fraud in ten."""
    chance, log = Random(seed), list[Told]()
    for at in range(number):
        fraud = chance.random() < 0.1
        source: LabelSource = chance.choice(sources) if fraud or chance.random() < 0.2 else "assumed_legitimate"
        said = f"tx-{seed}-{at}", f"card_{chance.randrange(300)}", f"mer_{chance.randrange(60)}", source
        log.append((Witness(*said, fraud), 3.0 if source == "assumed_legitimate" else 1.0))
    return log


def _burst(number: int, *, source: LabelSource = "customer", fraud: bool = True, card: str = "") -> list[Told]:
    return [(Witness(f"lie-{at}", card or f"card_{at}", "mer_7", source, fraud), 1.0) for at in range(number)]


def _weigh(guard: Guard, log: list[Told]) -> list[float]:
    return [guard.weigh(witness, weight) for witness, weight in log]


@pytest.mark.parametrize("seed", range(5))
def test_honest_witnesses_are_learned_as_they_weigh(seed: int) -> None:
    """Law: within the shares each record has its own weight."""
    guard, log = Guard(), _log(seed, 4_000)
    learned = _weigh(guard, log)
    assert learned == [weight for _, weight in log]
    assert guard.quarantined == 0


BURSTS: dict[str, Callable[[], list[Told]]] = {
    "merchant": lambda: _burst(200),
    "card": lambda: _burst(200, card="card_thief"),
    "merchant called honest": lambda: _burst(200, fraud=False),
    "new source": lambda: [
        (witness._replace(merchant=f"mer_{at % 60}"), weight)
        for at, (witness, weight) in enumerate(_burst(400, source="analyst"))
    ],
}


@pytest.mark.parametrize("name", BURSTS)
def test_burst_teaches_little(name: str) -> None:
    """Law: of many that come at once from one card, merchant or source the most teach nothing, and it is told once."""
    guard = Guard()
    _weigh(guard, _log(1, 4_000))
    turns, learned, lies = [], 0.0, BURSTS[name]()
    for witness, weight in lies:
        learned += guard.weigh(witness, weight)
        turns += guard.turns
    assert 0 < learned <= 0.45 * len(lies)
    assert guard.quarantined >= 0.5 * len(lies)
    assert turns
    assert all(turn.held for turn in turns)


def test_without_the_guard_a_burst_teaches_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Law: it is the guard that holds a burst back."""
    guard, burst = Guard(), _burst(200)
    _weigh(guard, _log(1, 4_000))
    monkeypatch.setattr(Guard, "_holds", lambda *_: False)
    assert sum(_weigh(guard, burst)) == len(burst)


def test_burst_of_a_trusted_source_is_learned() -> None:
    """Law: who bears the loss is always heard."""
    guard = Guard()
    _weigh(guard, _log(1, 4_000))
    burst = _burst(200, source="chargeback")
    assert sum(_weigh(guard, burst)) == len(burst)


def test_quarantine_ends_when_the_burst_has_faded() -> None:
    """Law: after a burst its merchant is heard again, which is told."""
    guard, told = Guard(), []
    _weigh(guard, _log(1, 4_000))
    _weigh(guard, _burst(60))
    for witness, weight in _log(2, 12_000):
        guard.weigh(witness, weight)
        told += [turn.held for turn in guard.turns if "mer_7" in turn.who]
    assert told == [False]


def test_alone_a_source_is_the_measure() -> None:
    """Law: where one source alone says what is fraud it is heard, whatever it is called."""
    guard, log = Guard(), _log(3, 4_000, ("customer",))
    _weigh(guard, log)
    assert guard.quarantined == 0


def test_who_is_most_of_what_is_said_is_never_locked_out() -> None:
    """Law: where a flood of one source is held back, silence, which is most of all labels, is learned as before."""
    guard, chance, learned, silent = Guard(), Random(1), 0, 0
    for at in range(12_000):
        source: LabelSource = "assumed_legitimate" if chance.random() < 0.6 else "customer"
        said = f"tx-{at}", f"card_{chance.randrange(300)}", f"mer_{chance.randrange(60)}", source
        told = guard.weigh(Witness(*said, is_fraud=False), 3.0)
        if at < 6_000:
            continue
        silent += source == "assumed_legitimate"
        learned += told > 0 and source == "assumed_legitimate"
        for number in range(3):
            lie = f"f-{at}-{number}", f"card_{chance.randrange(300)}", f"mer_{chance.randrange(60)}"
            guard.weigh(Witness(*lie, source="customer", is_fraud=False), 3.0)
    assert guard.quarantined > 15_000
    assert learned > 0.99 * silent


@given(st.integers(0, 2_000), st.integers(0, 1_500), st.integers(0, 50))
@settings(max_examples=15, deadline=None)
def test_restored_goes_on_as_if_never_stopped(first: int, second: int, seed: int) -> None:
    """Law: a guard restored from JSON weighs on as the one that was never stopped, to the same state."""
    before, after = [*_log(seed, first), *_burst(40)], [*_burst(40), *_log(seed + 1, second)]
    whole, again = Guard(), Guard()
    _weigh(whole, before)
    again.restore(json.loads(json.dumps(whole.state())))
    assert _weigh(again, after) == _weigh(whole, after)
    assert json.dumps(again.state()) == json.dumps(whole.state())


def _of_all(number: int) -> Iterator[Told]:
    sources: tuple[LabelSource, ...] = ("chargeback", "issuer_report", "analyst", "customer", "assumed_legitimate")
    for at in range(number):
        said = f"tx-{at}", f"card_{at}", f"mer_{at}", sources[at % 5]
        yield Witness(*said, at // 5 % 2 == 0), 1.0


def test_memory_is_bounded() -> None:
    """Law: however many cards and merchants there are, what is remembered stays under 250 kB of JSON."""
    guard = Guard()
    for witness, weight in _of_all(20_000):
        guard.weigh(witness, weight)
        guard.remember(witness, range(10_000, 10_060), -1.23456789012345678)
    state: dict[str, Any] = guard.state()
    assert len(state["accounts"]) <= 2 + 2 * 5 + 2 * 3 * 2 * BUCKETS
    assert len(json.dumps(state)) < 250_000
    assert [len(state["reference"][name]) for name in ("frauds", "honest")] == [FRAUDS_MAX, HONEST_MAX]


def test_nobody_is_judged_before_there_is_a_measure() -> None:
    """Law: a young log is learned as it is."""
    guard, young = Guard(), _burst(int(WARM_UP))
    assert _weigh(guard, young) == [1.0] * len(young)
