"""The card stage: the card's features for every transaction, and its labels, each once and in one order."""

from schemas.codec import DecodeFailure, decode, encode
from schemas.decision import Duplicate, Profiled
from schemas.fields import Positions
from schemas.history import HISTORY, is_history
from schemas.label import EffectiveLabel, Label, VerdictChange
from schemas.learning import RateTable
from schemas.topics import CARD_STATE, DUPLICATES, LABELS, LABELS_WAITING, PROFILED, TRANSACTIONS
from schemas.transaction import Transaction
from streams.detector.look import Payment
from streams.detector.payment import AMOUNT
from streams.detector.profile import CARD, Seen
from streams.detector.rates import to_base_minor
from streams.detector.stage import EntityStage, Event, Output, Record, Refusal, Step, key_problem, refusal_of
from streams.detector.state import State


class CardStage(EntityStage):
    """Transactions and labels of a card, in event-time order, become profiled records keyed by merchant.

    A label that its source has not said before goes to the merchant; one that changes the verdict that counts also goes
    to wait for the features of its payment, with that verdict.

    Labels come first among the inputs: one that is reported at a transaction's own millisecond counts for it.
    """

    name = "card"
    kind = CARD
    inputs = (LABELS, TRANSACTIONS)
    state_log = CARD_STATE

    def read(self, record: Record) -> Event | Refusal:
        is_transaction = record.topic == TRANSACTIONS.name
        message = decode(Transaction, record.value) if is_transaction else decode(Label, record.value)
        if isinstance(message, DecodeFailure):
            return refusal_of(record, message)
        problem = key_problem(record, message.card, self.context.partition_of)
        if problem:
            return problem
        event_time_ms = message.event_time_ms if isinstance(message, Transaction) else message.reported_at_ms
        if event_time_ms > record.timestamp_ms + self.context.future_ms_max:
            ahead_s = (event_time_ms - record.timestamp_ms) // 1000
            return Refusal(record, "from_the_future", f"its time lies {ahead_s} s after it was published")
        return Event(record, message, event_time_ms)

    def step(self, state: State, event: Event, positions: Positions) -> Step:
        message = event.message
        if isinstance(message, Label):
            return self._report(state, message, event.record.partition, positions)
        assert isinstance(message, Transaction)
        rates = self.context.in_force.rates
        seen = pay_by_card(state, message, rates)
        if seen.duplicate:
            return Step((_duplicate(message, event.record.partition, positions),), ("duplicates",))
        history = is_history(event.record.headers)
        profiled = Profiled.of_valid(
            transaction=message,
            features=seen.features,
            late_ms=seen.late_ms,
            rates_version=rates.version,
            mode=HISTORY if history else None,
            positions=positions,
        )
        output = Output(PROFILED, message.merchant.encode(), encode(profiled))
        state.apply(message.card, seen.changes)
        late, unpriced = ("late",) * bool(seen.late_ms), ("without_rate",) * (AMOUNT not in seen.features)
        return Step((output,), (HISTORY if history else "transactions", *late, *unpriced))

    def _report(self, state: State, label: Label, partition: int, positions: Positions) -> Step:
        seen = state.profile(label.card).report(label)
        if seen.duplicate:
            return Step((), ("duplicate_labels",))
        change = seen.verdict
        profiled = Profiled.of_valid(label=label, change=change, features={}, positions=positions)
        outputs = [Output(PROFILED, label.merchant.encode(), encode(profiled))]
        if change and (effective := effective_of(label, change)):
            outputs.append(Output(LABELS_WAITING, label.card.encode(), encode(effective), partition))
        state.apply(label.card, seen.changes)
        return Step(tuple(outputs), ("labels", *("labels_without_effect",) * (change is None)))


def effective_of(label: Label, change: VerdictChange) -> Label | None:
    """Return the label that is to be learned; None where nobody says fraud or legitimate any more.

    It is the label as it came, unless that withdrew its verdict and another source's counts now.
    """
    if change.verdict is None:
        return None
    if change.verdict_of is None:
        return label
    return EffectiveLabel.of_valid(**{**label.__dict__, "verdict": change.verdict, "verdict_of": change.verdict_of})


def _duplicate(message: Transaction, partition: int, positions: Positions) -> Output:
    duplicate = Duplicate.of_valid(
        transaction_id=message.transaction_id,
        card=message.card,
        event_time_ms=message.event_time_ms,
        traceparent=message.traceparent,
        positions=positions,
    )
    return Output(DUPLICATES, message.card.encode(), encode(duplicate), partition)


def pay_by_card(state: State, transaction: Transaction, rates: RateTable) -> Seen:
    """Return what the card says to a payment, its amount compared in the base currency."""
    amount_base = to_base_minor(transaction.amount_minor, transaction.currency, rates)
    payment = Payment(transaction, amount_base, transaction.transaction_id, transaction.merchant)
    return state.profile(transaction.card).pay(payment)
