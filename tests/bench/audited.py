"""A kept data directory of a demo or fault run, compared with the oracle: topics, store and models, every row."""

from collections import Counter
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from consumers.warehouse import open_warehouse
from deploy.demo import LIVE_PARTITIONS, RECORDED_SNAPSHOT_RECORDS
from deploy.system import System
from schemas.settings import Settings
from tests.all_topics import Topics, read_all
from tests.findings import Audit
from tests.learned import ZEROES as LEARNING_ZEROES
from tests.learned import audit_learning
from tests.oracle import audit
from tests.stored import ZEROES as STORE_ZEROES
from tests.stored import StoreAudit, audit_store

ZEROES = ("lost", "repeated", "differing", *STORE_ZEROES, *LEARNING_ZEROES)
"""Figures of which every one must be 0."""
RENAMED = {"labels": "labels_accepted", "examples": "learning_examples"}
"""What the audit of learning calls as the oracle calls something else."""


def audited(settings: Settings, topics: Topics | None = None) -> dict[str, Any]:
    """Return the oracle's figures on a running broker, with those of the store and of learning. No store may run."""
    topics = topics or read_all(settings)
    found = audit(settings, topics)
    learned = audit_learning(settings, topics).figures()
    return (
        found.figures()
        | {"models_that_decided": models_that_decided(found)}
        | asdict(audited_store(settings, topics))
        | {RENAMED.get(name, name): value for name, value in learned.items()}
    )


def audited_store(settings: Settings, topics: Topics) -> StoreAudit:
    """Return what the store shows against what it must. No store may run."""
    with closing(open_warehouse(settings)) as warehouse:
        return audit_store(topics, warehouse)


def models_that_decided(found: Audit) -> int:
    """Return how many versions of the model were asked for an answer that was given."""
    answers = Counter(each.model_version for each in found.predicted.values() if each.mode == "normal")
    return len(answers)


def audited_directory(
    data_dir: Path, *, partitions: int = LIVE_PARTITIONS, snapshot_records: int = RECORDED_SNAPSHOT_RECORDS
) -> dict[str, Any]:
    """Return the figures on the data directory of a run that has ended, which had these settings."""
    with System(data_dir, workers=0, partitions=partitions, snapshot_records=snapshot_records) as system:
        return audited(system.settings)
