"""Every topic that is compared with something, read once."""

from collections.abc import Mapping
from typing import Any

from deploy.read_back import read_topic
from schemas.settings import Settings
from schemas.topics import (
    ALERTS,
    AUDIT,
    DEAD_LETTERS,
    DEAD_LETTERS_REPLAYED,
    DECISIONS,
    DUPLICATES,
    LABELS,
    LABELS_WAITING,
    MODELS,
    OUTCOMES,
    POLICIES,
    PREDICTIONS,
    PROFILED,
    RATES,
    SHADOW_SCORES,
    TRAINING,
    TRANSACTIONS,
    Topic,
)

COMPARED = (
    TRANSACTIONS, LABELS, OUTCOMES, PROFILED, PREDICTIONS, DECISIONS, DUPLICATES, DEAD_LETTERS, DEAD_LETTERS_REPLAYED,
    LABELS_WAITING, TRAINING, MODELS, POLICIES, RATES, AUDIT, ALERTS, SHADOW_SCORES,
)  # fmt: skip

Topics = Mapping[Topic, list[Any]]
"""The committed records of each, partition by partition in offset order."""


def read_all(settings: Settings) -> Topics:
    """Return what is in them now."""
    return {topic: read_topic(settings, settings.topic_prefix + topic.name) for topic in COMPARED}
