"""Reasons a person can read: what added most to the score, in sentences."""

from schemas.decision import Reason
from schemas.fields import Features

REASONS_MAX = 3
CONTRIBUTION_MIN = 0.2
"""In log-odds; what adds less explains nothing."""

MISSING = "not known"

SENTENCES: dict[str, str] = {
    "payment_amount_minor": "an amount of {0:,.2f} in the base currency",
    "payment_hour": "made at {0:.0f} o'clock, local time",
    "payment_channel": "the channel",
    "payment_entry_mode": "how the card was read",
    "payment_trade": "the merchant's trade ({0:02.0f}xx)",
    "payment_merchant_abroad": "merchant and issuer in different countries: {0:.0f}",
    "payment_ip_abroad": "IP address and issuer in different countries: {0:.0f}",
    "payment_shipped_abroad": "goods sent to another country: {0:.0f}",
    "card_count_1h": "{0:.0f} payments of the card within an hour",
    "card_amount_minor_24h": "{0:,.2f} paid by the card within a day",
    "card_pace": "{0:.1f} times as many payments of the card as in a usual hour",
    "card_known_frauds_7d": "{0:.0f} known frauds of the card in 7 days",
    "card_known_frauds_30d": "{0:.0f} known frauds of the card in 30 days",
    "card_amount_mean_30d": "the card usually pays {0:,.2f}",
    "card_amount_times_cleared": "{0:.1f} times the card's payments known to be honest",
    "card_amount_deviations": "{0:.1f} standard deviations over the card's mean",
    "card_amount_rank": "more than {0:.0%} of the card's last payments",
    "card_seconds_since_last": "{0:,.0f} seconds after the card's last payment",
    "card_merchant_is_new": "first payment at this merchant: {0:.0f}",
    "card_device_is_new": "a device not seen with this card: {0:.0f}",
    "merchant_labelled_fraud_share_1d": "{0:.0%} of what became known of the merchant's payments in days is fraud",
    "merchant_labelled_fraud_share_7d": "{0:.0%} of what became known of the merchant's payments in weeks is fraud",
    "merchant_labelled_fraud_share_30d": "{0:.0%} of what became known of the merchant's payments in months is fraud",
    "merchant_fraud_rate_7d": "{0:.1%} known frauds among the merchant's payments of the last weeks",
    "merchant_amount_times_mean_30d": "{0:.1f} times what is usually paid at the merchant",
    "merchant_pace": "{0:.1f} times as many payments at the merchant as in a usual hour",
}
_IN_MINOR_UNITS = frozenset({"payment_amount_minor", "card_amount_minor_24h", "card_amount_mean_30d"})


def reasons_of(contributions: dict[str, float], features: Features) -> tuple[Reason, ...]:
    """Return what added most to the log-odds, most first, at most three.

    >>> reasons_of({"card_count_1h": 1.51, "payment_hour": 0.1}, {"card_count_1h": 12})
    (Reason(code='card_count_1h', text='12 payments of the card within an hour', contribution=1.51),)
    """
    explaining = sorted((-added, feature) for feature, added in contributions.items() if added >= CONTRIBUTION_MIN)
    return tuple(
        Reason.of_valid(code=feature, text=sentence(feature, features), contribution=round(-minus, 4))
        for minus, feature in explaining[:REASONS_MAX]
    )


def sentence(feature: str, features: Features) -> str:
    """Return what a feature's value means, in words."""
    value = features.get(feature)
    if value is None:
        return f"{feature.replace('_', ' ')}: {MISSING}"
    return SENTENCES[feature].format(value / 100 if feature in _IN_MINOR_UNITS else value)
