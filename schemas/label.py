"""The truth about one transaction, as it arrives days later, and what became of the payment."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.fields import (
    AmountMinor,
    CardToken,
    CurrencyCode,
    FraudVerdict,
    Identifier,
    MerchantToken,
    Message,
    Text,
    TimeMs,
    Verdict,
)

LabelSource = Literal["chargeback", "issuer_report", "analyst", "customer", "assumed_legitimate"]
SOURCES_BY_RANK: tuple[LabelSource, ...] = ("chargeback", "issuer_report", "analyst", "customer", "assumed_legitimate")
"""Who is believed over whom, first who is believed most: who bears the loss, who investigated, who says so, nobody."""

REVISION_MAX = 1_000
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


_OF_NO_FRAUD = re.compile(
    r"(?:visa|mastercard|amex)?\s*(?:1[23]\.\d{1,2}(?:\.\d)?|48(?:31|34|41|42|46|50|53|54|55|59|60)|[CP]\d\d)",
    re.IGNORECASE,
)
"""Reasons of disputes over goods and of mistakes: Visa's conditions 12 (processing errors) and 13 (consumer disputes),
where 10 is fraud; Mastercard's message reasons such as 4853 (cardholder dispute), where 4837, 4840, 4849, 4863, 4870
and 4871 are fraud; American Express's C and P, where F is fraud. What is about authorisation (Visa 11, Mastercard 4808)
may have been fraud or not."""


def is_of_no_fraud(reason_code: str) -> bool:
    """Return whether a scheme's reason says that a dispute is about something else than fraud.

    >>> [is_of_no_fraud(code) for code in ("13.1", "Visa 10.4", "Mastercard 4853", "4837", "Amex C08", "F29", "other")]
    [True, False, True, False, True, False, False]
    """
    return _OF_NO_FRAUD.fullmatch(reason_code.strip()) is not None


class Label(Message):
    """What one source says a transaction was. Its identity is (card, transaction_id, source, revision).

    Each source has its own sequence of revisions for a payment, and a later one replaces what that source said before:
    a dispute that the shop wins is a revision of the chargeback with verdict `legitimate`. `withdrawn` takes back what
    the source said. `service_dispute` is a quarrel about the goods: the cardholder did pay, so it is no fraud, and it
    proves no honesty either. The verdict that counts is in `streams/detector/ledger.py`. The record's key is the card.
    """

    transaction_id: Identifier
    card: CardToken
    merchant: MerchantToken
    revision: Annotated[int, Field(ge=0, le=REVISION_MAX)] = 0
    verdict: Verdict
    source: LabelSource
    occurred_at_ms: TimeMs = Field(description="When the payment was attempted.")
    reported_at_ms: TimeMs = Field(description="When this became known; it counts for no earlier transaction.")
    fraud_type: FraudType | None = None
    reason_code: Text | None = Field(default=None, description="The scheme's own code, such as Visa 10.4.")
    amount_minor: AmountMinor | None = Field(default=None, description="Disputed amount, when not the whole.")
    currency: CurrencyCode | None = None

    @model_validator(mode="after")
    def _fraud_is_not_about_the_goods(self) -> Self:
        if self.verdict == "fraud" and self.reason_code and is_of_no_fraud(self.reason_code):
            raise ValueError("the reason code is not one of fraud: send verdict service_dispute")
        return self

    @property
    def verdict_source(self) -> LabelSource:
        """Whose verdict it is."""
        return self.source


class VerdictChange(Message):
    """That a label changed the verdict that counts for its payment."""

    verdict: FraudVerdict | None = Field(default=None, description="Counts from now on; None: nobody says either.")
    verdict_of: LabelSource | None = Field(
        default=None, description="Whose verdict it is, where the label's source only withdrew its own."
    )
    before: FraudVerdict | None = Field(default=None, description="Counted until now.")
    before_since_ms: TimeMs | None = Field(default=None, description="When that one had become known.")


class EffectiveLabel(Label):
    """A label that changed the verdict that counts, with that verdict: it waits to be learned."""

    verdict: FraudVerdict
    verdict_of: LabelSource | None = Field(
        default=None, description="Whose verdict it is, where the label's source only withdrew its own."
    )

    @property
    def verdict_source(self) -> LabelSource:
        """Whose verdict it is."""
        return self.verdict_of or self.source


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
