"""Keys of the tests, and records that are signed with them."""

from typing import Any

from confluent_kafka import Producer

from deploy.keys import new_private_pem
from deploy.system import System
from schemas.codec import encode
from schemas.connection import connection
from schemas.fields import Message
from schemas.key_files import signer_of
from schemas.learning import ModelVersion
from schemas.registry import Alias
from schemas.signing import SIGNER_OF, Signer, TrustedKeys
from schemas.topics import ALIASES, MODELS, Topic
from streams.detector.admission import CHAMPION
from streams.detector.stage import Record

SIGNERS = {principal: Signer(new_private_pem()) for principal in dict.fromkeys(SIGNER_OF.values())}
STRANGER = Signer(new_private_pem())
TRUSTED = TrustedKeys({principal: {principal: signer.public_pem} for principal, signer in SIGNERS.items()})
AT_MS = 1_600_000_000_000


def record_of(
    topic: Topic, offset: int, name: str, message: Message | bytes, *, signer: Signer | None = None, at_ms: int = 0
) -> Record:
    """Return a record of a topic, signed by who may write it, or by another."""
    key, value = name.encode(), message if isinstance(message, bytes) else encode(message)
    headers = (signer or SIGNERS[SIGNER_OF[topic]]).headers(topic, key, value, at_ms)
    return Record(topic.name, 0, offset, AT_MS, key, value, headers)


def alias_of(version: str | None, sequence: int, **fields: Any) -> Alias:
    """Return an alias record of the champion."""
    told = {"mode": "follow", "controls_next": 0, "newest": version, **fields}
    return Alias.model_validate({"name": CHAMPION, "version": version, "sequence": sequence, **told})


def publish_champion(system: System, model: ModelVersion) -> None:
    """Write a snapshot and its alias, as the learner of a system would that nobody runs."""
    settings = system.settings_of("learner")
    signer = signer_of(settings)
    producer = Producer(connection(system.settings) | {"message.max.bytes": MODELS.value_bytes_max})
    for topic, name, message in (
        (MODELS, model.version, model),
        (ALIASES, CHAMPION, alias_of(model.version, 1)),
    ):
        key, value = name.encode(), encode(message)
        headers: list[tuple[str, str | bytes | None]] = [*signer.headers(topic, key, value)]
        producer.produce(settings.topic_prefix + topic.name, value, key, partition=0, headers=headers)
    assert producer.flush(30) == 0
