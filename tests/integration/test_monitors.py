"""Alerts of the monitors on a real broker: written once, read back, and one writer at a time."""

import pytest
from confluent_kafka import KafkaException

from consumers.kafka_alerts import KafkaAlerts, taken_over
from consumers.monitors.board import cleared, fired
from consumers.monitors.finding import Finding
from consumers.monitors.rules import RULES
from schemas.settings import Settings

pytestmark = pytest.mark.kafka
AT_MS = 1_522_540_800_000
FOUND = Finding(over=True, value=3.0, bound=2.0, rows=9, subject="latency", text="slow", facts=frozenset({"late"}))


def test_what_fires_is_told_by_the_topic_and_by_one_process_at_a_time(kafka: Settings) -> None:
    """Law: who opens the alerts sees all that was written, and whoever had them open writes nothing more."""
    one, two = (fired(rule, FOUND, FOUND.facts, AT_MS) for rule in RULES[:2])
    first = KafkaAlerts(kafka)
    assert first.firing == {}
    first.write(one)
    first.write(two)
    second = KafkaAlerts(kafka)
    assert second.firing == {one.kind: one, two.kind: two}
    over = cleared(one, FOUND, AT_MS + 1)
    with pytest.raises(KafkaException) as refused:
        first.write(over)
    assert taken_over(refused.value)
    second.write(over)
    assert KafkaAlerts(kafka).firing == {two.kind: two}
