"""From features to the answer: what was predicted, and what is told. The same inputs always give the same bytes."""

from dataclasses import dataclass
from math import isfinite
from typing import NamedTuple

from schemas.decision import Decision, Prediction, Reason
from schemas.fields import Action, CardToken, Features, Mode, Positions
from schemas.learning import PolicyVersion, RateTable
from schemas.transaction import Transaction
from streams.detector.encode import ENCODER
from streams.detector.explain import reasons_of
from streams.detector.policy import action_at, most_severe, rule, score_of
from streams.detector.scorer import Scorer, probability_of
from streams.detector.watch import Watch


@dataclass(slots=True)
class InForce:
    """What decides now: each is replaced whole, between two batches, and every prediction names it."""

    policy: PolicyVersion
    rates: RateTable
    scorer: Scorer | None = None
    watch: Watch | None = None


class Judgement(NamedTuple):
    """What features come to: by rules alone there is no score."""

    mode: Mode
    action: Action
    rule_hits: tuple[str, ...]
    reasons: tuple[Reason, ...]
    model_version: str | None = None
    score: int | None = None
    probability: float | None = None


def judge(features: Features, in_force: InForce) -> Judgement:
    """Return what rules and model say, or rules alone until the model knows enough."""
    policy, scorer = in_force.policy, in_force.scorer
    ruling = rule(policy.rules, features)
    by_rules = Judgement("rules_only", ruling.action, ruling.hits, ruling.reasons)
    if scorer is None or not scorer.knows_enough(policy.model_needs):
        return by_rules
    log_odds, contributions = scorer.explained(ENCODER.cells_of(features))
    if in_force.watch:
        in_force.watch.saw(scorer.version, log_odds)
    if not isfinite(log_odds):
        return by_rules
    score = score_of(log_odds, policy.score_map)
    return Judgement(
        "normal",
        most_severe([ruling.action, action_at(score, policy.thresholds)]),
        ruling.hits,
        (*ruling.reasons, *reasons_of(contributions, features)),
        scorer.version,
        score,
        probability_of(log_odds),
    )


def predict(
    transaction: Transaction,
    features: Features,
    *,
    late_ms: int,
    positions: Positions,
    in_force: InForce,
    rates_version: str,
    code_version: str,
    mode: Mode | None = None,
) -> Prediction:
    """Return the full record of a decision; a given mode stands for that in which it was made."""
    judgement = judge(features, in_force)
    return Prediction.of_valid(
        transaction=transaction,
        features=features,
        late_ms=late_ms,
        positions=positions,
        model_version=judgement.model_version,
        policy_version=in_force.policy.version,
        rates_version=rates_version,
        code_version=code_version,
        rule_hits=judgement.rule_hits,
        score=judgement.score,
        probability=judgement.probability,
        mode=mode or judgement.mode,
        action=judgement.action,
        reasons=judgement.reasons,
    )


def decision_of(prediction: Prediction) -> Decision:
    """Return the public answer of a prediction."""
    return Decision.of_valid(
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
