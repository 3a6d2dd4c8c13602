"""The embedded store with its tables, for tests that need no other."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from consumers.migrations_to_clickhouse import migrate
from consumers.warehouse import Warehouse, open_warehouse
from schemas.settings import Settings


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    opened = open_warehouse(Settings(data_dir=tmp_path))
    migrate(opened)
    yield opened
    opened.close()
