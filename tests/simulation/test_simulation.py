"""The exactly-once promise, over a few hundred seeds, and the proof that the simulation would notice its breach."""

from collections import Counter

import pytest

from schemas.topics import CARD_STATE
from streams.exactly_once import FencedError
from tests.simulation.__main__ import seeds_until_caught
from tests.simulation.broker import Broker, Stored
from tests.simulation.mutants import MUTANTS
from tests.simulation.scheduler import Run, violations
from tests.simulation.workers import Protocol

SEEDS = 400
PORT_POINTS = (
    "before fence",
    "after fence",
    "before state_end",
    "before read_state",
    "before begin",
    "before write",
    "after step",
    "before commit",
    "after flush",
    "after the request to commit",
    "after commit",
    "before acknowledging",
)
FAULTS = (
    "answer lost",
    "commit delayed",
    "commit refused",
    "records compacted away",
    "state log end beyond what is stable",
    "task kept through a rebalance",
    "tasks fenced",
    "tombstones compacted away",
    "transactions timed out",
    "writes refused for their epoch",
)


def test_production_protocol_holds() -> None:
    """Law: whatever dies whenever, the logs hold in the end what one faultless process would have written, once.

    Nor is the simulation idle: every fault happened, and processes died and were suspended at every point.
    """
    seen: Counter[str] = Counter()
    failed = {seed: found for seed in range(SEEDS) if (found := violations(seed, Protocol(), seen))}
    assert failed == {}
    wanted = [*FAULTS, *(f"{fate} {point}" for point in PORT_POINTS for fate in ("killed", "suspended"))]
    assert [what for what in wanted if not seen[what]] == []


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_is_caught(name: str) -> None:
    """Law: each protocol with a mistake breaks the promise in a way the oracle sees."""
    assert seeds_until_caught(name) is not None


def test_a_seed_is_reproducible() -> None:
    """Law: a seed alone decides a run, to the last byte of every log."""

    def logs(seed: int) -> list[list[tuple[int, bytes | None, bytes | None] | None]]:
        run = Run(seed, Protocol())
        run.violations()
        return [
            [stored and (stored.offset, stored.key, stored.value) for stored in partition.log]
            for partition in run.broker.partitions.values()
        ]

    assert logs(7) == logs(7)


def test_broker_keeps_apart_decided_marked_and_seen() -> None:
    """Law: after a fence a committed record may still be invisible, below an uncommitted end that names it."""
    broker = Broker()
    state = broker.partition(CARD_STATE, 0)
    record = Stored(-1, b"k", b"v", (), 0, None, is_marker=False)
    epoch = broker.init_transactions("t")
    broker.write("t", epoch, state, record)
    state.replicate()
    broker.end("t", epoch, "committed")
    assert broker.init_transactions("t") == epoch + 1
    assert (state.stable, state.replicated, state.committed()) == (0, 1, [])
    state.replicate()
    assert (state.stable, [stored.value for stored in state.committed()]) == (2, [b"v"])


def test_broker_refuses_an_earlier_epoch() -> None:
    """Law: once another has fenced, neither a late record nor a late request to commit of the earlier owner counts."""
    broker = Broker()
    state = broker.partition(CARD_STATE, 0)
    record = Stored(-1, b"k", b"late", (), 0, None, is_marker=False)
    epoch = broker.init_transactions("t")
    broker.write("t", epoch, state, record)
    broker.init_transactions("t")
    with pytest.raises(FencedError):
        broker.write("t", epoch, state, record)
    with pytest.raises(FencedError):
        broker.end("t", epoch, "committed")
    state.replicate()
    assert state.committed() == []
