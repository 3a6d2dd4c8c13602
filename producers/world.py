"""A world of shoppers and fraudsters, endless and in order of time, as cases: each payment with its truth.

Payments are a Poisson process of a given rate; who pays depends on the hour where he or she lives. A card has
habits: an amount, favourite merchants, a country, a device. Campaigns of `fraud_patterns` are mixed in at their times;
some of them began before the world does. The same arguments give the same bytes; another start gives the same people a
different day.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from producers.aftermath import Aftermath, Reporting
from producers.campaigns import CAMPAIGNS_PER_FRAUD, Campaigns
from producers.fraud_patterns import PATTERNS, Pattern
from producers.habits import crowd, habit
from producers.population import populate
from schemas.recordings.stream import Case, Truth
from schemas.transaction import Transaction

HONEST = Truth(fraud=False)
FRAUDS = {pattern.name: Truth(fraud=True, campaign=pattern.name) for pattern in PATTERNS}


@dataclass(frozen=True, slots=True)
class World:
    """What a world is made from. `rate` is transactions per second of event time, fraud included.

    `fraud_rate` is the share of fraud in the long run, whatever becomes of it; `reporting` is what is said of it.
    With `daily_rhythm` the rate follows the hours of the day and `rate` is its mean; without, it is the same at night.
    """

    seed: int
    start_ms: int
    rate: float
    shoppers: int = 10_000
    merchants: int = 2_000
    fraud_rate: float = 0.01
    reporting: Reporting = field(default_factory=Reporting)
    daily_rhythm: bool = False

    def __post_init__(self) -> None:
        """Refuse a world that cannot be.

        Raises
        ------
        ValueError
            A number out of its range.
        """
        ranges = {
            "seed": 0 <= self.seed < 2**32,
            "rate": 0 < self.rate <= 1_000_000,
            "shoppers": 1 <= self.shoppers <= 10_000_000,
            "merchants": 1 <= self.merchants <= 10_000_000,
            "fraud_rate": 0 <= self.fraud_rate <= 0.5,
        }
        wrong = [name for name, within in ranges.items() if not within] + self.reporting.wrong()
        if wrong:
            raise ValueError(f"{', '.join(wrong)}: out of range")


def cases(world: World) -> Iterator[Case]:
    """Give the world's payments with their truth, what becomes of each and what will be said of it, for ever.

    >>> from itertools import islice
    >>> world = World(seed=7, start_ms=1_522_540_800_000, rate=50, shoppers=20, merchants=20)
    >>> first = list(islice(cases(world), 100))
    >>> first == list(islice(cases(world), 100)), first[0].transaction.transaction_id
    (True, 'tx-7-1627e80e800-0')
    """
    name = f"{world.seed}:{world.start_ms}"
    rng, aftermath = Random(name), Aftermath(Random(f"{name}:aftermath"), world.reporting)
    people = populate(world.seed, world.shoppers, world.merchants)
    campaigns = Campaigns(rng, people, world.start_ms, world.rate * world.fraud_rate)
    honest_per_ms = world.rate * (1 - world.fraud_rate) / 1000
    campaign_odds = world.fraud_rate / (1 - world.fraud_rate) * CAMPAIGNS_PER_FRAUD
    honest_ms = world.start_ms + rng.expovariate(honest_per_ms)
    number = 0
    while True:
        pattern: Pattern | None = None
        if campaigns.due_ms <= honest_ms:
            at_ms = campaigns.due_ms
            pattern, fields = campaigns.next_payment()
        else:
            at_ms = honest_ms
            honest_ms += rng.expovariate(honest_per_ms * (crowd(int(at_ms)) if world.daily_rhythm else 1))
            shopper, fields = habit(rng, people, int(at_ms))
            campaigns.see(shopper, fields.get("terminal"))
            if rng.random() < campaign_odds:
                campaigns.begin(at_ms)
        fields["transaction_id"] = f"tx-{world.seed:x}-{world.start_ms:x}-{number}"
        fields["event_time_ms"] = int(at_ms)
        number += 1
        transaction = Transaction.model_validate(fields)
        labels, outcomes = aftermath.of(transaction, pattern)
        yield Case(transaction, labels, outcomes, FRAUDS[pattern.name] if pattern else HONEST)
