"""A model as it decides: one weight a cell, made from a snapshot that was checked. It never learns."""

import hashlib
from collections.abc import Sequence
from math import exp, fsum, isfinite
from typing import Any, NamedTuple

from schemas.codec import DecodeFailure, decode, encode
from schemas.learning import ModelNeeds, ModelVersion
from schemas.topics import MODELS
from streams.detector.encode import ENCODER, Encoder

WEIGHT_MAX = 50.0
"""No honest coefficient comes near: a snapshot with a larger one has exploded."""

PROBABILITY_DECIMALS = 9


class RefusedError(Exception):
    """A document must not be in force: it is not whole, not of this code, or not sane."""


class Scorer(NamedTuple):
    """A checked model. `weights` has one number a cell; what it never met weighs nothing."""

    version: str
    records: int
    frauds: int
    intercept: float
    weights: list[float]

    def knows_enough(self, needs: ModelNeeds) -> bool:
        """Return whether the model has learned what the policy asks for before it may decide."""
        return self.records >= needs.records and self.frauds >= needs.frauds

    def log_odds(self, cells: Sequence[int]) -> float:
        """Return the log-odds of fraud of a payment with these cells."""
        return self.intercept + fsum(map(self.weights.__getitem__, cells))

    def contributions(self, cells: Sequence[int], encoder: Encoder = ENCODER) -> dict[str, float]:
        """Return what each feature added to the log-odds; of a pair each half is given half."""
        added = [0.0] * len(encoder.features)
        weights, halves = self.weights, encoder.halves
        for cell in cells:
            half = weights[cell] / 2
            one, other = halves[cell]
            added[one] += half
            added[other] += half
        return dict(zip(encoder.features, added, strict=True))


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
    """Return a published model ready to decide: the mean of its learners.

    Raises
    ------
    RefusedError
        The digest is wrong, the inputs are not those of this code, or a coefficient is missing, not finite or absurd.
    """
    if model.digest != digest_of(model):
        raise RefusedError(f"{model.version}: its digest is not that of its content")
    if model.feature_schema != encoder.schema:
        raise RefusedError(f"{model.version}: was made for other inputs ({model.feature_schema})")
    learners: dict[str, Any] = model.state.get("learners", {})
    if not learners or not isinstance(learners, dict):
        raise RefusedError(f"{model.version}: has no learners")
    weights = [0.0] * encoder.size
    intercept = 0.0
    try:
        for learner in learners.values():
            intercept += learner["intercept"] / len(learners)
            cells = [*map(int, learner["weights"])]
            if min(cells, default=0) < 0:
                raise IndexError(f"there is no cell {min(cells)}")
            for cell, weight in zip(cells, learner["weights"].values(), strict=True):
                weights[cell] += weight / len(learners)
    except (AttributeError, LookupError, TypeError, ValueError, OverflowError) as error:
        raise RefusedError(f"{model.version}: its state cannot be read: {error}") from None
    if not all(map(isfinite, (*weights, intercept))) or max(map(abs, (*weights, intercept))) > WEIGHT_MAX:
        raise RefusedError(f"{model.version}: has a coefficient that is not finite, or over {WEIGHT_MAX:g}")
    return Scorer(model.version, model.records, model.frauds, intercept, weights)
