"""MLflow is an extra: imported where it is used and nowhere else, and who has not got it is told what to install."""

from collections.abc import Iterator
from contextlib import contextmanager

PACKAGES = frozenset({"mlflow", "sqlalchemy", "alembic"})


class MlflowError(Exception):
    """MLflow is not installed, or refuses what it was asked for."""


@contextmanager
def with_mlflow(what: str) -> Iterator[None]:
    """Let a module that needs MLflow be imported. Raises MlflowError, which says how it is installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in PACKAGES:
            raise
        raise MlflowError(f"{what} needs MLflow: .venv/bin/python -m pip install '.[mlflow]'") from None
