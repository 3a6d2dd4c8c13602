"""Who was there before the broker restarted asks the leaders of now: a task that moves afterwards can be opened."""

import time
from pathlib import Path

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from deploy.broker import Broker
from schemas.connection import connection
from schemas.settings import Settings
from schemas.topics import CARD_STATE
from schemas.topics_to_kafka import create_topics
from streams.kafka_task_log import KafkaTaskLog

ELECTED_S_MAX = 20.0
"""How long a broker that has just started may say that it does not lead yet."""

pytestmark = [pytest.mark.kafka, pytest.mark.usefixtures("broker")]


def test_state_log_has_an_end_for_a_client_older_than_its_leader(tmp_path: Path) -> None:
    """A worker's administrative client, which has asked before, is told the end of a log by who leads it now."""
    with Broker(tmp_path) as own:
        settings = Settings(kafka_bootstrap=own.bootstrap, partitions=1)
        create_topics(settings)
        log = KafkaTaskLog(settings, AdminClient(connection(settings)), "card", 0, CARD_STATE)
        assert log.state_end() == 0
        own.kill()
        own.start()
        assert _told(log) == 0


def _told(log: KafkaTaskLog) -> int | KafkaException:
    deadline = time.monotonic() + ELECTED_S_MAX
    while True:
        try:
            return log.state_end()
        except KafkaException as error:
            if time.monotonic() > deadline:
                return error
            time.sleep(0.5)
