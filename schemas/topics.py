"""The topics: one row each. Rooms join on these rows, and `schemas.topics_to_kafka` creates them.

Partitioners: `murmur2` is the Java client's default for keyed records, and the one that a gateway in any language must
use (librdkafka: `partitioner=murmur2_random`). `task` means the partition numbered as the writing task. `single` means
one partition, one total order.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from schemas.dead_letter import Replayed
from schemas.decision import Decision, Duplicate, Prediction, Profiled, ShadowScore
from schemas.fields import DAY_MS, HOUR_MS, Message
from schemas.label import EffectiveLabel, Label, Outcome
from schemas.learning import ModelVersion, PolicyVersion, Progress, RateTable, TrainingRecord
from schemas.registry import Alert, Alias, Audit, Control
from schemas.transaction import Transaction

Cleanup = Literal["delete", "compact"]
Partitioner = Literal["murmur2", "task", "single"]

FOREVER_MS = -1
SOURCE_OF_RECORD_MS = 400 * DAY_MS
"""Thirteen months: a year of seasons, and the longest dispute window of the card schemes (120 days after 540 at most is
kept by archive)."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic: what flows, by which key, for how long.

    `message` is None where the value is not one of our messages (dead letters keep the sender's bytes; state logs hold
    pieces of state).
    """

    name: str
    key: str
    message: type[Message] | None
    partitioner: Partitioner
    retention_ms: int
    cleanup: Cleanup = "delete"
    value_bytes_max: int = 1_048_576
    configs: Mapping[str, str] = field(default_factory=dict, hash=False)

    def partitions(self, default: int) -> int:
        """Return how many partitions it has where the deployment's number is `default`."""
        return 1 if self.partitioner == "single" else default


# By default Kafka never compacts the active segment (1 GB, 7 days), so a restore would read days of superseded pieces.
# With these a restore reads the live pieces, a quarter as much that is not compacted yet, and the last two minutes.
STATE_LOG = {
    "segment.bytes": str(16 * 1024 * 1024),
    "segment.ms": str(120_000),
    "min.cleanable.dirty.ratio": "0.2",
    "max.compaction.lag.ms": str(HOUR_MS),
    "delete.retention.ms": str(DAY_MS),
}

TRANSACTIONS = Topic(
    "payments.transactions.v1", "card", Transaction, "murmur2", SOURCE_OF_RECORD_MS, value_bytes_max=4_194_304
)
LABELS = Topic("payments.labels.v1", "card", Label, "murmur2", SOURCE_OF_RECORD_MS, value_bytes_max=4_194_304)
OUTCOMES = Topic("payments.outcomes.v1", "card", Outcome, "murmur2", SOURCE_OF_RECORD_MS)
PROFILED = Topic("fraud.profiled.v1", "merchant", Profiled, "murmur2", SOURCE_OF_RECORD_MS)
PREDICTIONS = Topic("fraud.predictions.v1", "card", Prediction, "task", SOURCE_OF_RECORD_MS)
DECISIONS = Topic("fraud.decisions.v1", "card", Decision, "task", SOURCE_OF_RECORD_MS)
# Kept for ever, because a dead letter carries its sender's timestamp, and Kafka deletes by it: one dated 2018 would be
# gone within minutes, whatever the sender meant by it.
DEAD_LETTERS = Topic("fraud.dead-letters.v1", "the sender's", None, "task", FOREVER_MS)
# One order for all, so that who reads it to the end knows of every replay before his own.
DEAD_LETTERS_REPLAYED = Topic(
    "fraud.dead-letters-replayed.v1", "dead letter", Replayed, "single", FOREVER_MS, "compact"
)
DUPLICATES = Topic("fraud.duplicates.v1", "card", Duplicate, "task", 90 * DAY_MS)
TRAINING = Topic("fraud.training.v1", "transaction", TrainingRecord, "single", FOREVER_MS)
# Every label that changed the verdict that counts waits here, once, until it is joined to the features of its payment;
# one whose features are not stored yet goes to the end again.
LABELS_WAITING = Topic("fraud.labels-waiting.v1", "card", EffectiveLabel, "task", SOURCE_OF_RECORD_MS)
# Not compacted: each version is written once, and a forged record under its key must not take its place.
MODELS = Topic("fraud.models.v1", "version", ModelVersion, "single", FOREVER_MS, value_bytes_max=4_194_304)
# Of policies and rate tables the last record is in force.
POLICIES = Topic("fraud.policies.v1", "version", PolicyVersion, "single", FOREVER_MS, "compact")
RATES = Topic("fraud.rates.v1", "version", RateTable, "single", FOREVER_MS, "compact")
# Which model is in force. Kept, not compacted: a repeat of an old record must not be all that is left of its key.
ALIASES = Topic("fraud.aliases.v1", "alias", Alias, "single", FOREVER_MS)
# Commands of people, and what became of each: together the audit log.
CONTROLS = Topic("fraud.controls.v1", "control", Control, "single", FOREVER_MS)
AUDIT = Topic("fraud.audit.v1", "control", Audit, "single", FOREVER_MS)
ALERTS = Topic("fraud.alerts.v1", "alert", Alert, "single", SOURCE_OF_RECORD_MS)
# What challengers say, in the partition of the prediction: of several records of one payment the first one counts.
SHADOW_SCORES = Topic("fraud.shadow-scores.v1", "card", ShadowScore, "task", 90 * DAY_MS)
PROGRESS = Topic(
    "fraud.progress.v1",
    "worker",
    Progress,
    "single",
    HOUR_MS,
    "compact",
    configs={"segment.ms": "600000", "max.compaction.lag.ms": "600000", "segment.bytes": str(8 * 1024 * 1024)},
)
CARD_STATE = Topic("fraud.card-state.v1", "piece of state", None, "task", FOREVER_MS, "compact", configs=STATE_LOG)
MERCHANT_STATE = Topic(
    "fraud.merchant-state.v1", "piece of state", None, "task", FOREVER_MS, "compact", configs=STATE_LOG
)

TOPICS: tuple[Topic, ...] = (
    TRANSACTIONS,
    LABELS,
    OUTCOMES,
    PROFILED,
    PREDICTIONS,
    DECISIONS,
    DEAD_LETTERS,
    DEAD_LETTERS_REPLAYED,
    DUPLICATES,
    TRAINING,
    LABELS_WAITING,
    MODELS,
    POLICIES,
    RATES,
    ALIASES,
    CONTROLS,
    AUDIT,
    ALERTS,
    SHADOW_SCORES,
    PROGRESS,
    CARD_STATE,
    MERCHANT_STATE,
)
BY_NAME: Mapping[str, Topic] = {topic.name: topic for topic in TOPICS}
