"""A snapshot as an MLflow model directory: the signed record, the code that scores, and how it came about."""

from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import mlflow.pyfunc
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import Array, Object, Property

import schemas
import streams
from schemas.learning import ModelVersion, PolicyVersion
from schemas.topics import TRAINING
from streams.code_version import code_version
from streams.detector.encode import INPUTS
from streams.detector.stage import Record
from streams.models import pyfunc
from streams.models.extra import MlflowError

PACKAGES = ("cryptography", "iso4217", "mlflow-skinny", "numpy", "pandas", "pydantic", "pydantic-settings")
"""What the code that scores needs, each in the version that is here."""
REASON = Object([Property("code", DataType.string), Property("text", DataType.string),
                 Property("contribution", DataType.double)])  # fmt: skip
SIGNATURE = ModelSignature(
    Schema([ColSpec(DataType.double, each.feature, required=False) for each in INPUTS]),
    Schema(
        [
            ColSpec(DataType.double, "log_odds"),
            ColSpec(DataType.double, "probability"),
            ColSpec(DataType.long, "score"),
            ColSpec(Array(REASON), "reasons"),
        ]
    ),
)


class Origin(NamedTuple):
    """Where a snapshot comes from, beside what it says of itself."""

    record: Record
    signed_by: str
    policy: PolicyVersion


def write(path: Path, model: ModelVersion, origin: Origin) -> None:
    """Write a snapshot that was admitted as an MLflow model into a folder that is empty or not there.

    Raises
    ------
    MlflowError
        MLflow refuses: there is something already.
    """
    with TemporaryDirectory() as folder:
        staged = Path(folder) / "snapshot"
        staged.mkdir()
        pyfunc.seal(origin.record, staged)
        try:
            mlflow.pyfunc.save_model(
                path=str(path),
                loader_module=pyfunc.__name__,
                data_path=str(staged),
                code_paths=[str(Path(package.__path__[0])) for package in (schemas, streams)],
                signature=SIGNATURE,
                input_example=_example(),
                pip_requirements=[f"{name}=={version(name)}" for name in PACKAGES],
                metadata=lineage_of(model, origin),
                model_config=origin.policy.score_map.model_dump(),
            )
        except MlflowException as error:
            raise MlflowError(error.message) from None


def lineage_of(model: ModelVersion, origin: Origin) -> dict[str, Any]:
    """Return what a snapshot was made of, by what, and whose it is; what is not known of it is left out."""
    told = {
        **model.model_dump(exclude={"state"}),
        "training_log": f"{TRAINING.name}:0:0-{model.training_offset - 1}" if model.training_offset else None,
        "model_offset": origin.record.offset,
        "signed_by": origin.signed_by,
        "policy_version": origin.policy.version,
        "exported_by_code_version": code_version(),
    }
    return {name: value for name, value in told.items() if value is not None and value != ""}


def _example() -> pd.DataFrame:
    """Return a payment in the middle of each feature's grid, and one of which nothing is known but the amount."""
    middle = {each.feature: float(each.grid.fine[len(each.grid.fine) // 2]) for each in INPUTS}
    return pd.DataFrame([middle, {"payment_amount_minor": 1999.0}], columns=[each.feature for each in INPUTS])
