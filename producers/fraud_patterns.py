"""The kinds of fraud in the simulated world: one row each. `campaigns` plays them; a new kind is a new row."""

from dataclasses import dataclass
from typing import Literal

from schemas.label import FraudType
from schemas.transaction import Channel, EntryMode

Where = Literal["one_shop", "own_shops", "shops", "terminal", "counters"]
"""One online shop, the victim's favourites among them, any of them, one terminal, any counter where the victim is."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """One kind of fraud. A campaign is one run of it: some payments, some time apart.

    `share` is its share of all frauds. `payments` are the fewest and most in one campaign, `gap_s` the mean time
    between two. `keeps_card` is how likely the next one is by the same card; otherwise it is another stolen one. One
    of `entry_modes` is drawn for each payment; what stands there twice comes twice as often. The middle amount is
    `amount_eur`, or else `amount_times` what the card's owner usually spends; `spread` is that of its logarithm.

    Who is a `stranger` pays from a device and an address of his own, at any hour; the others need the card or its copy
    and a shop that is open. `abroad` is how often his address, and `ships` how often the goods, are in another country
    than the victim. `own_email` is how often he gives his own. `declined` is how often the issuer refuses.
    """

    name: str
    fraud_type: FraudType
    share: float
    payments: tuple[int, int]
    gap_s: float
    where: Where
    entry_modes: tuple[EntryMode, ...]
    keeps_card: float = 1.0
    amount_eur: float | None = None
    amount_times: float = 1.0
    spread: float = 0.5
    stranger: bool = False
    abroad: float = 0.0
    ships: float = 0.0
    own_email: float = 0.0
    declined: float = 0.05

    @property
    def channel(self) -> Channel:
        """How a payment of this kind is made."""
        return "pos" if self.where in {"terminal", "counters"} else "ecommerce"

    @property
    def payments_mean(self) -> float:
        """Payments in a campaign, on average."""
        return sum(self.payments) / 2


PATTERNS: tuple[Pattern, ...] = (
    # Which of these numbers still work? Tiny amounts at one careless shop: a burst on one card, then the next card.
    Pattern(
        "card_testing",
        "card_testing",
        share=0.22,
        payments=(15, 60),
        gap_s=4.0,
        where="one_shop",
        entry_modes=("manual",),
        keeps_card=0.75,
        amount_eur=1.8,
        spread=0.7,
        stranger=True,
        abroad=0.6,
        own_email=0.5,
        declined=0.35,
    ),
    # Somebody else is logged in where the victim always buys: big amounts by the stored card, sent elsewhere.
    Pattern(
        "account_takeover",
        "account_takeover",
        share=0.20,
        payments=(2, 6),
        gap_s=90.0,
        where="own_shops",
        entry_modes=("credential_on_file",),
        amount_times=5.0,
        stranger=True,
        abroad=0.5,
        ships=0.6,
        declined=0.08,
    ),
    # A terminal copies the cards that pay there, for an hour or two; the copies are used there and at counters nearby.
    Pattern(
        "compromised_terminal",
        "compromised_terminal",
        share=0.22,
        payments=(120, 480),
        gap_s=15.0,
        where="terminal",
        entry_modes=("magstripe", "magstripe", "contactless"),
        keeps_card=0.3,
        amount_times=2.0,
        declined=0.06,
    ),
    # The wallet is gone: the victim's own card at counters of the town, until it is stopped.
    Pattern(
        "amounts_out_of_habit",
        "lost_or_stolen",
        share=0.16,
        payments=(2, 6),
        gap_s=240.0,
        where="counters",
        entry_modes=("contactless", "chip", "magstripe"),
        amount_times=8.0,
        declined=0.12,
    ),
    # A number from a leak: typed in at several shops, from a strange device.
    Pattern(
        "card_not_present",
        "card_not_present",
        share=0.20,
        payments=(3, 8),
        gap_s=150.0,
        where="shops",
        entry_modes=("manual",),
        amount_times=3.0,
        stranger=True,
        abroad=0.6,
        ships=0.5,
        own_email=0.5,
        declined=0.12,
    ),
)
