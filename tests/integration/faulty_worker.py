"""A worker whose detector fails on one card and at one merchant: `python -m tests.integration.faulty_worker worker`.

Everything else is the worker as it is. The error quotes a card number, as a careless message would.
"""

from schemas.decision import Profiled
from schemas.fields import Positions
from schemas.label import Label
from schemas.transaction import Transaction
from streams.__main__ import main
from streams.detector.card import CardStage
from streams.detector.merchant import MerchantStage
from streams.detector.stage import Event, Step
from streams.detector.state import State

CARD = "card_broken"
MERCHANT = "mer_broken"
QUOTED_NUMBER = "5555555555554444"


class PlantedError(Exception):
    """The failure that a bug in the detector would raise."""


def plant() -> None:
    """Make both stages fail on the marked card and merchant."""
    card_step, merchant_step = CardStage.step, MerchantStage.step

    def failing_card_step(self: CardStage, state: State, event: Event, positions: Positions) -> Step:
        if isinstance(event.message, Transaction | Label) and event.message.card == CARD:
            raise PlantedError(f"no such card: {QUOTED_NUMBER}")
        return card_step(self, state, event, positions)

    def failing_merchant_step(self: MerchantStage, state: State, event: Event, positions: Positions) -> Step:
        about = event.message.transaction or event.message.label if isinstance(event.message, Profiled) else None
        if about and about.merchant == MERCHANT:
            raise PlantedError(f"no such merchant: {QUOTED_NUMBER}")
        return merchant_step(self, state, event, positions)

    CardStage.step = failing_card_step  # type: ignore[method-assign]
    MerchantStage.step = failing_merchant_step  # type: ignore[method-assign]


if __name__ == "__main__":
    plant()
    main()
