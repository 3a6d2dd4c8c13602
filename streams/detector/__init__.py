"""The detector: all fraud logic, as pure functions of their inputs.

No module here knows Kafka, ClickHouse, a clock, chance or the environment. The same functions run live, in replay and
in every oracle of the tests. A transaction's life:

>>> from schemas.transaction import Transaction
>>> from streams.detector.profile import CARD, Profile
>>> payment = Transaction(transaction_id="tx-1", card="card_a", merchant="mer_b", amount_minor=1999,
...                       currency="EUR", event_time_ms=1_522_540_800_000)
>>> card = Profile(CARD)                                            # what is remembered of the card
>>> seen = card.pay(payment.event_time_ms, payment.amount_minor, payment.transaction_id)
>>> seen.features["card_count_24h"], seen.duplicate                 # with this one
(1, False)
>>> card.apply(seen.changes)                                        # nothing was changed until here
>>> card.pay(payment.event_time_ms, payment.amount_minor, payment.transaction_id).duplicate
True
"""
