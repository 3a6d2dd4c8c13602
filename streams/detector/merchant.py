"""The merchant stage: the merchant's features beside the card's, and the decision."""

from schemas.codec import DecodeFailure, decode, encode
from schemas.decision import Profiled
from schemas.fields import Positions
from schemas.topics import DECISIONS, MERCHANT_STATE, PREDICTIONS, PROFILED
from streams.detector.decide import decision_of, predict
from streams.detector.profile import MERCHANT
from streams.detector.stage import Event, Output, Record, Refusal, Stage, Step, key_problem, refusal_of
from streams.detector.state import State


class MerchantStage(Stage):
    """Profiled records of a merchant, in the order they were written, become one decision per transaction."""

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
            profile = state.profile(message.label.merchant)
            seen = profile.report(message.label)
            state.apply(message.label.merchant, seen.changes)
            return Step((), ("duplicate_labels",) if seen.duplicate else ("labels",))
        transaction = message.transaction
        assert transaction is not None
        seen = state.profile(transaction.merchant).pay(transaction.event_time_ms, transaction.amount_minor, "")
        prediction = predict(
            transaction,
            {**message.features, **seen.features},
            late_ms=seen.late_ms,
            positions={**message.positions, **positions},
            policy=self.context.policy,
            code_version=self.context.code_version,
        )
        key, partition = transaction.card.encode(), event.record.partition
        outputs = (
            Output(DECISIONS, key, encode(decision_of(prediction)), partition),
            Output(PREDICTIONS, key, encode(prediction), partition),
        )
        state.apply(transaction.merchant, seen.changes)
        counts = ("decided", f"actions.{prediction.action}", *(("late",) if seen.late_ms else ()))
        return Step(outputs, counts)
