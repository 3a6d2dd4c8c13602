"""From features to the answer: what was predicted, and what is told. The same inputs always give the same bytes."""

from schemas.decision import Decision, Prediction, Reason
from schemas.fields import Action, CardToken, Features, Mode, Positions
from schemas.learning import PolicyVersion
from schemas.transaction import Transaction
from streams.detector.rules import rule


def predict(
    transaction: Transaction,
    features: Features,
    *,
    late_ms: int,
    positions: Positions,
    policy: PolicyVersion,
    code_version: str,
) -> Prediction:
    """Return the full record of a decision by rules alone."""
    ruling = rule(policy.rules, features)
    return Prediction(
        transaction=transaction,
        features=features,
        late_ms=late_ms,
        positions=positions,
        policy_version=policy.version,
        code_version=code_version,
        rule_hits=ruling.hits,
        mode="rules_only",
        action=ruling.action,
        reasons=ruling.reasons,
    )


def decision_of(prediction: Prediction) -> Decision:
    """Return the public answer of a prediction."""
    return Decision(
        transaction_id=prediction.transaction.transaction_id,
        card=prediction.transaction.card,
        action=prediction.action,
        mode=prediction.mode,
        score=prediction.score,
        probability=prediction.probability,
        reasons=prediction.reasons,
        model_version=prediction.model_version,
        policy_version=prediction.policy_version,
        event_time_ms=prediction.transaction.event_time_ms,
        traceparent=prediction.transaction.traceparent,
    )


def without_prediction(
    transaction_id: str,
    card: CardToken | None,
    *,
    action: Action,
    mode: Mode,
    reason: Reason,
    policy: PolicyVersion,
    event_time_ms: int | None = None,
    traceparent: str | None = None,
) -> Decision:
    """Return the answer to what could not be predicted: `invalid` for a bad record, `review` where the core failed."""
    return Decision(
        transaction_id=transaction_id,
        card=card,
        action=action,
        mode=mode,
        reasons=(reason,),
        policy_version=policy.version,
        event_time_ms=event_time_ms,
        traceparent=traceparent,
    )
