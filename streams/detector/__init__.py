"""The detector: all fraud logic, as pure functions of their inputs.

No module here knows Kafka, ClickHouse, a clock, chance or the environment. The same functions run live, in replay and
in every oracle of the tests. A transaction's life:

>>> from schemas.learning import RateTable
>>> from schemas.transaction import Transaction
>>> from streams.detector.card import pay_by_card
>>> from streams.detector.profile import CARD
>>> from streams.detector.state import State
>>> payment = Transaction(transaction_id="tx-1", card="card_a", merchant="mer_b", amount_minor=1999,
...                       currency="EUR", event_time_ms=1_522_540_800_000)
>>> rates = RateTable(version="r-1", author="x", base="EUR", units_per_base={})
>>> cards = State(CARD)                                             # what is remembered of every card
>>> seen = pay_by_card(cards, payment, rates)
>>> seen.features["card_count_24h"], seen.duplicate                 # with this one
(1, False)
>>> cards.apply(payment.card, seen.changes)                         # nothing was changed until here
>>> pay_by_card(cards, payment, rates).duplicate
True
"""
