"""A world of shoppers and fraudsters, endless and in order of time, as cases: each payment with its truth.

Payments are a Poisson process of a given rate; who pays depends on the hour where he or she lives. A card has
habits: an amount, favourite merchants, a country, a device. Now and then an incident of `fraud_patterns` begins, and
its payments are mixed in at their times. The same arguments give the same bytes; another start gives the same people a
different day.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from random import Random

from producers.habits import crowd, habit
from producers.incidents import PAYMENTS_MEAN, Incident, begin, next_payment
from producers.population import populate
from schemas.label import Label
from schemas.recordings.stream import Case
from schemas.transaction import Transaction


@dataclass(frozen=True, slots=True)
class World:
    """What a world is made from. `rate` is transactions per second of event time, fraud included.

    `fraud_rate` is the share of fraud in the long run. Every fraud is charged back `label_delay_ms` after it; of the
    others `legitimate_share` are then called `assumed_legitimate`, and the rest is never spoken of.
    With `daily_rhythm` the rate follows the hours of the day and `rate` is its mean; without, it is the same at night.
    """

    seed: int
    start_ms: int
    rate: float
    shoppers: int = 10_000
    merchants: int = 2_000
    fraud_rate: float = 0.01
    label_delay_ms: int = 60_000
    legitimate_share: float = 0.3
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
            "label_delay_ms": self.label_delay_ms >= 0,
            "legitimate_share": 0 <= self.legitimate_share <= 1,
        }
        wrong = [name for name, within in ranges.items() if not within]
        if wrong:
            raise ValueError(f"{', '.join(wrong)}: out of range")


def cases(world: World) -> Iterator[Case]:
    """Give the world's payments and what will be said of each, for ever.

    >>> from itertools import islice
    >>> world = World(seed=7, start_ms=1_522_540_800_000, rate=50, shoppers=20, merchants=20)
    >>> first = list(islice(cases(world), 100))
    >>> first == list(islice(cases(world), 100)), first[0][0].transaction_id
    (True, 'tx-7-1627e80e800-0')
    """
    rng = Random(f"{world.seed}:{world.start_ms}")
    people = populate(world.seed, world.shoppers, world.merchants)
    honest_per_ms = world.rate * (1 - world.fraud_rate) / 1000
    incident_odds = world.fraud_rate / (1 - world.fraud_rate) / PAYMENTS_MEAN
    honest_ms = world.start_ms + rng.expovariate(honest_per_ms)
    frauds: list[tuple[float, int, Incident]] = []
    number = 0
    while True:
        incident = None
        if frauds and frauds[0][0] <= honest_ms:
            at_ms, order, incident = heappop(frauds)
            fields = next_payment(rng, people, incident)
            if incident.left:
                heappush(frauds, (at_ms + rng.expovariate(1 / incident.pattern.gap_s) * 1000, order, incident))
        else:
            at_ms = honest_ms
            honest_ms += rng.expovariate(honest_per_ms * (crowd(int(at_ms)) if world.daily_rhythm else 1))
            fields = habit(rng, people, int(at_ms))
            if rng.random() < incident_odds:
                heappush(frauds, (at_ms, number, begin(rng, people, int(at_ms))))
        fields["transaction_id"] = f"tx-{world.seed:x}-{world.start_ms:x}-{number}"
        fields["event_time_ms"] = int(at_ms)
        number += 1
        transaction = Transaction.model_validate(fields)
        spoken_of = incident is not None or rng.random() < world.legitimate_share
        yield transaction, _label(transaction, incident, world.label_delay_ms) if spoken_of else None


def _label(transaction: Transaction, incident: Incident | None, delay_ms: int) -> Label:
    return Label.model_validate(
        {
            "transaction_id": transaction.transaction_id,
            "card": transaction.card,
            "merchant": transaction.merchant,
            "verdict": "fraud" if incident else "legitimate",
            "source": "chargeback" if incident else "assumed_legitimate",
            "occurred_at_ms": transaction.event_time_ms,
            "reported_at_ms": transaction.event_time_ms + delay_ms,
            "fraud_type": incident.pattern.fraud_type if incident else None,
        }
    )
