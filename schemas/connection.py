"""How every client of ours reaches Kafka, and what is told when it cannot."""

import time
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from schemas.settings import Settings

TIMEOUT_S = 30.0
ATTEMPT_S = 1.0
RECONNECT_MS_MAX = 500
FINAL_CODES = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL})  # noqa: SLF001 - librdkafka's local codes
"""Errors that no waiting mends: the broker does not take our password, or we do not take its certificate."""
LOST = KafkaError(KafkaError._TRANSPORT).str()  # noqa: SLF001
"""In the text of an error that came of a connection which broke while we said who we are: that may be mended."""
EMPTY_CODES = frozenset({KafkaError._ALL_BROKERS_DOWN})  # noqa: SLF001
"""Errors that say no more than that there were others."""


def connection(settings: Settings) -> dict[str, Any]:
    """Return how a confluent-kafka client reaches the broker; what it is to do there goes beside it.

    The password is in it: never log or show what is returned.

    >>> connection(Settings(kafka_bootstrap="broker:9092"))
    {'bootstrap.servers': 'broker:9092', 'reconnect.backoff.max.ms': 500, 'security.protocol': 'plaintext'}
    """
    told = {
        "bootstrap.servers": settings.kafka_bootstrap,
        # By default the wait between two attempts grows to 10 s, on top of a broker's absence.
        "reconnect.backoff.max.ms": RECONNECT_MS_MAX,
        "security.protocol": settings.kafka_security_protocol,
        "ssl.ca.location": settings.kafka_ca_file,
        "ssl.certificate.location": settings.kafka_certificate_file,
        "ssl.key.location": settings.kafka_key_file,
    }
    if settings.kafka_security_protocol == "sasl_ssl":
        told["sasl.mechanism"] = settings.kafka_sasl_mechanism
        told["sasl.username"] = settings.kafka_username
        told["sasl.password"] = settings.kafka_password.get_secret_value()
    return {name: value for name, value in told.items() if value}


def reached(settings: Settings, timeout_s: float = TIMEOUT_S) -> AdminClient:
    """Return an administrative client that the broker has answered.

    Raises
    ------
    KafkaException
        The broker does not know us, or is not who it should be, or cannot be reached within the time. Its text is the
        reason that the client's attempts met: to reach a broker in the wrong way looks like a broker that is away.
    """
    met: list[KafkaError] = []
    options = {"log_level": 2, "reconnect.backoff.ms": 500, "error_cb": met.append}
    admin = AdminClient(connection(settings) | options)
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            admin.list_topics(timeout=ATTEMPT_S)
        except KafkaException as error:
            admin.poll(0)
            reasons = [each for each in met if each.code() not in EMPTY_CODES]
            final = [each for each in reasons if each.code() in FINAL_CODES and LOST not in each.str()]
            if final or time.monotonic() > deadline:
                raise KafkaException((final or reasons or [_no_answer(settings, error.args[0])])[-1]) from None
            time.sleep(ATTEMPT_S / 10)
        else:
            return admin


def _no_answer(settings: Settings, error: KafkaError) -> KafkaError:
    # A broker that is spoken to in another protocol than its own closes the connection without a word.
    protocol = settings.kafka_security_protocol
    hint = f"it may expect another FRAUD_KAFKA_SECURITY_PROTOCOL than {protocol}"
    return KafkaError(error.code(), f"{settings.kafka_bootstrap} does not answer; {hint}")
