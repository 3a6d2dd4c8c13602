"""What one look at the store found: a figure beside its bound, and facts from which a cause is read."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

Fact = Literal[
    "missing",
    "late",
    "refused",
    "field_broken",
    "mix_shifted",
    "feature_moved",
    "score_moved",
    "decisions_moved",
    "policy_changed",
    "recall_down",
    "loss_up",
    "miscalibrated",
    "labels_jumped",
]
Columns = Mapping[str, Sequence[Any]]
"""The result of a query, by column."""

NO_FACTS: frozenset[Fact] = frozenset()


class Finding(NamedTuple):
    """What was measured. `bound` is that of this look where it depends on how many rows there were.

    `subject` is what the figure is about, such as the feature that moved most; `text` tells a person.
    """

    over: bool
    value: float
    bound: float
    rows: int
    subject: str
    text: str
    facts: frozenset[Fact] = NO_FACTS
