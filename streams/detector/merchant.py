"""The merchant stage: the merchant's features beside the card's, and the decision."""

from schemas.codec import DecodeFailure, decode, encode
from schemas.decision import Profiled
from schemas.fields import Features, Positions
from schemas.label import Label, VerdictChange
from schemas.topics import DECISIONS, MERCHANT_STATE, PREDICTIONS, PROFILED
from schemas.transaction import Transaction
from streams.detector.decide import decision_of, predict
from streams.detector.look import Payment
from streams.detector.payment import AMOUNT
from streams.detector.profile import MERCHANT, Seen
from streams.detector.stage import EntityStage, Event, Output, Record, Refusal, Step, key_problem, refusal_of
from streams.detector.state import State


class MerchantStage(EntityStage):
    """Profiled records of a merchant, in the order they were written, become one decision per transaction.

    A transaction that is history is predicted like any other, and not answered.
    """

    name = "merchant"
    kind = MERCHANT
    inputs = (PROFILED,)
    state_log = MERCHANT_STATE

    def read(self, record: Record) -> Event | Refusal:
        message = decode(Profiled, record.value)
        if isinstance(message, DecodeFailure):
            return refusal_of(record, message)
        about = message.transaction or message.label
        if about is None:
            return Refusal(record, "invalid", "neither transaction nor label")
        event_time_ms = message.transaction.event_time_ms if message.transaction else 0
        return key_problem(record, about.merchant, self.context.partition_of) or Event(record, message, event_time_ms)

    def step(self, state: State, event: Event, positions: Positions) -> Step:
        message = event.message
        assert isinstance(message, Profiled)
        if message.label:
            return self._follow(state, message.label, message.change)
        transaction = message.transaction
        assert transaction is not None
        seen = pay_at_merchant(state, transaction, message.features)
        prediction = predict(
            transaction,
            {**message.features, **seen.features},
            late_ms=seen.late_ms,
            positions={**message.positions, **positions},
            in_force=self.context.in_force,
            rates_version=message.rates_version,
            code_version=self.context.code_version,
            mode=message.mode,
        )
        key, partition = transaction.card.encode(), event.record.partition
        late = ("late",) * bool(seen.late_ms)
        predicted = Output(PREDICTIONS, key, encode(prediction), partition)
        if message.mode:
            step = Step((predicted,), (message.mode, *late))
        else:
            decided = Output(DECISIONS, key, encode(decision_of(prediction)), partition)
            counts = ("decided", f"actions.{prediction.action}", f"modes.{prediction.mode}", *late)
            step = Step((decided, predicted), counts)
        state.apply(transaction.merchant, seen.changes)
        return step

    def _follow(self, state: State, label: Label, change: VerdictChange | None) -> Step:
        if change is None:
            return Step((), ("labels", "labels_without_effect"))
        seen = state.profile(label.merchant).follow(label, change)
        state.apply(label.merchant, seen.changes)
        return Step((), ("duplicate_labels",) if seen.duplicate else ("labels",))


def pay_at_merchant(state: State, transaction: Transaction, by_card: Features) -> Seen:
    """Return what the merchant says to a payment whose card's features are known."""
    amount_base = by_card.get(AMOUNT)
    payment = Payment(transaction, None if amount_base is None else int(amount_base), "", transaction.card)
    return state.profile(transaction.merchant).pay(payment)
