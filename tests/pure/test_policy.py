"""The policy: rules, score, thresholds, and what is wrong with a document."""

from math import inf, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.fields import Action, Features
from schemas.learning import ModelNeeds, PolicyRule, PolicyVersion, RateTable, ScoreMap, Threshold
from schemas.transaction import Transaction
from streams.detector.decide import InForce, decision_of, predict
from streams.detector.learner import Learner
from streams.detector.policy import SEVERITY, action_at, most_severe, problems_of, rule, score_of
from streams.detector.scorer import scorer_of
from streams.documents import shipped_policy


def _rule(
    name: str = "busy", feature: str = "card_count_1h", at_least: float = 3, action: str = "review"
) -> PolicyRule:
    return PolicyRule.model_validate(
        {"name": name, "feature": feature, "at_least": at_least, "action": action, "text": f"because of {name}"}
    )


@pytest.mark.parametrize("at_least", [-5, 0, 0.0, 1])
def test_missing_feature_meets_no_rule(at_least: float) -> None:
    """Law: a rule holds from its bound on, and never where its feature is not known, whatever the bound is."""
    rules = [_rule(feature="card_amount_deviations", at_least=at_least)]
    assert rule(rules, {}).hits == ()
    assert rule(rules, {"card_amount_deviations": at_least - 0.0001}).hits == ()
    assert rule(rules, {"card_amount_deviations": at_least}).hits == ("busy",)


@given(st.lists(st.sampled_from(SEVERITY)))
def test_most_severe_rule_decides_and_each_is_told(actions: list[Action]) -> None:
    """Law: of all rules that hold the most severe decides, and each has its reason, in the document's order."""
    rules = [_rule(f"r-{number}", action=action) for number, action in enumerate(actions)]
    ruling = rule(rules, {"card_count_1h": 3})
    assert ruling.action == most_severe(actions) == max(actions, key=SEVERITY.index, default="approve")
    assert [reason.code for reason in ruling.reasons] == list(ruling.hits) == [each.name for each in rules]


_maps = st.builds(
    ScoreMap,
    acting_pays_at_probability=st.floats(1e-9, 1 - 1e-9),
    points_to_double_the_odds=st.floats(0.001, 400),
)


@given(st.floats(allow_nan=False), st.floats(allow_nan=False), _maps)
def test_score_is_bounded_and_grows(one: float, other: float, score_map: ScoreMap) -> None:
    """Law: any log-odds give a whole score of 0 to 1000, and larger ones no smaller one."""
    low, high = (score_of(value, score_map) for value in sorted((one, other)))
    assert 0 <= low <= high <= 1000
    assert type(low) is int


@given(_maps, st.integers(-8, 8))
def test_score_doubles_by_its_points(score_map: ScoreMap, doublings: int) -> None:
    """Law: 600 is where acting starts to pay, and each doubling of the odds is so many points more."""
    pays_at, points = score_map.acting_pays_at_probability, score_map.points_to_double_the_odds
    score = score_of(log(pays_at / (1 - pays_at)) + doublings * log(2), score_map)
    assert score == pytest.approx(min(max(600 + doublings * points, 0), 1000), abs=0.501)


def test_infinite_log_odds_have_a_score() -> None:
    """Law: the ends of the scale are reached and never left."""
    assert (score_of(-inf, ScoreMap()), score_of(inf, ScoreMap())) == (0, 1000)


@pytest.mark.parametrize(
    ("score", "action"), [(0, "approve"), (599, "approve"), (600, "step_up"), (700, "review"), (1000, "block")]
)
def test_shipped_thresholds(score: int, action: Action) -> None:
    """Law: the shipped policy acts from 600 on, each threshold included."""
    assert action_at(score, shipped_policy().thresholds) == action


def _policy(*rules: PolicyRule, thresholds: tuple[tuple[int, str], ...] = ()) -> PolicyVersion:
    levels = [Threshold.model_validate({"at_least_score": score, "action": action}) for score, action in thresholds]
    return PolicyVersion(version="p-1", author="ana", rules=rules, thresholds=tuple(levels))


PROBLEMS: dict[str, tuple[PolicyVersion, list[str]]] = {
    "nothing at all": (_policy(), []),
    "as shipped": (shipped_policy(), []),
    "thresholds in any order": (_policy(thresholds=((800, "block"), (600, "step_up"))), []),
    "a name twice": (_policy(_rule("a"), _rule("a"), _rule("a")), ["rule a: is given twice"]),
    "no such feature": (_policy(_rule("a", "wind")), ["rule a: there is no feature wind"]),
    "a typing error": (
        _policy(_rule("a", "card_known_fraud_30d")),
        ["rule a: there is no feature card_known_fraud_30d; did you mean card_known_frauds_30d?"],
    ),
    "a threshold twice": (
        _policy(thresholds=((600, "review"), (700, "review"))),
        ["threshold for review: is given twice"],
    ),
    "severer before milder": (
        _policy(thresholds=((600, "block"), (700, "review"))),
        ["threshold for block: must be over that for review"],
    ),
    "two at one score": (
        _policy(thresholds=((600, "step_up"), (600, "review"))),
        ["threshold for review: must be over that for step_up"],
    ),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_problems_of_a_policy(name: str) -> None:
    """Law: each thing that is wrong with a document is one line that names it; a sound one has none."""
    policy, problems = PROBLEMS[name]
    assert problems_of(policy) == problems


PAYMENT = Transaction(
    transaction_id="tx-1",
    card="card_a",
    merchant="mer_b",
    amount_minor=1,
    currency="EUR",
    event_time_ms=1_600_000_000_000,
)


def _in_force(needs: ModelNeeds, *, learned: bool) -> InForce:
    learner = Learner()
    for number in range(20):
        learner.learn_example({"card_count_1h": 30 * (number % 2)}, is_fraud=number % 2 == 1)
    policy = shipped_policy().model_copy(update={"model_needs": needs})
    rates = RateTable(version="r-1", author="x", base="EUR", units_per_base={})
    return InForce(policy, rates, scorer_of(learner.snapshot(20)) if learned else None)


@pytest.mark.parametrize(
    ("needs", "learned", "mode"),
    [
        (ModelNeeds(records=20, frauds=10), True, "normal"),
        (ModelNeeds(records=21, frauds=10), True, "rules_only"),
        (ModelNeeds(records=20, frauds=11), True, "rules_only"),
        (ModelNeeds(records=0, frauds=0), False, "rules_only"),
    ],
)
def test_rules_decide_alone_until_the_model_knows_enough(needs: ModelNeeds, learned: bool, mode: str) -> None:
    """Law: without a model, or with one that knows too little, rules decide, and nothing pretends to be its score."""
    in_force = _in_force(needs, learned=learned)
    features: Features = {"card_count_1h": 30}
    prediction = predict(
        PAYMENT, features, late_ms=0, positions={}, in_force=in_force, rates_version="r-1", code_version="test"
    )
    assert prediction.mode == mode
    assert [reason.code for reason in prediction.reasons][:1] == ["card_velocity"]
    assert (prediction.model_version is None, prediction.score is None, prediction.probability is None) == (
        (mode == "rules_only",) * 3
    )
    decision = decision_of(prediction)
    assert (decision.score, decision.probability, decision.reasons) == (
        prediction.score,
        prediction.probability,
        prediction.reasons,
    )
    if mode == "normal":
        assert [reason.contribution for reason in prediction.reasons[1:]] == sorted(
            [reason.contribution or 0 for reason in prediction.reasons[1:]], reverse=True
        )
