"""What follows from features: rules, score and action, by the documents that a prediction names."""

import json
from collections.abc import Iterable, Mapping, Sequence
from math import exp, log
from pathlib import Path
from typing import Any

from schemas.codec import DecodeFailure, decode
from schemas.decision import Prediction
from schemas.learning import ModelVersion, PolicyVersion
from schemas.topics import MODELS, POLICIES, RATES
from streams.detector.encode import ENCODER
from tests.all_topics import Topics

SHIPPED = Path(__file__).resolve().parent.parent / "streams" / "documents"
SEVERITY = ("approve", "step_up", "review", "block")

Difference = tuple[str, object, object]
"""What, expected, found."""


class Documents:
    """All that was ever in force, by version: what is shipped, and what was published."""

    def __init__(self, policies: Iterable[bytes], rates: Iterable[bytes], models: Iterable[bytes]) -> None:
        shipped = (SHIPPED / "policy.json").read_bytes(), (SHIPPED / "rates.json").read_bytes()
        self.policies: dict[str, PolicyVersion] = {}
        for value in (shipped[0], *policies):
            policy = decode(PolicyVersion, value)
            if not isinstance(policy, DecodeFailure):
                self.policies[policy.version] = policy
        self.rates: dict[str, Mapping[str, Any]] = {}
        for value in (shipped[1], *rates):
            table = json.loads(value)
            self.rates[table["version"]] = table
        self.models = {model.version: model for model in map(ModelVersion.model_validate_json, models)}

    def log_odds(self, version: str, cells: Sequence[int]) -> float:
        """Return what a model says, from its snapshot alone: a walk down each tree."""
        state = self.models[version].state
        linear, leaves, share = state["cells"], state["leaves"], float(state["share_of_leaves"])
        held = {str(part) for cell in cells for part in ENCODER.parts[cell]}
        by_cells: float = linear["intercept"] + sum(linear["weights"].get(part, 0.0) for part in held)
        if leaves is None:
            return by_cells
        by_leaves = float(leaves["intercept"]) + sum(_walk(each, cells) for each in leaves["trees"])
        return (1 - share) * by_cells + share * by_leaves

    def differences(self, prediction: Prediction) -> list[Difference]:
        """Return what is wrong with the answer to these features."""
        policy = self.policies.get(prediction.policy_version)
        if policy is None:
            return [("policy", "one that was in force", prediction.policy_version)]
        features = prediction.features
        hits = [rule for rule in policy.rules if rule.feature in features and features[rule.feature] >= rule.at_least]
        actions = ["approve", *(rule.action for rule in hits)]
        reasons = [(rule.name, rule.text, None) for rule in hits]
        found: list[Difference] = [("rules", tuple(rule.name for rule in hits), prediction.rule_hits)]
        if prediction.model_version is None:
            found.append(("answer of rules", (_mode(prediction, "rules_only"), None, None), _answer(prediction)))
            found.append(("reasons", reasons, _reasons(prediction)))
        else:
            found += self._by_model(prediction, policy)
            reached = [each.action for each in policy.thresholds if (prediction.score or 0) >= each.at_least_score]
            actions += reached
            found.append(("reasons of rules", reasons, _reasons(prediction)[: len(reasons)]))
        found.append(("action", max(actions, key=SEVERITY.index), prediction.action))
        return [each for each in found if each[1] != each[2]]

    def _by_model(self, prediction: Prediction, policy: PolicyVersion) -> list[Difference]:
        model = self.models.get(prediction.model_version or "")
        if model is None:
            return [("model", "one that was published", prediction.model_version)]
        found: list[Difference] = [("mode", _mode(prediction, "normal"), prediction.mode)]
        needs = policy.model_needs
        knows = (model.records >= needs.records, model.frauds >= needs.frauds)
        found.append(("model knows enough", (True, True), knows))
        log_odds = self.log_odds(model.version, ENCODER.encode(prediction.features))
        probability = 1 / (1 + exp(-log_odds)) if log_odds > -700 else 0.0
        if abs((prediction.probability or 0.0) - probability) > 1e-8:
            found.append(("probability", probability, prediction.probability))
        pays_at = policy.score_map.acting_pays_at_probability
        doublings = (log_odds - log(pays_at / (1 - pays_at))) / log(2)
        score = min(max(600 + policy.score_map.points_to_double_the_odds * doublings, 0), 1000)
        # At half a point the order of the sum decides which way it is rounded.
        if prediction.score is None or abs(prediction.score - score) > 0.5 + 1e-6:
            found.append(("score", score, prediction.score))
        return found


def documents_of(topics: Topics) -> Documents:
    """Return all documents that were published."""
    return Documents(*([message.value() for message in topics[topic]] for topic in (POLICIES, RATES, MODELS)))


def _walk(tree: Mapping[str, Any], cells: Sequence[int]) -> float:
    """Return what one tree says: at each node, right where the payment's cell of that input is not below."""
    node = 0
    while tree["left"][node]:
        asked = tree["cell"][node]
        node = tree["right" if cells[ENCODER.owners[asked]] >= asked else "left"][node]
    value: float = tree["value"][node]
    return value


def _mode(prediction: Prediction, live: str) -> str:
    """Return the mode: that a payment is history says its record, and the oracle of the merchant stage asks for it."""
    return prediction.mode if prediction.mode == "history" else live


def _answer(prediction: Prediction) -> tuple[object, ...]:
    return prediction.mode, prediction.score, prediction.probability


def _reasons(prediction: Prediction) -> list[tuple[str, str, float | None]]:
    return [(reason.code, reason.text, reason.contribution) for reason in prediction.reasons]
