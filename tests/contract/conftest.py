"""The embedded store with its tables: an empty one for each test, and one that tests of views share and only read."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from consumers.migrations_to_clickhouse import migrate
from consumers.warehouse import Warehouse, open_warehouse
from schemas.settings import Settings
from tests.contract.views_told import Told


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    opened = open_warehouse(Settings(data_dir=tmp_path))
    migrate(opened)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """Closed with its module: the engine has one folder at a time in a process."""
    opened = open_warehouse(Settings(data_dir=tmp_path_factory.mktemp("views")))
    migrate(opened)
    yield Told(opened)
    opened.close()
