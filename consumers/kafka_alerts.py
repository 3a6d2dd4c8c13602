"""Alerts of the monitors on Kafka: which of them fire, and each change of it written once."""

from confluent_kafka import KafkaError, KafkaException, Producer

from consumers.kafka_scan import KafkaScan
from schemas.codec import DecodeFailure, decode, encode
from schemas.connection import insisted, writing
from schemas.registry import Alert
from schemas.settings import Settings
from schemas.topics import ALERTS

TIMEOUT_S = 30.0


class KafkaAlerts:
    """A transactional producer of `fraud.alerts.v1`, and what it had written before.

    Whoever opens it fences the one before, and settles what that one left open (KIP-98). So what is read after that is
    all there is, and nobody else adds to it: a change that was written is never written again. Where a write fails
    nobody knows whether it took effect but the topic: open anew.
    """

    def __init__(self, settings: Settings) -> None:
        self._topic = settings.topic_prefix + ALERTS.name
        self._producer = Producer(
            {
                **writing(settings),
                "transactional.id": f"{settings.application_id}-{settings.topic_prefix}monitors",
                "transaction.timeout.ms": settings.transaction_timeout_ms,
                "log_level": 3,
            }
        )
        insisted(lambda: self._producer.init_transactions(TIMEOUT_S), KafkaError.retriable)
        self.firing = _firing(settings)

    def write(self, alert: Alert) -> None:
        """Write one alert; on return it is committed.

        Raises
        ------
        KafkaException
            It may or may not be, or another process has taken over.
        """
        self._producer.begin_transaction()
        self._producer.produce(self._topic, encode(alert), alert.alert_id, partition=0)
        insisted(lambda: self._producer.commit_transaction(TIMEOUT_S), KafkaError.retriable)

    def close(self) -> None:
        """Let go of the client. A transaction that is open is left to the next one, or to its time-out."""
        self._producer.purge()


def _firing(settings: Settings) -> dict[str, Alert]:
    """Return the alerts of monitors that fire, by rule, from the topic's beginning to its end."""
    firing: dict[str, Alert] = {}
    with KafkaScan(settings, ALERTS) as scan:
        for record in scan.read(scan.start, scan.end()):
            alert = decode(Alert, record.value)
            if isinstance(alert, DecodeFailure) or alert.state is None:
                continue
            if alert.state == "firing":
                firing[alert.kind] = alert
            else:
                firing.pop(alert.kind, None)
    return firing


def taken_over(error: KafkaException) -> bool:
    """Return whether another process has opened the alerts: this one is to end."""
    code: int = error.args[0].code()
    return code in {KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED}  # noqa: SLF001
