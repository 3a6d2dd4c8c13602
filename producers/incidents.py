"""Frauds under way in the simulated world: one row of `fraud_patterns` played on one victim."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import exp
from random import Random
from typing import Any

from producers.fraud_patterns import PATTERNS, Pattern
from producers.habits import payment, somebody
from producers.places import COUNTRIES, Country
from producers.population import Merchant, Population, Shopper, token
from schemas.transaction import Channel

USUAL_EUR = 30.0
"""What somebody who spends like others usually pays: the measure of a fraudster's amounts."""

TRIES = 50
"""How often a merchant or a victim that fits is looked for before any will do."""

_SHARES = list(accumulate(pattern.incidents for pattern in PATTERNS))
PAYMENTS_MEAN = sum(pattern.incidents * pattern.payments_mean for pattern in PATTERNS) / _SHARES[-1]
"""Payments in an incident, on average over all patterns."""


@dataclass(slots=True)
class Incident:
    """A pattern, what stays the same from payment to payment, whose device and country, and how many are left."""

    pattern: Pattern
    shopper: Shopper
    merchant: Merchant
    terminal: str | None
    country: Country
    device: str
    ip: str
    left: int


def begin(rng: Random, people: Population, at_ms: int) -> Incident:
    """Return an incident that begins now: its pattern drawn by share, its victim somebody who could be paying."""
    pattern = rng.choices(PATTERNS, cum_weights=_SHARES)[0]
    shopper = somebody(rng, people, at_ms)
    at_a_counter = pattern.stays == "terminal"
    choice = people.nearby(shopper.home) if at_a_counter else people.remote()
    merchant = _fitting(rng, choice, pattern.channel)
    return Incident(
        pattern=pattern,
        shopper=shopper,
        merchant=merchant,
        terminal=rng.choice(merchant.terminals) if at_a_counter and merchant.terminals else None,
        country=rng.choice(COUNTRIES),
        device=token(rng, "dev"),
        ip=token(rng, "ip"),
        left=rng.randint(*pattern.payments),
    )


def next_payment(rng: Random, people: Population, incident: Incident) -> dict[str, Any]:
    """Return the fields of an incident's next payment, all but its id and time, and count it off."""
    pattern, shopper, merchant = incident.pattern, incident.shopper, incident.merchant
    if pattern.stays == "card":
        merchant = _fitting(rng, people.remote(), pattern.channel)
    else:
        for _ in range(TRIES):
            shopper = rng.choice(people.shoppers)
            if shopper.home is merchant.country:
                break
    middle = USUAL_EUR * shopper.spends * pattern.amount_times if pattern.amount_eur is None else pattern.amount_eur
    fields = payment(shopper, merchant, middle * exp(rng.gauss(0.0, 0.4)))
    fields["channel"] = pattern.channel
    fields["entry_mode"] = pattern.entry_mode
    if incident.terminal:
        fields["terminal"] = incident.terminal
    if pattern.stranger:
        fields["device"] = incident.device
        fields["ip"] = incident.ip
        fields["ip_country"] = fields["shipping_country"] = incident.country.code
        fields["email"] = shopper.email
    incident.left -= 1
    return fields


def _fitting(rng: Random, merchants: Sequence[Merchant], channel: Channel) -> Merchant:
    merchant = rng.choice(merchants)
    for _ in range(TRIES):
        if merchant.trade.channel == channel:
            break
        merchant = rng.choice(merchants)
    return merchant
