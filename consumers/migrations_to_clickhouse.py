"""`schemas/clickhouse/NNNN_*.sql` to ClickHouse: in order, each once, with a checksum of what was applied."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from consumers.warehouse import Warehouse

FILE_NAME = re.compile(r"\d{4}_[a-z0-9_]+\.sql")

CREATE_LEDGER = """\
CREATE TABLE IF NOT EXISTS schema_migrations
(
    name String COMMENT 'File in schemas/clickhouse',
    checksum String COMMENT 'SHA-256 of the file as it was applied, in hex',
    applied_at DateTime('UTC') DEFAULT now() COMMENT 'When it was applied'
)
ENGINE = ReplacingMergeTree
ORDER BY name
COMMENT 'Migrations that were applied'
"""
LEDGER_EXISTS = (
    "SELECT count() AS tables FROM system.tables WHERE database = currentDatabase() AND name = 'schema_migrations'"
)
READ_LEDGER = "SELECT name, checksum FROM schema_migrations FINAL"


class MigrationError(Exception):
    """A file that was applied has been changed since, or is named so that its place in the order is not clear."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of SQL. A statement ends with a semicolon at the end of a line."""

    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def statements(self) -> tuple[str, ...]:
        r"""Return the statements, without their semicolons.

        >>> Migration("0001_a.sql", "CREATE TABLE a (b Int8 COMMENT 'x; y');\n\nCREATE VIEW v;\n").statements
        ("CREATE TABLE a (b Int8 COMMENT 'x; y')", 'CREATE VIEW v')
        """
        parts = re.split(r";[ \t]*$", self.sql, flags=re.MULTILINE)
        return tuple(part.strip() for part in parts if part.strip())


def shipped_migrations() -> tuple[Migration, ...]:
    """Return the migrations that came with this code, in order."""
    folder = files("schemas") / "clickhouse"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return tuple(Migration(name, (folder / name).read_text(encoding="utf-8")) for name in names)


def pending_migrations(warehouse: Warehouse, migrations: Sequence[Migration]) -> tuple[Migration, ...]:
    """Return what was not applied yet, in order. Reads only.

    Raises
    ------
    MigrationError
        A migration that was applied has another text now, or two have one number.
    WarehouseError
        The store could not be asked.
    """
    numbers = [migration.name[:4] for migration in migrations]
    for name in (migration.name for migration in migrations):
        if not FILE_NAME.fullmatch(name) or numbers.count(name[:4]) > 1:
            raise MigrationError(f"{name} must be named NNNN_words.sql with a number of its own")
    applied: dict[str, str] = {}
    if warehouse.query_columns(LEDGER_EXISTS)["tables"] != [0]:
        ledger = warehouse.query_columns(READ_LEDGER)
        applied = dict(zip(ledger["name"], ledger["checksum"], strict=True))
    for migration in migrations:
        if applied.get(migration.name, migration.checksum) != migration.checksum:
            raise MigrationError(
                f"{migration.name} was changed after it had been applied: restore it, and write a new migration instead"
            )
    return tuple(migration for migration in migrations if migration.name not in applied)


def migrate(warehouse: Warehouse, migrations: Sequence[Migration] | None = None) -> tuple[str, ...]:
    """Apply what is pending, and return the names. Safe to repeat, also after a crash half-way.

    Raises
    ------
    MigrationError
        See `pending_migrations`; then nothing was applied.
    WarehouseError
        The store refused a statement, or could not be reached.
    """
    pending = pending_migrations(warehouse, shipped_migrations() if migrations is None else migrations)
    if pending:
        warehouse.execute(CREATE_LEDGER)
    for migration in pending:
        for statement in migration.statements:
            warehouse.execute(statement)
        warehouse.insert_columns("schema_migrations", {"name": [migration.name], "checksum": [migration.checksum]})
    return tuple(migration.name for migration in pending)
