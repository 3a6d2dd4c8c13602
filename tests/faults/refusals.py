"""What became of refused records: one dead letter each, and one `invalid` answer where an id can be read. Pure."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from tests.bench.bad_laws import Place, facts_of, place_of
from tests.faults.gateway import Expected

ZEROES = ("refusals_lost", "refusals_repeated", "refusals_differing")
"""Figures of which every one must be 0."""


def compare_refusals(
    expected: Mapping[Place, Expected], letters: Iterable[Any], decisions: Iterable[Any]
) -> dict[str, Any]:
    """Compare dead letters and `invalid` answers with what was sent to be refused; nothing else may be."""
    reasons: dict[Place, list[str]] = {}
    for letter in letters:
        reasons.setdefault(place_of(letter), []).append(facts_of(letter)["exception.class.name"])
    told = (json.loads(message.value()) for message in decisions)
    answers = Counter(each["transaction_id"] for each in told if each["action"] == "invalid")
    wanted = Counter(each.answered_id for each in expected.values() if each.answered_id)
    wrong = [
        f"{place}: {reasons[place]}, expected {each.reason}"
        for place, each in expected.items()
        if place in reasons and set(reasons[place]) != {each.reason}
    ]
    wrong += [f"{place}: a dead letter of what is not to be refused" for place in reasons if place not in expected]
    return {
        "refused_sent": len(expected),
        "refusals_lost": len(expected.keys() - reasons.keys()) + (wanted - answers).total(),
        "refusals_repeated": sum(len(each) - 1 for each in reasons.values()) + (answers - wanted).total(),
        "refusals_differing": len(wrong),
        "refusal_examples": wrong[:5],
    }
