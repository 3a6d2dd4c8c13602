"""Who lives in the simulated world: shoppers with habits, and merchants. A seed gives the same people every time."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from producers.places import COUNTRIES, TRADES, Country, Trade

AT_A_COUNTER = ("pos", "atm")
FAVOURITES = (4, 12)


@dataclass(frozen=True, slots=True)
class Merchant:
    """Where a payment is made. Who has a counter has one to three terminals, others none."""

    token: str
    country: Country
    trade: Trade
    terminals: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shopper:
    """The owner of one card. `spends` is how much more than others he or she pays for the same."""

    card: str
    customer: str
    home: Country
    bin: str
    spends: float
    favourites: tuple[Merchant, ...]
    contactless: float
    device: str
    ip: str
    email: str


@dataclass(frozen=True, slots=True)
class Population:
    """Everybody. `counters` are the merchants of a country (by its code) that one walks into, `online` all others."""

    shoppers: tuple[Shopper, ...]
    merchants: tuple[Merchant, ...]
    counters: dict[str, tuple[Merchant, ...]]
    online: tuple[Merchant, ...]

    def nearby(self, country: Country) -> Sequence[Merchant]:
        """Return where one can walk in, in a country; any merchant where it has none."""
        return self.counters.get(country.code) or self.merchants

    def remote(self) -> Sequence[Merchant]:
        """Return where one can pay from afar; any merchant where there is none."""
        return self.online or self.merchants


def token(rng: Random, prefix: str) -> str:
    """Return a token that stands for nobody: twelve hexadecimal digits, too few for a card number.

    >>> token(Random(1), "dev")
    'dev_91b72265b1f5'
    """
    return f"{prefix}_{rng.getrandbits(48):012x}"


def skewed(rng: Random, count: int, skew: float) -> int:
    """Return an index below `count`; with a skew over 1 the low ones come more often."""
    return int(count * rng.random() ** skew)


def populate(seed: int, shoppers: int, merchants: int) -> Population:
    """Return so many shoppers and merchants; both must be at least one.

    >>> people = populate(seed=7, shoppers=2, merchants=3)
    >>> [shopper.card for shopper in people.shoppers] == [shopper.card for shopper in populate(7, 2, 3).shoppers]
    True
    """
    rng = Random(seed)
    everywhere = tuple(_merchant(rng) for _ in range(merchants))
    counters: dict[str, list[Merchant]] = defaultdict(list)
    for merchant in everywhere:
        if merchant.terminals:
            counters[merchant.country.code].append(merchant)
    population = Population(
        shoppers=(),
        merchants=everywhere,
        counters={code: tuple(there) for code, there in counters.items()},
        online=tuple(merchant for merchant in everywhere if not merchant.terminals),
    )
    everybody = tuple(_shopper(rng, population) for _ in range(shoppers))
    return Population(everybody, everywhere, population.counters, population.online)


_COUNTRY_SHARES = [country.share for country in COUNTRIES]
_TRADE_SHARES = [trade.share for trade in TRADES]


def _merchant(rng: Random) -> Merchant:
    country = rng.choices(COUNTRIES, _COUNTRY_SHARES)[0]
    trade = rng.choices(TRADES, _TRADE_SHARES)[0]
    terminals = rng.randint(1, 3) if trade.channel in AT_A_COUNTER else 0
    return Merchant(token(rng, "mer"), country, trade, tuple(token(rng, "ter") for _ in range(terminals)))


def _shopper(rng: Random, population: Population) -> Shopper:
    home = rng.choices(COUNTRIES, _COUNTRY_SHARES)[0]
    nearby, remote = population.nearby(home), population.remote()
    wired = rng.uniform(0.1, 0.6)
    favourites = []
    for _ in range(rng.randint(*FAVOURITES)):
        choice = remote if rng.random() < wired else nearby
        favourites.append(choice[skewed(rng, len(choice), 2.0)])
    return Shopper(
        card=token(rng, "card"),
        customer=token(rng, "cus"),
        home=home,
        bin=rng.choice(home.bins),
        spends=rng.lognormvariate(0.0, 0.4),
        favourites=tuple(favourites),
        contactless=rng.random(),
        device=token(rng, "dev"),
        ip=token(rng, "ip"),
        email=token(rng, "eml"),
    )
