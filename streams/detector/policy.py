"""The policy: hard rules over features, and what is done from which score on. A published document of data."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from itertools import pairwise
from math import log
from typing import NamedTuple

from schemas.decision import Reason
from schemas.fields import Action, Features
from schemas.learning import PolicyRule, PolicyVersion, ScoreMap, Threshold
from streams.detector.features import FEATURES

SEVERITY: tuple[Action, ...] = ("approve", "step_up", "review", "block")
"""From mild to severe: of all rules that hold and all thresholds reached, the most severe decides."""

ACTING_PAYS_SCORE = 600


class Ruling(NamedTuple):
    """What the rules say: the action, the names of those that hold, and a reason for each."""

    action: Action
    hits: tuple[str, ...]
    reasons: tuple[Reason, ...]


def rule(rules: Sequence[PolicyRule], features: Features) -> Ruling:
    """Return the ruling on a payment with these features. A feature that is missing meets no rule.

    >>> busy = PolicyRule(name="busy", feature="card_count_1h", at_least=10, action="review", text="ten in an hour")
    >>> rule([busy], {"card_count_1h": 12}).action, rule([busy], {}).action
    ('review', 'approve')
    """
    hits = [each for each in rules if each.feature in features and features[each.feature] >= each.at_least]
    if not hits:
        return Ruling("approve", (), ())
    return Ruling(
        most_severe(hit.action for hit in hits),
        tuple(hit.name for hit in hits),
        tuple(Reason(code=hit.name, text=hit.text) for hit in hits),
    )


def most_severe(actions: Iterable[Action]) -> Action:
    """Return the most severe of some actions, `approve` where there are none."""
    return max(actions, key=SEVERITY.index, default="approve")


def score_of(log_odds: float, score_map: ScoreMap) -> int:
    """Return the score, 0 to 1000: 600 where acting starts to pay, so many points more for each doubling of the odds.

    >>> from math import log
    >>> half = ScoreMap(acting_pays_at_probability=0.5, points_to_double_the_odds=50)
    >>> score_of(0.0, half), score_of(log(2), half), score_of(-1e9, half), score_of(1e9, half)
    (600, 650, 0, 1000)
    """
    pays_at = score_map.acting_pays_at_probability
    over = (log_odds - log(pays_at / (1 - pays_at))) / log(2)
    return round(min(max(ACTING_PAYS_SCORE + score_map.points_to_double_the_odds * over, 0.0), 1000.0))


def action_at(score: int, thresholds: Sequence[Threshold]) -> Action:
    """Return what the score alone asks for.

    >>> action_at(700, [Threshold(at_least_score=600, action="step_up"), Threshold(at_least_score=800, action="block")])
    'step_up'
    """
    return most_severe(each.action for each in thresholds if score >= each.at_least_score)


def problems_of(policy: PolicyVersion) -> list[str]:
    """Return what is wrong with a policy that is well-formed: names that mean nothing, thresholds out of order.

    >>> problems_of(PolicyVersion(version="p-1", author="ana", rules=(
    ...     PolicyRule(name="a", feature="card_cuont_1h", at_least=3, action="review", text="typing error"),)))
    ['rule a: there is no feature card_cuont_1h; did you mean card_count_1h?']
    """
    known = [feature.name for feature in FEATURES]
    names = [each.name for each in policy.rules]
    problems = [f"rule {name}: is given twice" for name in sorted({name for name in names if names.count(name) > 1})]
    problems += [
        f"rule {each.name}: there is no feature {each.feature}{_suggestion(each.feature, known)}"
        for each in policy.rules
        if each.feature not in known
    ]
    ordered = sorted(policy.thresholds, key=lambda each: SEVERITY.index(each.action))
    for milder, severer in pairwise(ordered):
        if severer.action == milder.action:
            problems.append(f"threshold for {severer.action}: is given twice")
        elif severer.at_least_score <= milder.at_least_score:
            problems.append(f"threshold for {severer.action}: must be over that for {milder.action}")
    return problems


def _suggestion(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""
