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
    challenger: Identifier | None = Field(
        default=None, description="The challenger that it is a snapshot of; none where the learner cut it."
    )
    parent: Identifier | None = None
    training_offset: Annotated[int, Field(ge=0)] = Field(description="First offset that it has not learned.")
    rebuilt_at: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="Before this offset only what still stood then was learned."
    )
    records: Annotated[int, Field(ge=0)] = Field(description="Training records met, since the log began.")
    frauds: Annotated[int, Field(ge=0)] = Field(description="How many frauds of them were learned.")
    learned_to_ms: TimeMs | None = Field(default=None, description="Report time of the newest label learned.")
    feature_schema: str = Field(description="Hash of the inputs it takes and of how they are coded.")
    libraries: dict[str, str] = Field(description="Versions of the packages whose arithmetic it depends on.")
    code_version: str = Field(default="", description="Code that learned it; no part of what the version names.")
    state: dict[str, Any] = Field(description="Coefficients, optimiser state and the guard's accounts; never a pickle.")
    digest: str = Field(description="SHA-256, hex, over the JSON of all other fields.")

    @property
    def place(self) -> tuple[int, int]:
        """How far of the log it knows: of two models of one log the later has the larger."""
        return self.training_offset, self.rebuilt_at or 0


class PolicyRule(Message):
    """One hard rule: a named condition over a feature, and the action it asks for."""

    name: Identifier = Field(description="Stands in rule_hits and as the reason's code.")
    feature: str = Field(description="Whose value is compared; absent: the rule does not hold.")
    at_least: int | float = Field(description="Smallest value at which it holds.")
    action: Literal["approve", "step_up", "review", "block"] = Field(description="What it asks for.")
    text: Text = Field(description="What is told to people.")


class Threshold(Message):
    """What is done from a score on."""

    at_least_score: Annotated[int, Field(ge=0, le=1000)] = Field(description="Smallest score at which it holds.")
    action: Literal["step_up", "review", "block"] = Field(description="What is done from there on.")


class ScoreMap(Message):
    """How log-odds become a score of 0 to 1000, as in credit scoring: points to double the odds.

    600 stands for the probability at which acting starts to pay.
    """

    acting_pays_at_probability: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.05, description="Probability of fraud that has score 600."
    )
    points_to_double_the_odds: Annotated[float, Field(gt=0, le=400)] = Field(
        default=50.0, description="So many points more double the odds."
    )


class ModelNeeds(Message):
    """What a model must have learned before it may decide; until then rules decide alone."""

    records: Annotated[int, Field(ge=0)] = Field(default=500, description="Training records learned, at least.")
    frauds: Annotated[int, Field(ge=0)] = Field(default=30, description="How many of them were fraud, at least.")


class PolicyVersion(Message):
    """One whole policy document, immutable under its version."""

    version: Identifier
    author: Identifier
    note: Text = Field(default="", description="Why it was published.")
    rules: tuple[PolicyRule, ...] = Field(default=(), description="Hard rules: the most severe that holds is taken.")
    thresholds: tuple[Threshold, ...] = Field(default=(), description="What is done from which score on.")
    score_map: ScoreMap = Field(default=ScoreMap(), description="How log-odds become a score.")
    model_needs: ModelNeeds = Field(default=ModelNeeds(), description="When a model may decide.")


class RateTable(Message):
    """What one unit of the base currency buys, immutable under its version: amounts are compared in the base."""

    version: Identifier
    author: Identifier
    note: Text = Field(default="", description="Why it was published.")
    base: CurrencyCode = Field(description="Amounts in features are in it.")
    units_per_base: dict[CurrencyCode, Annotated[float, Field(gt=0, le=1e12)]] = Field(
        description="ISO 4217 code -> major units of it for one major unit of the base."
    )


class Progress(Message):
    """How far a worker's card tasks have come in event time, so that none runs far ahead on a backlog.

    Advisory: it orders work, and no result depends on it. Watermarks of one task only grow, so of several workers'
    words about a task the largest is right.
    """

    worker: Identifier = Field(description="Whose tasks these are.")
    watermarks_ms: dict[str, int] = Field(
        description="Task -> event time before which it writes nothing more, late events apart."
    )
    caught_up_at_ms: dict[str, int] = Field(description="Task -> wall clock when it last had nothing left to read.")
