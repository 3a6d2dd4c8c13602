"""What was said about a transaction: the public answer, and the full record behind it."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.fields import Action, CardToken, Features, Identifier, Message, Mode, Number, Positions, Text, TimeMs
from schemas.label import Label, VerdictChange
from schemas.transaction import Transaction

Score = Annotated[int, Field(ge=0, le=1000)]
Probability = Annotated[float, Field(ge=0, le=1)]


class Reason(Message):
    """Why: a stable code for machines, a sentence for people, and what it added to the score (log-odds), if known."""

    code: str = Field(description="Stable: a rule's name, a feature, or what failed.")
    text: Text = Field(description="A sentence for people.")
    contribution: float | None = Field(default=None, description="What it added to the log-odds, if known.")


class Profiled(Message):
    """A transaction with its card's features, or a label on its way to the merchant. The record's key is the merchant.

    Exactly one of `transaction` and `label` is given.
    """

    transaction: Transaction | None = Field(default=None, description="The payment, as it was sent.")
    label: Label | None = Field(default=None, description="What was said of a payment, as it was sent.")
    change: VerdictChange | None = Field(
        default=None, description="Given where the label changed the verdict that counts: others change nothing."
    )
    features: Features = Field(default_factory=dict, description="The card's features at this transaction.")
    late_ms: Annotated[int, Field(ge=0)] = Field(
        default=0, description="How far behind the newest event of its card this one was, in event time."
    )
    rates_version: str = Field(default="", description="The rate table its amounts were compared by.")
    mode: Literal["history"] | None = Field(
        default=None, description="Given where the transaction is history: remembered, and answered to nobody."
    )
    positions: Positions


class Prediction(Message):
    """Everything a decision was made from, enough to make it again.

    In mode `history` it is what would have been decided: nobody was answered.
    """

    transaction: Transaction = Field(description="The payment, as it was sent.")
    features: Features
    late_ms: Annotated[int, Field(ge=0)] = Field(
        default=0, description="How far behind the newest event of its merchant this one was, in event time."
    )
    positions: Positions = Field(description="Where every input this depended on had been read to.")
    model_version: str | None = Field(default=None, description="None when rules alone decided.")
    policy_version: str
    rates_version: str = Field(default="", description="The rate table that amounts were compared by.")
    code_version: str
    rule_hits: tuple[str, ...] = ()
    score: Score | None = Field(default=None, description="0 to 1000; 600 is where acting starts to pay.")
    probability: Probability | None = Field(default=None, description="Calibrated probability of fraud.")
    propensity: Probability = Field(default=1.0, description="Probability with which this action was drawn.")
    mode: Mode
    action: Action
    reasons: tuple[Reason, ...] = Field(default=(), description="Most important first.")


class Decision(Message):
    """The answer to one transaction. Read `fraud.decisions.v1` with isolation level `read_committed`.

    `invalid` answers a record that could not be accepted; then `card` is given only where it could be read.
    """

    transaction_id: Identifier
    card: CardToken | None = None
    action: Action
    mode: Mode
    score: Score | None = None
    probability: Probability | None = None
    reasons: tuple[Reason, ...] = Field(default=(), description="Most important first.")
    model_version: str | None = None
    policy_version: str
    event_time_ms: TimeMs | None = Field(default=None, description="The transaction's own time.")
    traceparent: str | None = None


class Duplicate(Message):
    """That a payment came again: the same card and id within 32 days. The answer to the first one holds."""

    transaction_id: Identifier
    card: CardToken
    event_time_ms: TimeMs = Field(description="The time that the repeat names.")
    traceparent: str | None = Field(default=None, description="Of the repeat.")
    positions: Positions = Field(description="Where the repeat lies, and where every other input had been read to.")


class ShadowScore(Message):
    """What a challenger said of a payment beside the champion. It is written at least once; the first one counts.

    A label at or behind `training_offset` was not learned yet when this was said: only then may the two be compared.
    """

    transaction_id: Identifier
    card: CardToken
    event_time_ms: TimeMs
    challenger: Identifier
    records: Annotated[int, Field(ge=0)] = Field(description="Training records that it had learned.")
    training_offset: Annotated[int, Field(ge=0)] = Field(description="First offset of that log it had not learned.")
    log_odds: Number
    probability: Probability
    score_us: Annotated[float, Field(ge=0)] = Field(description="What this score took, in microseconds.")
    learn_us: Annotated[float, Field(ge=0)] = Field(description="What a training record has taken it, in the mean.")
    champion_version: str | None = Field(default=None, description="The model that decided; none where rules did.")
