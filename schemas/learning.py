"""What learning and governing write: training records, model versions, policy versions, rates, progress."""

from typing import Annotated, Any, Literal

from pydantic import Field

from schemas.fields import (
    CardToken,
    CurrencyCode,
    Features,
    FraudVerdict,
    Identifier,
    MerchantToken,
    Message,
    Positions,
    Text,
    TimeMs,
)
from schemas.label import LabelSource


class TrainingRecord(Message):
    """One label joined to the features stored when the decision was made.

    Its identity is that of the label: (card, transaction_id, source, revision).
    """

    transaction_id: Identifier
    card: CardToken
    merchant: MerchantToken
    revision: Annotated[int, Field(ge=0)]
    source: LabelSource
    verdict: FraudVerdict = Field(description="The one that counted from this label on.")
    verdict_of: LabelSource | None = Field(
        default=None, description="Whose verdict it is, where the label's source only withdrew its own."
    )
    weight: Annotated[float, Field(gt=0)] = Field(description="How many examples this one stands for.")
    features: Features
    probability: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="What was predicted then, for prequential evaluation."
    )
    model_version: str | None = None
    occurred_at_ms: TimeMs
    reported_at_ms: TimeMs
    positions: Positions


class ModelVersion(Message):
    """A snapshot of a model, immutable under its version, with its place in the training log."""

    version: Identifier
    parent: Identifier | None = None
    training_offset: Annotated[int, Field(ge=0)] = Field(description="First offset that it has not learned.")
    records: Annotated[int, Field(ge=0)] = Field(description="Training records met, since the log began.")
    frauds: Annotated[int, Field(ge=0)] = Field(description="How many frauds of them were learned.")
    learned_to_ms: TimeMs | None = Field(default=None, description="Report time of the newest label learned.")
    feature_schema: str = Field(description="Hash of the inputs it takes and of how they are coded.")
    libraries: dict[str, str] = Field(description="Versions of the packages whose arithmetic it depends on.")
    code_version: str = Field(default="", description="Code that learned it; no part of what the version names.")
    state: dict[str, Any] = Field(description="Coefficients, optimiser state and the guard's accounts; never a pickle.")
    digest: str = Field(description="SHA-256, hex, over the JSON of all other fields.")


class PolicyRule(Message):
    """One hard rule: a named condition over a feature, and the action it asks for."""

    name: Identifier
    feature: str
    at_least: int | float
    action: Literal["approve", "step_up", "review", "block"]
    text: Text


class Threshold(Message):
    """What is done from a score on."""

    at_least_score: Annotated[int, Field(ge=0, le=1000)]
    action: Literal["step_up", "review", "block"]


class ScoreMap(Message):
    """How log-odds become a score of 0 to 1000, as in credit scoring: points to double the odds.

    600 stands for the probability at which acting starts to pay.
    """

    acting_pays_at_probability: Annotated[float, Field(gt=0, lt=1)] = 0.05
    points_to_double_the_odds: Annotated[float, Field(gt=0, le=400)] = 50.0


class ModelNeeds(Message):
    """What a model must have learned before it may decide; until then rules decide alone."""

    records: Annotated[int, Field(ge=0)] = 500
    frauds: Annotated[int, Field(ge=0)] = 30


class PolicyVersion(Message):
    """One whole policy document, immutable under its version."""

    version: Identifier
    author: Identifier
    note: Text = ""
    rules: tuple[PolicyRule, ...] = ()
    thresholds: tuple[Threshold, ...] = ()
    score_map: ScoreMap = ScoreMap()
    model_needs: ModelNeeds = ModelNeeds()


class RateTable(Message):
    """What one unit of the base currency buys, immutable under its version: amounts are compared in the base."""

    version: Identifier
    author: Identifier
    note: Text = ""
    base: CurrencyCode
    units_per_base: dict[CurrencyCode, Annotated[float, Field(gt=0, le=1e12)]] = Field(
        description="ISO 4217 code -> major units of it for one major unit of the base."
    )


class Progress(Message):
    """How far a worker's card tasks have come in event time, so that none runs far ahead on a backlog.

    Advisory: it orders work, and no result depends on it. Watermarks of one task only grow, so of several workers'
    words about a task the largest is right.
    """

    worker: Identifier
    watermarks_ms: dict[str, int] = Field(
        description="Task -> event time before which it writes nothing more, late events apart."
    )
    caught_up_at_ms: dict[str, int] = Field(description="Task -> wall clock when it last had nothing left to read.")
