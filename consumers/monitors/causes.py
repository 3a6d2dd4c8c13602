"""From the facts of one look to what most likely caused them: a table, of which the first row that fits counts.

A drift alarm alone says that something differs. What to do depends on why: payments of other countries and channels,
a field that a sender broke, a new kind of fraud, a policy of our own, or a pipeline that lost or delays records.
"""

from collections.abc import Collection
from typing import NamedTuple

from consumers.monitors.finding import Fact
from schemas.registry import Cause


class Row(NamedTuple):
    """A cause where one of `any_of` is a fact, and none of `none_of` is."""

    cause: Cause
    any_of: frozenset[Fact]
    none_of: frozenset[Fact] = frozenset()


def _row(cause: Cause, *any_of: Fact, unless: tuple[Fact, ...] = ()) -> Row:
    return Row(cause, frozenset(any_of), frozenset(unless))


CAUSES: tuple[Row, ...] = (
    # What is missing, late or refused explains whatever else has moved.
    _row("broken_pipeline", "missing", "late", "refused"),
    # A field that half of the payments lack because they come by another channel is not broken.
    _row("input_mix", "mix_shifted"),
    _row("broken_field", "field_broken"),
    _row("input_feature", "feature_moved"),
    # From here on what came in is as it was.
    _row("fraud_pattern", "loss_up"),
    _row("own_policy", "policy_changed", unless=("score_moved",)),
    _row("fraud_pattern", "recall_down"),
    _row("labels", "labels_jumped"),
    _row("model", "score_moved", "miscalibrated"),
)

RETRAIN: frozenset[Cause] = frozenset(["input_mix", "input_feature", "fraud_pattern", "model"])
"""Causes against which a model that learns anew helps. Of a broken field it would learn the breakage."""


def cause_of(facts: Collection[Fact]) -> Cause:
    """Return the cause that the facts speak for.

    >>> cause_of({"mix_shifted", "feature_moved", "decisions_moved"}), cause_of({"decisions_moved", "policy_changed"})
    ('input_mix', 'own_policy')
    >>> cause_of({"decisions_moved"})
    'unknown'
    """
    there = frozenset(facts)
    return next((row.cause for row in CAUSES if row.any_of & there and not row.none_of & there), "unknown")
