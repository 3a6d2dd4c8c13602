"""`python -m deploy.catalogue`: write `schemas/catalogue.json` and `schemas/CATALOGUE.md` anew from the contracts."""

import json
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from consumers.migrations_to_clickhouse import migrate
from consumers.warehouse import open_warehouse
from deploy.catalogue.collect import catalogue
from deploy.catalogue.page import page
from schemas.settings import Settings
from streams.documents import shipped_policy

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"


def main() -> None:
    """Write both files."""
    with TemporaryDirectory() as folder, closing(open_warehouse(Settings(data_dir=Path(folder)))) as warehouse:
        migrate(warehouse)
        for name, text in written(catalogue(warehouse, shipped_policy())).items():
            (SCHEMAS / name).write_text(text, encoding="utf-8")


def written(found: dict[str, object]) -> dict[str, str]:
    """Return the catalogue's files by name."""
    return {
        "catalogue.json": json.dumps(found, ensure_ascii=False, indent=1) + "\n",
        "CATALOGUE.md": page(found),
    }


if __name__ == "__main__":
    main()
