"""Alerts of a process to their topic. Thin client: what cannot be written is a line in the log all the same."""

import logging

from confluent_kafka import Producer

from schemas.codec import encode
from schemas.connection import writing
from schemas.registry import Alert
from schemas.settings import Settings
from schemas.topics import ALERTS

logger = logging.getLogger(__name__)

FLUSH_S = 2.0


class Alerts:
    """Writes alerts without waiting for them: deciding goes on."""

    def __init__(self, settings: Settings) -> None:
        self._topic = settings.topic_prefix + ALERTS.name
        self._producer = Producer(writing(settings))

    def tell(self, alert: Alert) -> None:
        """Write an alert, and a line that says the same."""
        logger.warning("alert %s: %s: %s", alert.kind, alert.subject, alert.text)
        try:
            self._producer.produce(self._topic, encode(alert), alert.alert_id, partition=0)
        except BufferError:
            logger.warning("alert %s: %s was not written: the queue is full", alert.kind, alert.subject)
        self._producer.poll(0)

    def close(self) -> None:
        """Wait a moment for what was not written yet."""
        self._producer.flush(FLUSH_S)
