"""Every topic that is compared with something, read once."""

from collections.abc import Mapping
from typing import Any

from deploy.system import read_topic
from schemas.settings import Settings
from schemas.topics import (
    DEAD_LETTERS,
    DECISIONS,
    LABELS,
    LABELS_WAITING,
    MODELS,
    OUTCOMES,
    POLICIES,
    PREDICTIONS,
    PROFILED,
    RATES,
    TRAINING,
    TRANSACTIONS,
    Topic,
)

COMPARED = (
    TRANSACTIONS, LABELS, OUTCOMES, PROFILED, PREDICTIONS, DECISIONS, DEAD_LETTERS, LABELS_WAITING, TRAINING, MODELS,
    POLICIES, RATES,
)  # fmt: skip

Topics = Mapping[Topic, list[Any]]
"""The committed records of each, partition by partition in offset order."""


def read_all(settings: Settings) -> Topics:
    """Return what is in them now."""
    return {topic: read_topic(settings.kafka_bootstrap, settings.topic_prefix + topic.name) for topic in COMPARED}
