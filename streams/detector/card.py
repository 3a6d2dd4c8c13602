"""The card stage: the card's features for every transaction, and its labels passed on in one order."""

from schemas.codec import DecodeFailure, decode, encode
from schemas.decision import Profiled
from schemas.fields import Positions
from schemas.label import Label
from schemas.topics import CARD_STATE, LABELS, PROFILED, TRANSACTIONS
from schemas.transaction import Transaction
from streams.detector.profile import CARD
from streams.detector.stage import Event, Output, Record, Refusal, Stage, Step, key_problem, refusal_of
from streams.detector.state import State


class CardStage(Stage):
    """Transactions and labels of a card, in event-time order, become profiled records keyed by merchant.

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
        assert not isinstance(message, Profiled)
        profile = state.profile(message.card)
        if isinstance(message, Label):
            seen = profile.report(message)
            if seen.duplicate:
                return Step((), ("duplicate_labels",))
            counts: tuple[str, ...] = ("labels",)
            profiled = Profiled(label=message, positions=positions)
        else:
            seen = profile.pay(message.event_time_ms, message.amount_minor, message.transaction_id)
            if seen.duplicate:
                return Step((), ("duplicates",))
            counts = ("transactions", *(("late",) if seen.late_ms else ()))
            profiled = Profiled(transaction=message, features=seen.features, late_ms=seen.late_ms, positions=positions)
        output = Output(PROFILED, message.merchant.encode(), encode(profiled))
        state.apply(message.card, seen.changes)
        return Step((output,), counts)
