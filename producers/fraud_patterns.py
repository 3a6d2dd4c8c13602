"""The kinds of fraud in the simulated world: one row each. `world` plays them; a new kind is a new row."""

from dataclasses import dataclass
from typing import Literal

from schemas.label import FraudType
from schemas.transaction import Channel, EntryMode


@dataclass(frozen=True, slots=True)
class Pattern:
    """One kind of fraud. An incident is one run of it: some payments, some time apart.

    `incidents` is its share of all incidents. `payments` are the fewest and most in one. `gap_s` is the mean time
    between two. `stays` is what they have in common: a card used at many merchants, or a terminal used with many cards.
    The middle amount is `amount_eur`, or else `amount_times` what the card's owner usually spends. A `stranger` pays
    from a device, an address and a country of his own, and has goods sent there.
    """

    fraud_type: FraudType
    incidents: float
    payments: tuple[int, int]
    gap_s: float
    stays: Literal["card", "terminal"]
    channel: Channel
    entry_mode: EntryMode
    stranger: bool
    amount_eur: float | None = None
    amount_times: float = 1.0

    @property
    def payments_mean(self) -> float:
        """Payments in an incident, on average."""
        return sum(self.payments) / 2


PATTERNS: tuple[Pattern, ...] = (
    # Is the stolen number still good? Many small amounts, seconds apart.
    Pattern("card_testing", 0.3, (6, 15), 4.0, "card", "ecommerce", "manual", stranger=True, amount_eur=1.5),
    # Somebody else is logged in: big amounts with the stored card.
    Pattern(
        "account_takeover",
        0.4,
        (2, 5),
        90.0,
        "card",
        "ecommerce",
        "credential_on_file",
        stranger=True,
        amount_times=6.0,
    ),
    # A terminal whose cards are copied and used there and then: many cards, larger amounts than theirs.
    Pattern(
        "compromised_terminal", 0.3, (5, 12), 60.0, "terminal", "pos", "magstripe", stranger=False, amount_times=2.5
    ),
)
