"""The embedded store on a disk that is full for a while: `python -m tests.contract.full_disk FOLDER` says what it saw.

A process of its own, because only in a mount namespace of its own may it mount a small disk without being root.
"""

import json
import sys
import time
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

from consumers.clickhouse_embedded import EmbeddedWarehouse
from consumers.migrations_to_clickhouse import migrate
from consumers.warehouse import WarehouseUnavailableError
from tests.contract.warehouse_rows import insert, label, row
from tests.faults.disk import SmallDisk, in_own_namespace

ROWS = 500
RECOVERS_S_MAX = 10.0


def seen_on(folder: Path) -> dict[str, Any]:
    """Insert before, while and after the disk is full; return what was refused and what is there in the end."""
    noise = Random(11)
    refused: list[str] = []

    def store(first: int) -> None:
        rows = [
            row("labels", label(transaction_id=f"tx-{noise.randbytes(12).hex()}-{number}"), offset=number)
            for number in range(first, first + ROWS)
        ]
        insert(warehouse, "labels", *rows)

    with SmallDisk(folder, size_mb=64) as disk, closing(EmbeddedWarehouse(folder / "clickhouse")) as warehouse:
        migrate(warehouse)
        store(0)
        disk.fill()
        for _ in range(3):
            try:
                store(ROWS)
            except WarehouseUnavailableError as error:
                refused.append(str(error))
        answered = warehouse.query_columns("SELECT count() AS rows FROM v_labels")["rows"]
        disk.free()
        deadline = time.monotonic() + RECOVERS_S_MAX
        while True:
            try:
                store(ROWS)
            except WarehouseUnavailableError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                break
        rows = warehouse.query_columns("SELECT count() AS rows, max(record_offset) AS last FROM v_labels")
    return {"refused": refused, "while_full": answered[0], "rows": rows["rows"][0], "last": rows["last"][0]}


if __name__ == "__main__":
    in_own_namespace("tests.contract.full_disk")
    sys.stdout.write(json.dumps(seen_on(Path(sys.argv[1]))) + "\n")
