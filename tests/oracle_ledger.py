"""Who said what of a payment, and the verdict that counts, worked out anew from all that was said.

Nothing is shared with the detector's ledger: what was said is kept as it came, and looked through at each label.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from schemas.fields import DAY_MS, FraudVerdict
from schemas.label import EffectiveLabel, Label, LabelSource, VerdictChange

RETENTION_MS = 32 * DAY_MS
RANK: dict[LabelSource, int] = {
    "assumed_legitimate": 1,
    "customer": 2,
    "analyst": 3,
    "issuer_report": 4,
    "chargeback": 5,
}


def verdict_that_counts(said: Iterable[Label]) -> tuple[FraudVerdict | None, LabelSource | None]:
    """Return fraud or legitimate, and who says so; None where nobody does."""
    latest = {label.source: label for label in sorted(said, key=lambda label: label.revision)}
    silence_is_broken = any(label.verdict == "service_dispute" for label in latest.values())
    for label in sorted(latest.values(), key=lambda label: RANK[label.source], reverse=True):
        if label.source == "assumed_legitimate" and silence_is_broken:
            continue
        if label.verdict in {"fraud", "legitimate"}:
            return ("fraud" if label.verdict == "fraud" else "legitimate"), label.source
    return None, None


@dataclass
class Standing:
    """The verdict that counts for a payment, since when, and all that was said of it."""

    verdict: FraudVerdict | None
    since_ms: int
    said: list[Label] = field(default_factory=list)


class Ledger:
    """What was said of the payments of one entity. Of those with one verdict the newest is told, and 32 days behind."""

    def __init__(self) -> None:
        self.standing: dict[str, Standing] = {}

    def since_ms(self, verdict: FraudVerdict | None) -> list[int]:
        """Return since when each payment has had this verdict."""
        return [each.since_ms for each in self.standing.values() if each.verdict == verdict]

    def known(self, tag: str) -> Standing | None:
        """Return what stands of a payment, as long as it is remembered."""
        held = self.standing.get(tag)
        if held is None or held.since_ms <= max(self.since_ms(held.verdict)) - RETENTION_MS:
            return None
        return held

    def report(self, label: Label) -> tuple[bool, VerdictChange | None]:
        """Take a label; return whether it was news, and what it changed."""
        held = self.known(label.transaction_id)
        said = held.said if held else []
        if any(each.source == label.source and each.revision >= label.revision for each in said):
            return False, None
        verdict, source = verdict_that_counts([*said, label])
        before = held.verdict if held else None
        if held and before == verdict:
            held.said.append(label)
            return True, None
        self.standing[label.transaction_id] = Standing(verdict, label.reported_at_ms, [*said, label])
        if before == verdict:
            return True, None
        return True, VerdictChange(
            verdict=verdict,
            verdict_of=None if source == label.source else source,
            before=before,
            before_since_ms=held.since_ms if held and before else None,
        )


def effective(label: Label, change: VerdictChange | None) -> EffectiveLabel | None:
    """Return what is to be learned of a label: one that brought about another verdict, with that verdict."""
    if change is None or change.verdict is None:
        return None
    said = {**label.model_dump(), "verdict": change.verdict, "verdict_of": change.verdict_of}
    return EffectiveLabel.model_validate(said)
