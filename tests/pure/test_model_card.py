"""The model card's figures are those that were measured and kept."""

import json

from tests.model_card import CARD, KEPT, TOLD, with_figures


def test_the_card_tells_what_was_kept() -> None:
    """Law: nobody writes a figure into the card by hand."""
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    card = CARD.read_text(encoding="utf-8")
    assert card == with_figures(card, kept)
    assert list(kept["figures"]) == list(TOLD)
    changed = {**kept, "frauds": kept["frauds"] + 1}
    assert card != with_figures(card, changed)
