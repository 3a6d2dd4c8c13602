"""Kills, a pause and a rebalance under load: every payment is answered and stored once, every label learned once."""

import json
from typing import Any

import pytest

from deploy.broker import Broker
from tests.bench.audited import ZEROES
from tests.faults.run import run

pytestmark = pytest.mark.kafka

KINDS = ("kill", "pause", "rebalance", "store", "learner")
"""Pauses of store and learner are left to the long run."""


@pytest.fixture(scope="module")
def outcome(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One run with each kind of fault once, looked at by every test here."""
    data_dir = tmp_path_factory.mktemp("faults")
    return run(data_dir, seconds=0, rate=150, workers=2, seed=4, kinds=KINDS, broker=broker, topic_prefix="t-faults.")


def test_nothing_is_lost_repeated_or_different(outcome: dict[str, Any]) -> None:
    """Topics, store and models hold what the oracles work out from what was published."""
    assert outcome["problems"] == [], outcome["figures"]
    assert outcome["holds"]
    assert [outcome["figures"][name] for name in ZEROES] == [0] * len(ZEROES)


def test_every_kind_of_fault_struck(outcome: dict[str, Any]) -> None:
    """Each kind once, and what was killed was started again.

    Whether the one that slept through its session was fenced, and stopped, or rejoined before it wrote anything, is up
    to what it was doing when it fell asleep.
    """
    figures = json.loads(json.dumps(outcome))["figures"]
    assert figures["faults"] == dict.fromkeys(KINDS, 1)
    assert figures["store_restarted"] == figures["learner_restarted"] == 1
    assert figures["stages_restarted"] >= 1
    assert figures["transactions"] > 1_000
    assert figures["duplicates"] > 10
