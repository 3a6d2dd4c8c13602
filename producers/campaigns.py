"""Frauds under way in the simulated world: rows of `fraud_patterns`, each played on its victims until it is spent."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import accumulate
from math import exp
from random import Random
from typing import Any

from producers.fraud_patterns import PATTERNS, Pattern
from producers.habits import payment, somebody
from producers.places import COUNTRIES, Country
from producers.population import Merchant, Population, Shopper, skewed, token
from schemas.transaction import Channel

USUAL_EUR = 30.0
"""What somebody who spends like others usually pays: the measure of a fraudster's amounts."""

TRIES = 50
"""How often a merchant or a victim that fits is looked for before any will do."""

COPIES_MAX = 200
"""Cards that a compromised terminal remembers; the newest replace older ones."""

AT_THE_TERMINAL = 0.6
"""Share of a copied card's frauds at the terminal that copied it; the rest are at counters nearby."""

COPIED_HERE = 0.7
"""Share of a compromised terminal's victims who paid there within the world; the others did so before it began."""

BUSY_SKEW = 2.0
"""A terminal is worth copying cards at where many pay: the same skew as that of honest payments."""

_WEIGHTS = list(accumulate(pattern.share / pattern.payments_mean for pattern in PATTERNS))
CAMPAIGNS_PER_FRAUD = _WEIGHTS[-1]
"""How many campaigns begin for each fraud, in the long run: the shares of the patterns add up to one."""


@dataclass(slots=True)
class Campaign:
    """One run of a pattern: what stays the same from payment to payment, and how many are left.

    `copied` are the cards that its terminal has seen since it was tampered with.
    """

    pattern: Pattern
    victim: Shopper
    merchant: Merchant
    terminal: str | None
    country: Country
    device: str
    ip: str
    email: str
    left: int
    copied: list[Shopper] = field(default_factory=list)


class Campaigns:
    """All campaigns of a world, by the time of their next payment. Those of `start_ms` were under way before it.

    >>> from producers.population import populate
    >>> people = populate(seed=7, shoppers=20, merchants=20)
    >>> campaigns = Campaigns(Random(7), people, start_ms=1_522_540_800_000, frauds_per_s=2.0)
    >>> pattern, fields = campaigns.next_payment()
    >>> fields["channel"] == pattern.channel, campaigns.due_ms > 1_522_540_800_000
    (True, True)
    """

    def __init__(self, rng: Random, people: Population, start_ms: int, frauds_per_s: float) -> None:
        self._rng = rng
        self._people = people
        self._waiting: list[tuple[float, int, Campaign]] = []
        self._begun = 0
        self._tampered: dict[str, Campaign] = {}
        for pattern in PATTERNS:
            # Little's law: so many are under way at any time, each somewhere between its beginning and its end. More
            # than there are cards would only take time.
            under_way = min(frauds_per_s * pattern.share * pattern.gap_s, len(people.shoppers))
            for _ in range(_whole(rng, under_way)):
                self._add(pattern, start_ms, left=rng.randint(1, max(1, round(pattern.payments_mean))))

    @property
    def due_ms(self) -> float:
        """When the next fraud happens; never where none is under way."""
        return self._waiting[0][0] if self._waiting else float("inf")

    def begin(self, at_ms: float) -> None:
        """Begin a campaign, its pattern drawn so that each has its share of all frauds."""
        pattern = self._rng.choices(PATTERNS, cum_weights=_WEIGHTS)[0]
        self._add(pattern, at_ms, left=self._rng.randint(*pattern.payments))

    def next_payment(self) -> tuple[Pattern, dict[str, Any]]:
        """Take the payment that is due: the kind of fraud it is, and its fields but for id and time."""
        at_ms, order, campaign = heappop(self._waiting)
        rng, pattern = self._rng, campaign.pattern
        if rng.random() >= pattern.keeps_card:
            campaign.victim = self._another_victim(campaign, int(at_ms))
        merchant, terminal = self._where(campaign)
        fields = _fields(rng, campaign, merchant, terminal)
        campaign.left -= 1
        if campaign.left:
            heappush(self._waiting, (at_ms + rng.expovariate(1 / pattern.gap_s) * 1000, order, campaign))
        elif campaign.terminal and self._tampered.get(campaign.terminal) is campaign:
            del self._tampered[campaign.terminal]
        return pattern, fields

    def see(self, shopper: Shopper, terminal: str | None) -> None:
        """Let an honest payment pass: a terminal that was tampered with copies the card."""
        campaign = self._tampered.get(terminal) if terminal else None
        if campaign:
            if len(campaign.copied) < COPIES_MAX:
                campaign.copied.append(shopper)
            else:
                campaign.copied[self._rng.randrange(COPIES_MAX)] = shopper

    def _add(self, pattern: Pattern, at_ms: float, left: int) -> None:
        rng, people = self._rng, self._people
        victim = self._anybody() if pattern.stranger else somebody(rng, people, int(at_ms))
        at_a_counter = pattern.channel == "pos"
        choice = people.nearby(victim.home) if at_a_counter else people.remote()
        merchant = _fitting(rng, choice, pattern.channel, BUSY_SKEW if at_a_counter else 1.0)
        campaign = Campaign(
            pattern=pattern,
            victim=victim,
            merchant=merchant,
            terminal=rng.choice(merchant.terminals) if pattern.where == "terminal" and merchant.terminals else None,
            country=rng.choice(COUNTRIES),
            device=token(rng, "dev"),
            ip=token(rng, "ip"),
            email=token(rng, "eml"),
            left=left,
        )
        if campaign.terminal:
            self._tampered[campaign.terminal] = campaign
        self._begun += 1
        heappush(self._waiting, (at_ms + rng.expovariate(1 / pattern.gap_s) * 1000, self._begun, campaign))

    def _another_victim(self, campaign: Campaign, at_ms: int) -> Shopper:
        """Return whose card is next: one that the terminal copied, or else one of its country; elsewhere any."""
        if campaign.pattern.where != "terminal":
            return self._anybody()
        if campaign.copied and self._rng.random() < COPIED_HERE:
            return self._rng.choice(campaign.copied)
        for _ in range(TRIES):
            shopper = somebody(self._rng, self._people, at_ms)
            if shopper.home is campaign.merchant.country:
                break
        return shopper

    def _anybody(self) -> Shopper:
        return self._rng.choice(self._people.shoppers)

    def _where(self, campaign: Campaign) -> tuple[Merchant, str | None]:
        """Return the merchant of the next payment, and its terminal."""
        rng, pattern, merchant = self._rng, campaign.pattern, campaign.merchant
        elsewhere = pattern.where == "terminal" and rng.random() >= AT_THE_TERMINAL
        if pattern.where == "counters" or elsewhere:
            merchant = _fitting(rng, self._people.nearby(campaign.victim.home), pattern.channel)
        elif pattern.where == "own_shops":
            own = [shop for shop in campaign.victim.favourites if shop.trade.channel == pattern.channel]
            merchant = rng.choice(own) if own else merchant
        elif pattern.where == "shops":
            merchant = _fitting(rng, self._people.remote(), pattern.channel)
        if merchant is campaign.merchant and campaign.terminal:
            return merchant, campaign.terminal
        at_a_counter = pattern.channel == "pos" and merchant.terminals
        return merchant, rng.choice(merchant.terminals) if at_a_counter else None


def _fields(rng: Random, campaign: Campaign, merchant: Merchant, terminal: str | None) -> dict[str, Any]:
    pattern, victim = campaign.pattern, campaign.victim
    middle = pattern.amount_eur or USUAL_EUR * victim.spends * pattern.amount_times
    fields = payment(victim, merchant, middle * exp(rng.gauss(0.0, pattern.spread)))
    fields["channel"] = pattern.channel
    fields["entry_mode"] = rng.choice(pattern.entry_modes)
    if terminal:
        fields["terminal"] = terminal
    if pattern.stranger:
        fields["device"] = campaign.device
        fields["ip"] = campaign.ip
        fields["ip_country"] = (campaign.country if rng.random() < pattern.abroad else victim.home).code
        fields["shipping_country"] = (campaign.country if rng.random() < pattern.ships else victim.home).code
        fields["email"] = campaign.email if rng.random() < pattern.own_email else victim.email
    return fields


def _fitting(rng: Random, merchants: Sequence[Merchant], channel: Channel, skew: float = 1.0) -> Merchant:
    for _ in range(TRIES):
        merchant = merchants[skewed(rng, len(merchants), skew)]
        if merchant.trade.channel == channel:
            break
    return merchant


def _whole(rng: Random, expected: float) -> int:
    """Return a whole number with this mean: rounded up as often as it must be.

    >>> _whole(Random(1), 3.0)
    3
    """
    return int(expected + rng.random())
