"""What people do every day in the simulated world: who pays now, where, how much and by what means."""

from math import exp
from random import Random
from typing import Any

from producers.places import COUNTRIES, HOURS
from producers.population import Merchant, Population, Shopper, skewed, token
from schemas.fields import HOUR_MS

FAVOURITE = 0.8
"""Share of payments at one of the shopper's favourite merchants."""

ABROAD = 0.01
"""Share of payments made while travelling."""

OTHER_DEVICE = 0.03
"""Share of remote payments that an honest shopper makes from a device or address not seen before, half of them away."""

MAGSTRIPE = 0.02
"""Share of payments at a counter where the chip does not work."""

GIFT = 0.02
"""Share of online orders sent to another country."""

OTHER_EMAIL = 0.03
"""Share of online orders for which an honest shopper gives an address not seen before."""

SHOPPER_SKEW, MERCHANT_SKEW = 1.5, 2.0

_MEAN = sum(HOURS) / len(HOURS) * sum(country.share for country in COUNTRIES)
_CROWDS = tuple(
    sum(country.share * HOURS[(hour + country.utc_offset_minutes // 60) % 24] for country in COUNTRIES) / _MEAN
    for hour in range(24)
)


def crowd(at_ms: int) -> float:
    """Return how many people pay at this hour, as a multiple of the mean over the day.

    >>> noon, night = 1_522_580_400_000, 1_522_544_400_000
    >>> round(crowd(noon), 2), round(crowd(night), 2)
    (1.76, 0.23)
    """
    hour = at_ms // HOUR_MS % 24
    return _CROWDS[hour]


def somebody(rng: Random, people: Population, at_ms: int) -> Shopper:
    """Return a shopper who is up: drawn again while the hour at home says no."""
    shoppers = people.shoppers
    while True:
        shopper = shoppers[skewed(rng, len(shoppers), SHOPPER_SKEW)]
        if rng.random() < HOURS[(at_ms + shopper.home.utc_offset_minutes * 60_000) // HOUR_MS % 24]:
            return shopper


def habit(rng: Random, people: Population, at_ms: int) -> tuple[Shopper, dict[str, Any]]:
    """Return who pays honestly now, and the payment's fields but for id and time."""
    shopper = somebody(rng, people, at_ms)
    drawn = rng.random()
    if drawn < FAVOURITE:
        merchant = rng.choice(shopper.favourites)
    else:
        there = rng.choice(COUNTRIES) if drawn > 1 - ABROAD else shopper.home
        choice = people.nearby(there) if rng.random() < 0.5 else people.remote()
        merchant = choice[skewed(rng, len(choice), MERCHANT_SKEW)]
    channel = merchant.trade.channel
    fields = payment(shopper, merchant, merchant.trade.median_eur * shopper.spends * exp(rng.gauss(0.0, 0.5)))
    fields["channel"] = channel
    if merchant.terminals:
        fields["terminal"] = rng.choice(merchant.terminals)
        fields["entry_mode"] = "chip"
        if channel == "pos":
            tapped = rng.random() < shopper.contactless
            fields["entry_mode"] = "magstripe" if rng.random() < MAGSTRIPE else "contactless" if tapped else "chip"
    elif channel == "ecommerce":
        other = rng.random() < OTHER_DEVICE
        away = other and rng.random() < 0.5
        fields["entry_mode"] = "credential_on_file" if rng.random() < 0.5 else "manual"
        fields["device"] = token(rng, "dev") if other else shopper.device
        fields["ip"] = token(rng, "ip") if other else shopper.ip
        fields["ip_country"] = rng.choice(COUNTRIES).code if away else shopper.home.code
        fields["shipping_country"] = rng.choice(COUNTRIES).code if rng.random() < GIFT else shopper.home.code
        fields["email"] = token(rng, "eml") if rng.random() < OTHER_EMAIL else shopper.email
    else:
        fields["entry_mode"] = "credential_on_file" if channel == "recurring" else "manual"
    return shopper, fields


def payment(shopper: Shopper, merchant: Merchant, amount_eur: float) -> dict[str, Any]:
    """Return the fields that every payment has; whoever pays from afar pays at his own hour."""
    there = merchant.country
    clock = there if merchant.terminals else shopper.home
    return {
        "card": shopper.card,
        "customer": shopper.customer,
        "merchant": merchant.token,
        "amount_minor": max(1, round(amount_eur * there.minor_per_eur)),
        "currency": there.currency,
        "utc_offset_minutes": clock.utc_offset_minutes,
        "mcc": merchant.trade.mcc,
        "bin": shopper.bin,
        "issuer_country": shopper.home.code,
        "merchant_country": there.code,
    }
