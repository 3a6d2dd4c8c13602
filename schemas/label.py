"""The truth about one transaction, as it arrives days later, and what became of the payment."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.fields import (
    AmountMinor,
    CardToken,
    CurrencyCode,
    Identifier,
    MerchantToken,
    Message,
    Text,
    TimeMs,
    Verdict,
)

LabelSource = Literal["chargeback", "issuer_report", "analyst", "customer", "assumed_legitimate"]
FraudType = Literal[
    "lost_or_stolen",
    "card_not_present",
    "counterfeit",
    "account_takeover",
    "card_testing",
    "compromised_terminal",
    "friendly_fraud",
    "other",
]
OutcomeKind = Literal[
    "authorised", "declined_by_issuer", "captured", "refunded", "reversed", "step_up_passed", "step_up_failed"
]


class Label(Message):
    """What somebody says a transaction was. A later revision replaces an earlier one of the same transaction.

    Its identity is (card, transaction_id, revision). The record's key is the card.
    """

    transaction_id: Identifier
    card: CardToken
    merchant: MerchantToken
    revision: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    verdict: Verdict
    source: LabelSource
    occurred_at_ms: TimeMs = Field(description="When the payment was attempted.")
    reported_at_ms: TimeMs = Field(description="When this became known; it counts for no earlier transaction.")
    fraud_type: FraudType | None = None
    reason_code: Text | None = Field(default=None, description="The scheme's own code, such as Visa 10.4.")
    amount_minor: AmountMinor | None = Field(default=None, description="Disputed amount, when not the whole.")
    currency: CurrencyCode | None = None


class Outcome(Message):
    """What became of a payment after our decision. The record's key is the card."""

    transaction_id: Identifier
    card: CardToken
    merchant: MerchantToken
    kind: OutcomeKind
    occurred_at_ms: TimeMs
    amount_minor: AmountMinor | None = Field(default=None, description="Of a partial capture or refund.")
    currency: CurrencyCode | None = None
    response_code: Text | None = Field(default=None, description="The issuer's answer (DE 39).")
