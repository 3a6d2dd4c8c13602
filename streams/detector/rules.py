"""Hard rules: named conditions over features that decide without a model, and the built-in table of them."""

from collections.abc import Sequence
from typing import NamedTuple

from schemas.decision import Reason
from schemas.fields import Action, Features
from schemas.learning import PolicyRule, PolicyVersion

SEVERITY: tuple[Action, ...] = ("approve", "step_up", "review", "block")
"""From mild to severe: the most severe rule that holds decides."""

POLICY = PolicyVersion(
    version="rules-1",
    author="built-in",
    rules=(
        PolicyRule(
            name="card_known_fraud",
            feature="card_known_frauds_30d",
            at_least=1,
            action="block",
            text="a payment of this card was reported as fraud in the last 30 days",
        ),
        PolicyRule(
            name="merchant_known_frauds",
            feature="merchant_known_frauds_7d",
            at_least=2,
            action="review",
            text="two or more payments at this merchant were reported as fraud in the last 7 days",
        ),
        PolicyRule(
            name="card_velocity",
            feature="card_count_1h",
            at_least=10,
            action="review",
            text="ten or more payments of this card within an hour",
        ),
    ),
)


class Ruling(NamedTuple):
    """What the rules say: the action, the names of those that hold, and a reason for each."""

    action: Action
    hits: tuple[str, ...]
    reasons: tuple[Reason, ...]


def rule(rules: Sequence[PolicyRule], features: Features) -> Ruling:
    """Return the ruling on a payment with these features. A feature that is missing meets no rule.

    >>> rule(POLICY.rules, {"card_count_1h": 12, "card_known_frauds_30d": 1}).action
    'block'
    >>> rule(POLICY.rules, {"card_count_1h": 1})
    Ruling(action='approve', hits=(), reasons=())
    """
    hits = [each for each in rules if features.get(each.feature, 0) >= each.at_least]
    if not hits:
        return Ruling("approve", (), ())
    return Ruling(
        max((hit.action for hit in hits), key=SEVERITY.index),
        tuple(hit.name for hit in hits),
        tuple(Reason(code=hit.name, text=hit.text) for hit in hits),
    )
