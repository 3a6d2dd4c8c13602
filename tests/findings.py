"""What the oracle found in a run's topics: counts, and the first few differences in words."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from schemas.decision import Prediction

EXAMPLES_MAX = 5

Identity = tuple[str, str]
"""Card and transaction id."""

Place = tuple[str, int, int]
"""Topic, partition, offset."""


def keep(examples: list[str], text: str) -> None:
    """Keep the first few of what was found."""
    if len(examples) < EXAMPLES_MAX:
        examples.append(text)


@dataclass
class Audit:
    """What the comparison found. `lost`, `repeated` and `differing` must be 0."""

    transactions: int = 0
    decisions: int = 0
    predictions: int = 0
    lost: int = 0
    history: int = 0
    repeated: int = 0
    differing: int = 0
    duplicates: int = 0
    refused: int = 0
    dead_letters: int = 0
    replayed: int = 0
    labels: int = 0
    known_fraud_hits: int = 0
    modes: Counter[str] = field(default_factory=Counter)
    lateness_ms: list[int] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)
    predicted: dict[Identity, Prediction] = field(default_factory=dict)
    failed_at: set[Place] = field(default_factory=set)
    failed: Counter[Identity] = field(default_factory=Counter)

    def differs(self, what: str, expected: object, actual: object) -> None:
        """Count a difference, and keep the first few."""
        if expected != actual:
            self.differing += 1
            keep(self.examples, f"{what}: expected {expected}, found {actual}")

    def figures(self) -> dict[str, Any]:
        """Return the counts and the lateness of the merchant stage's events, in event time."""
        late = sorted(self.lateness_ms) or [0]
        kept: tuple[str, ...] = (
            "transactions",
            "history",
            "decisions",
            "predictions",
            "lost",
            "repeated",
            "differing",
            "duplicates",
        )
        kept = (*kept, "refused", "dead_letters", "replayed", "labels", "known_fraud_hits")
        return {name: getattr(self, name) for name in kept} | {
            "modes": dict(self.modes),
            "merchant_lateness_ms": {
                "median": late[len(late) // 2],
                "p99": late[int(len(late) * 0.99)],
                "max": late[-1],
            },
            "examples": self.examples,
        }
