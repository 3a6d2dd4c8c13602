"""Where and for what people pay in the simulated world: countries, trades, and the hours of a day."""

from dataclasses import dataclass

from schemas.transaction import Channel


@dataclass(frozen=True, slots=True)
class Country:
    """`share` of shoppers and merchants; `minor_per_eur` is what a euro is worth in minor units of its currency."""

    code: str
    share: float
    utc_offset_minutes: int
    currency: str
    minor_per_eur: float
    bins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trade:
    """What a merchant sells, how it is paid, its `share` of merchants and the median amount in euros."""

    mcc: str
    name: str
    share: float
    channel: Channel
    median_eur: float


COUNTRIES: tuple[Country, ...] = (
    Country("FR", 0.24, 60, "EUR", 100.0, ("497010", "513283")),
    Country("DE", 0.18, 60, "EUR", 100.0, ("492990", "545731")),
    Country("ES", 0.14, 60, "EUR", 100.0, ("454045", "540018")),
    Country("IT", 0.12, 60, "EUR", 100.0, ("402360", "533317")),
    Country("GB", 0.10, 0, "GBP", 86.0, ("475129", "535522")),
    Country("NL", 0.06, 60, "EUR", 100.0, ("459914", "516001")),
    Country("PL", 0.05, 60, "PLN", 430.0, ("425125", "535470")),
    Country("US", 0.06, -300, "USD", 110.0, ("414720", "542418")),
    Country("BR", 0.03, -180, "BRL", 600.0, ("498407", "516292")),
    Country("JP", 0.02, 540, "JPY", 160.0, ("498007", "354015")),
)

TRADES: tuple[Trade, ...] = (
    Trade("5411", "groceries", 0.17, "pos", 27.0),
    Trade("5812", "restaurant", 0.13, "pos", 24.0),
    Trade("5814", "fast food", 0.09, "pos", 9.0),
    Trade("5541", "fuel", 0.06, "pos", 52.0),
    Trade("5912", "pharmacy", 0.06, "pos", 17.0),
    Trade("5651", "clothing", 0.07, "pos", 48.0),
    Trade("4111", "local transport", 0.05, "pos", 3.2),
    Trade("6011", "cash", 0.05, "atm", 70.0),
    Trade("5999", "online shop", 0.12, "ecommerce", 38.0),
    Trade("5732", "electronics online", 0.05, "ecommerce", 130.0),
    Trade("5815", "digital goods", 0.05, "ecommerce", 8.0),
    Trade("4722", "travel agency online", 0.03, "ecommerce", 240.0),
    Trade("4899", "streaming", 0.03, "recurring", 13.0),
    Trade("4814", "telephone bill", 0.02, "recurring", 28.0),
    Trade("5964", "catalogue by telephone", 0.02, "moto", 60.0),
)

HOURS: tuple[float, ...] = (
    # How likely somebody who could pay does pay, from midnight on, in local time.
    *(0.10, 0.06, 0.05, 0.05, 0.05, 0.08, 0.18, 0.35, 0.50, 0.60, 0.70, 0.80),
    *(1.00, 0.95, 0.75, 0.70, 0.75, 0.90, 1.00, 0.95, 0.80, 0.55, 0.35, 0.20),
)
