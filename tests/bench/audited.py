"""A kept data directory of a demo or fault run, compared with the oracle: topics and store, every row."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from deploy.system import System
from tests.oracle import audit
from tests.stored import compare_stored


def audited(system: System) -> dict[str, Any]:
    """Return the oracle's figures on a running broker, with the stored rows beside them. No sink may be running."""
    found = audit(system.settings)
    path = system.data_dir / "v_predictions.parquet"
    system.run("export", ["consumers", "export", "v_predictions", str(path)])
    stored: dict[str, int] = {}
    table = pq.ParquetFile(path)
    rows = (row for batch in table.iter_batches(10_000) for row in batch.to_pylist())
    stored = compare_stored(found, rows)
    path.unlink()
    return found.figures() | stored


def audited_directory(data_dir: Path) -> dict[str, Any]:
    """Return the oracle's figures on the data directory of a run that has ended."""
    with System(data_dir, workers=0) as system:
        return audited(system)


ZEROES = ("lost", "repeated", "differing", "stored_missing", "stored_repeated", "stored_differing")
"""Figures of which every one must be 0."""
