"""How every client of ours reaches Kafka, and what is told when it cannot."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from schemas.settings import Settings

TIMEOUT_S = 30.0
ATTEMPT_S = 1.0
AGAIN_S = 0.1
RECONNECT_MS_MAX = 500
FINAL_CODES = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL})  # noqa: SLF001 - librdkafka's local codes
"""Errors that no waiting mends: the broker does not take our password, or we do not take its certificate."""
LOST = KafkaError(KafkaError._TRANSPORT).str()  # noqa: SLF001
"""In the text of an error that came of a connection which broke while we said who we are: that may be mended."""
EMPTY_CODES = frozenset({KafkaError._ALL_BROKERS_DOWN})  # noqa: SLF001
"""Errors that say no more than that there were others."""

Answer = TypeVar("Answer")


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


def writing(settings: Settings) -> dict[str, Any]:
    """Return how a producer reaches the broker so that what it takes for written is written, once and in order.

    One request is under way at a time. A partition that has just got a leader refuses a batch and may take the one
    behind it: a broker that has nothing of a producer yet takes any sequence number of it, unless it verifies
    transactions (KIP-890), and librdkafka counts what came before an acknowledged batch as acknowledged.

    >>> writing(Settings())["max.in.flight.requests.per.connection"]
    1
    """
    return {
        **connection(settings),
        "acks": "all",
        "enable.idempotence": True,
        "max.in.flight.requests.per.connection": 1,
    }


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
            time.sleep(AGAIN_S)
        else:
            return admin


def _no_answer(settings: Settings, error: KafkaError) -> KafkaError:
    # A broker that is spoken to in another protocol than its own closes the connection without a word.
    protocol = settings.kafka_security_protocol
    hint = f"it may expect another FRAUD_KAFKA_SECURITY_PROTOCOL than {protocol}"
    return KafkaError(error.code(), f"{settings.kafka_bootstrap} does not answer; {hint}")


def insisted(call: Callable[[], Answer], again: Callable[[KafkaError], bool], *, outage_s: float = TIMEOUT_S) -> Answer:
    """Return what a call of a client's returns, made again while it meets errors that pass.

    Raises
    ------
    KafkaException
        An error that `again` does not hold for, or any after `outage_s`.
    """
    deadline = time.monotonic() + outage_s
    while True:
        try:
            return call()
        except KafkaException as error:
            if not again(error.args[0]) or time.monotonic() > deadline:
                raise
        time.sleep(AGAIN_S)


def said(error: Exception) -> str:
    """Return an error as a line for people: what the broker or the client said, without the numbers around it.

    >>> said(KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "not yours"))), said(ValueError("wrong"))
    ('not yours', 'wrong')
    """
    return str(error.args[0].str()) if isinstance(error, KafkaException) else str(error)
