"""A snapshot as MLflow loads it: rows of features to what the detector would say of them.

`streams/models/mlflow_model.py` writes the directory; MLflow calls `_load_pyfunc`. The record's signature is checked
before a byte of the snapshot is parsed, by the public keys of `FRAUD_TRUSTED_KEYS_DIR`, and what scores then is the
detector's own code. Nothing is unpickled.
"""

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import pandas as pd

from schemas.codec import DecodeFailure, decode, encode
from schemas.exported import Sealed
from schemas.key_files import trusted_of
from schemas.learning import ScoreMap
from schemas.settings import Settings
from schemas.topics import MODELS
from streams.detector.admission import Admission, NotAdmittedError, moment_of
from streams.detector.encode import ENCODER
from streams.detector.explain import reasons_of
from streams.detector.policy import score_of
from streams.detector.scorer import Scorer, probability_of
from streams.detector.stage import Record

SNAPSHOT, SEALED = "snapshot.json", "sealed.json"
"""The record's value as it was signed, and the rest of the record."""


class Scoring:
    """A model that was checked, as MLflow calls it."""

    def __init__(self, scorer: Scorer, score_map: ScoreMap) -> None:
        self._scorer = scorer
        self._score_map = score_map

    def predict(self, model_input: pd.DataFrame, params: Mapping[str, Any] | None = None) -> pd.DataFrame:  # noqa: ARG002
        """Return log-odds, probability, score and reasons of each row.

        A feature that has no column, or no finite number in a row, is not known of that payment. Other columns are not
        looked at.
        """
        names = [name for name in ENCODER.features if name in model_input.columns]
        rows = model_input[names].astype("float64").to_numpy().tolist()
        said = [self._said({name: value for name, value in zip(names, row, strict=True) if isfinite(value)})
                for row in rows]  # fmt: skip
        return pd.DataFrame(said, index=model_input.index, columns=["log_odds", "probability", "score", "reasons"])

    def _said(self, features: dict[str, float]) -> tuple[float, float, int, list[dict[str, Any]]]:
        log_odds, contributions = self._scorer.explained(ENCODER.encode(features))
        reasons = [reason.model_dump() for reason in reasons_of(contributions, features)]
        return log_odds, probability_of(log_odds), score_of(log_odds, self._score_map), reasons


def _load_pyfunc(data_path: str, model_config: Mapping[str, Any]) -> Scoring:
    """Return the model in a folder. `model_config` is a policy's score map.

    Raises
    ------
    KeyFileError
        No key is named that could be trusted.
    NotAdmittedError
        The snapshot is not signed by a learner that is trusted, or is not sane, or is of another code.
    """
    admission = Admission(trusted_of(Settings()))
    return Scoring(admission.snapshot(_record(Path(data_path))).scorer, ScoreMap.model_validate(dict(model_config)))


def _record(folder: Path) -> Record:
    """Return the record that was exported, whoever wrote it."""
    sealed = decode(Sealed, (folder / SEALED).read_bytes())
    if isinstance(sealed, DecodeFailure):
        raise NotAdmittedError("unsigned", f"{SEALED}: {sealed.detail}")
    headers = tuple((name, bytes.fromhex(value)) for name, value in sealed.headers.items())
    value = (folder / SNAPSHOT).read_bytes()
    return Record(MODELS.name, 0, sealed.offset, sealed.written_at_ms, sealed.version.encode(), value, headers)


def seal(record: Record, folder: Path) -> None:
    """Write a record of the models' topic that was admitted into a folder, as `_load_pyfunc` reads it."""
    headers = {name: (value or b"").hex() for name, value in record.headers}
    version = (record.key or b"").decode()
    sealed = Sealed(version=version, offset=record.offset, written_at_ms=moment_of(record), headers=headers)
    (folder / SNAPSHOT).write_bytes(record.value or b"")
    (folder / SEALED).write_bytes(encode(sealed))
