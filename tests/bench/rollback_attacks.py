"""Records that must never come in force, or be carried out: who could write them, and what they are refused as."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from confluent_kafka import Message, Producer

from schemas.codec import encode
from schemas.connection import connection
from schemas.learning import ModelVersion
from schemas.registry import Control
from schemas.settings import Settings
from schemas.signing import Headers, Signer
from schemas.topics import CONTROLS, MODELS, Topic
from streams.detector.scorer import digest_of, model_of
from streams.detector.stage import Record
from tests.signed import STRANGER


class Attack(NamedTuple):
    """One record to write, and the kind of the alert that it must raise."""

    topic: Topic
    key: bytes
    value: bytes
    headers: Headers
    kind: str


def changed(model: ModelVersion, **changes: Any) -> ModelVersion:
    """Return a snapshot with another content, and the digest that belongs to it."""
    other = model.model_copy(update=changes)
    return other.model_copy(update={"digest": digest_of(other)})


def weighing(model: ModelVersion, version: str, factor: float) -> ModelVersion:
    """Return a snapshot whose weights are so many times what was learned."""
    cells = model.state["cells"]
    cells = {**cells, "weights": {cell: weight * factor for cell, weight in cells["weights"].items()}}
    return changed(model, version=version, state={**model.state, "cells": cells})


def attacks(old: Record, learner: Signer, command: Record) -> Mapping[str, Attack]:
    """Return every kind, made of an old snapshot and of a command that was carried out; with the learner's key."""
    model = model_of(old.value)

    def signed(name: str, value: ModelVersion | bytes, signer: Signer, kind: str) -> Attack:
        key, held = name.encode(), value if isinstance(value, bytes) else encode(value)
        return Attack(MODELS, key, held, signer.headers(MODELS, key, held), kind)

    forged = encode(changed(model, version="m-forged", records=10**6))
    follow = Control(control_id="c-forged", author="operator", kind="follow", issued_at_ms=1_600_000_000_000)
    name, asked = follow.control_id.encode(), encode(follow)
    key, value = old.key or b"", old.value or b""
    return {
        "forged": Attack(MODELS, key, forged, old.headers, "forged"),
        "truncated": Attack(MODELS, key, value[:-100], old.headers, "forged"),
        "truncated before it was signed": signed("m-short", value[:-100], learner, "unreadable"),
        "unsigned": Attack(MODELS, b"m-unsigned", value, (), "unsigned"),
        "signed by a stranger": signed("m-strange", changed(model, version="m-strange"), STRANGER, "unknown_key"),
        "replayed": Attack(MODELS, key, value, old.headers, "replayed"),
        "replayed under another key": Attack(MODELS, b"m-again", value, old.headers, "forged"),
        "of other inputs": signed(
            "m-schema", changed(model, version="m-schema", feature_schema="sha256:0"), learner, "wrong_schema"
        ),
        "exploding": signed("m-boom", weighing(model, "m-boom", 1e9), learner, "unsound"),
        "too deep": signed("m-deep", b"[" * 100_000, learner, "unreadable"),
        "command replayed": Attack(CONTROLS, command.key or b"", command.value or b"", command.headers, "replayed"),
        "command unsigned": Attack(CONTROLS, name, asked, (), "unsigned"),
        "command of a stranger": Attack(CONTROLS, name, asked, STRANGER.headers(CONTROLS, name, asked), "unknown_key"),
        "command of the learner": Attack(CONTROLS, name, asked, learner.headers(CONTROLS, name, asked), "unknown_key"),
    }


def write(settings: Settings, attack: Attack) -> str:
    """Write a record as whoever has the rights but not the key would; return its place."""
    placed: list[int] = []

    def on_delivery(_error: object, message: Message) -> None:
        placed.append(message.offset() or 0)

    producer = Producer(connection(settings) | {"message.max.bytes": MODELS.value_bytes_max})
    headers: list[tuple[str, str | bytes | None]] = [*attack.headers]
    topic = settings.topic_prefix + attack.topic.name
    producer.produce(topic, attack.value, attack.key, partition=0, headers=headers, on_delivery=on_delivery)
    assert producer.flush(30) == 0
    return f"{attack.topic.name}:0:{placed[0]}"
