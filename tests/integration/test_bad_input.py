"""Whatever is published, each record is answered or explained once, and the stream goes on."""

import json
from typing import Any

import pytest

from deploy.broker import Broker
from tests.bench.bad_input import run
from tests.bench.bad_laws import LAWS

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def outcome(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One run of the scenario, looked at by every test here."""
    return run(tmp_path_factory.mktemp("bad-input"), broker=broker, topic_prefix="t-bad-input.")


@pytest.mark.parametrize("law", LAWS)
def test_bad_records_among_good_ones_keep_the_law(law: str, outcome: dict[str, Any]) -> None:
    """Each law of the scenario holds: one dead letter, kept as sent, one answer, no card number, true counters."""
    assert outcome["problems"][law] == [], LAWS[law].__doc__


def test_the_run_had_something_to_show(outcome: dict[str, Any]) -> None:
    """The figures are of a run that took place, and can be printed."""
    figures = json.loads(json.dumps(outcome))["figures"]
    assert figures["dead_letters"] == figures["bad"] > 30
    assert figures["decisions"] > figures["good"] > 300
    assert outcome["holds"] == (not any(outcome["problems"].values()))
