"""A kept data directory of a demo or fault run, compared with the oracle: topics, store and models, every row."""

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from deploy.demo import LIVE_PARTITIONS, RECORDED_SNAPSHOT_RECORDS
from deploy.system import System
from tests.findings import Audit
from tests.learned import ZEROES as LEARNING_ZEROES
from tests.learned import audit_learning
from tests.oracle import audit
from tests.stored import compare_stored

ZEROES = ("lost", "repeated", "differing", "stored_missing", "stored_repeated", "stored_differing", *LEARNING_ZEROES)
"""Figures of which every one must be 0."""
STORED = ("decisions_stored", "labels_stored", "training_stored", "models_stored")
"""Figures of what else the store holds."""
COUNT_STORED = """SELECT
    (SELECT count() FROM v_decisions) AS decisions_stored,
    (SELECT count() FROM v_label_revisions) AS labels_stored,
    (SELECT count() FROM v_training) AS training_stored,
    (SELECT count() FROM v_models) AS models_stored"""
RENAMED = {"labels": "labels_accepted", "examples": "learning_examples"}
"""What the audit of learning calls as the oracle calls something else."""


def audited(system: System) -> dict[str, Any]:
    """Return the oracle's figures on a running broker, with those of the store and of learning. No store may run."""
    found = audit(system.settings)
    path = system.data_dir / "v_predictions.parquet"
    system.run("export", ["consumers", "export", "v_predictions", str(path)])
    table = pq.ParquetFile(path)
    rows = (row for batch in table.iter_batches(10_000) for row in batch.to_pylist())
    stored = compare_stored(found, rows)
    path.unlink()
    stored |= system.query(COUNT_STORED)[0]
    learned = audit_learning(system.settings).figures()
    return (
        found.figures()
        | {"models_that_decided": models_that_decided(found)}
        | stored
        | {RENAMED.get(name, name): value for name, value in learned.items()}
    )


def models_that_decided(found: Audit) -> int:
    """Return how many versions of the model were asked for an answer that was given."""
    answers = Counter(each.model_version for each in found.predicted.values() if each.mode == "normal")
    return len(answers)


def audited_directory(
    data_dir: Path, *, partitions: int = LIVE_PARTITIONS, snapshot_records: int = RECORDED_SNAPSHOT_RECORDS
) -> dict[str, Any]:
    """Return the figures on the data directory of a run that has ended, which had these settings."""
    with System(data_dir, workers=0, partitions=partitions, snapshot_records=snapshot_records) as system:
        return audited(system)
