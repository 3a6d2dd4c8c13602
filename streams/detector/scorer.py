"""A model as it decides: one weight a cell, and trees, made from a snapshot that was checked. It never learns.

Weights are multiples of 2**-32, so a score is the same in whatever order a machine adds.
"""

import hashlib
from collections.abc import Mapping
from math import exp, fsum, isfinite
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from schemas.codec import DecodeFailure, decode, encode
from schemas.learning import ModelNeeds, ModelVersion
from schemas.topics import MODELS
from streams.detector.encode import ENCODER, AnyCells, Cells, Encoder
from streams.detector.forest import Forest, fine, trees_of

WEIGHT_MAX = 50.0
"""No honest coefficient comes near: a snapshot with a larger one has exploded."""

PROBABILITY_DECIMALS = 9


class RefusedError(Exception):
    """A document must not be in force: it is not whole, not of this code, or not sane."""


class Scorer(NamedTuple):
    """A checked model. `weights` has one number a cell; what it never met weighs nothing.

    `share` is that of the trees in the log-odds: 0 as long as there are none.
    """

    version: str
    records: int
    frauds: int
    intercept: float
    weights: npt.NDArray[np.float64]
    share: float = 0.0
    forest: Forest | None = None

    def knows_enough(self, needs: ModelNeeds) -> bool:
        """Return whether the model has learned what the policy asks for before it may decide."""
        return self.records >= needs.records and self.frauds >= needs.frauds

    def log_odds(self, cells: AnyCells) -> float:
        """Return the log-odds of fraud of a payment with these cells, one of each feature."""
        at = np.asarray(cells, dtype=np.int64)
        return self._log_odds(at, self.forest.leaves(at) if self.forest else None)

    def explained(self, cells: AnyCells, encoder: Encoder = ENCODER) -> tuple[float, dict[str, float]]:
        """Return the log-odds, and what each feature added to them."""
        at = np.asarray(cells, dtype=np.int64)
        added, leaves = self.weights[at], None
        if self.forest is not None:
            leaves = self.forest.leaves(at)
            added = (1 - self.share) * added + self.share * self.forest.contributions(leaves)
        return self._log_odds(at, leaves), dict(zip(encoder.features, added.tolist(), strict=True))

    def _log_odds(self, cells: Cells, leaves: Cells | None) -> float:
        by_cells = self.intercept + float(np.add.reduce(self.weights[cells]))
        if self.forest is None or leaves is None:
            return by_cells
        return (1 - self.share) * by_cells + self.share * self.forest.log_odds(leaves)


def probability_of(log_odds: float) -> float:
    """Return the probability, rounded to nine decimals: the C library's `exp` is not the same on every machine.

    >>> probability_of(0.0), probability_of(-1e6), probability_of(1e6)
    (0.5, 0.0, 1.0)
    """
    if log_odds >= 0:
        return round(1 / (1 + exp(-min(log_odds, 700.0))), PROBABILITY_DECIMALS)
    odds = exp(max(log_odds, -700.0))
    return round(odds / (1 + odds), PROBABILITY_DECIMALS)


def digest_of(model: ModelVersion) -> str:
    """Return the SHA-256 over the JSON of all fields but the digest, hex."""
    return hashlib.sha256(encode(model.model_copy(update={"digest": ""}))).hexdigest()


def made_by(model: ModelVersion, code_version: str) -> ModelVersion:
    """Return a snapshot that names the code that learned it: its version, a hash of what was learned, stays."""
    named = model.model_copy(update={"code_version": code_version})
    return named.model_copy(update={"digest": digest_of(named)})


def model_of(value: bytes | None) -> ModelVersion:
    """Return the snapshot in a record of the models' topic: larger than any other message that is read.

    Raises
    ------
    RefusedError
        The bytes are no snapshot.
    """
    model = decode(ModelVersion, value, bytes_max=MODELS.value_bytes_max)
    if isinstance(model, DecodeFailure):
        raise RefusedError(model.detail)
    return model


def scorer_of(model: ModelVersion, encoder: Encoder = ENCODER) -> Scorer:
    """Return a published model ready to decide.

    Raises
    ------
    RefusedError
        The digest is wrong, the inputs are not those of this code, or a coefficient is missing, not finite or absurd.
    """
    if model.digest != digest_of(model):
        raise RefusedError(f"{model.version}: its digest is not that of its content")
    if model.feature_schema != encoder.schema:
        raise RefusedError(f"{model.version}: was made for other inputs ({model.feature_schema})")
    try:
        return scorer_from(model.state, model.version, model.records, model.frauds, encoder)
    except (AttributeError, LookupError, TypeError, ValueError, OverflowError) as error:
        raise RefusedError(f"{model.version}: its state cannot be read: {error}") from None


def scorer_from(state: Mapping[str, Any], version: str, records: int, frauds: int, encoder: Encoder) -> Scorer:
    """Return what the state of a snapshot says, ready to decide. Raises ValueError and its like where it says nothing.

    The weights of a cell and of the coarse one around it are one number here, as a payment always has both.
    """
    weights = [0.0] * encoder.size
    for part, weight in state["cells"]["weights"].items():
        if not 0 <= int(part) < encoder.size:
            raise ValueError(f"there is no cell {part}")
        weights[int(part)] = _sane(weight)
    intercept, share, leaves = _sane(state["cells"]["intercept"]), float(state["share_of_leaves"]), state["leaves"]
    if not 0 <= share <= 1:
        raise ValueError(f"a share of {share}")
    forest = None
    if leaves is not None:
        forest = Forest(_sane(leaves["intercept"]), trees_of(leaves["trees"], encoder.cells), encoder.owners)
    of_cells = np.array([fine(fsum(weights[part] for part in parts)) for parts in encoder.parts])
    return Scorer(version, records, frauds, fine(intercept), of_cells, share, forest)


def _sane(coefficient: float) -> float:
    if not isfinite(coefficient) or abs(coefficient) > WEIGHT_MAX:
        raise ValueError(f"a coefficient that is not finite, or over {WEIGHT_MAX:g}")
    return float(coefficient)
