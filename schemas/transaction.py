"""A payment attempt, as the gateway publishes it."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from schemas.fields import (
    AmountMinor,
    CardToken,
    Country,
    CurrencyCode,
    CustomerToken,
    DeviceToken,
    EmailToken,
    Identifier,
    IpToken,
    MerchantToken,
    Message,
    TerminalToken,
    TimeMs,
)

Channel = Literal["pos", "ecommerce", "moto", "atm", "recurring", "unknown"]
EntryMode = Literal["chip", "contactless", "magstripe", "manual", "credential_on_file", "unknown"]


class Transaction(Message):
    """One attempt to pay. Its identity is (card, transaction_id); ISO 8583 elements are named in the descriptions.

    >>> payment = Transaction(transaction_id="tx-1", card="card_a", merchant="mer_b", amount_minor=1999,
    ...                       currency="EUR", event_time_ms=1_522_540_800_000)
    >>> payment.amount_minor, payment.channel
    (1999, 'unknown')
    """

    transaction_id: Identifier
    card: CardToken = Field(description="Stands for the card number (DE 2). The record's key.")
    merchant: MerchantToken = Field(description="Token of the merchant (DE 42).")
    amount_minor: AmountMinor = Field(description="Amount in minor units of the currency (DE 4).")
    currency: CurrencyCode = Field(description="ISO 4217 alphabetic code (DE 49).")
    event_time_ms: TimeMs = Field(description="When the payment was attempted (DE 7).")
    customer: CustomerToken | None = None
    terminal: TerminalToken | None = Field(default=None, description="Point of sale of the merchant (DE 41).")
    utc_offset_minutes: Annotated[int, Field(ge=-840, le=840)] | None = Field(
        default=None, description="Local time of the payment minus UTC."
    )
    mcc: Annotated[str, StringConstraints(pattern=r"^\d{4}$")] | None = Field(
        default=None, description="Merchant category code, ISO 18245 (DE 18)."
    )
    channel: Channel = "unknown"
    entry_mode: EntryMode = Field(default="unknown", description="How the card was read (DE 22).")
    bin: Annotated[str, StringConstraints(pattern=r"^\d{6,8}$")] | None = Field(
        default=None, description="Issuer identification number: the first 6 to 8 digits, never more."
    )
    issuer_country: Country | None = None
    merchant_country: Country | None = None
    ip_country: Country | None = None
    shipping_country: Country | None = None
    device: DeviceToken | None = None
    ip: IpToken | None = None
    email: EmailToken | None = None
    traceparent: (
        Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")] | None
    ) = Field(default=None, description="W3C trace context, copied to the decision.")
