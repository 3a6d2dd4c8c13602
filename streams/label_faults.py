"""Labels that never come or say the wrong thing, for experiments: which, a keyed hash of the transaction says.

So another model, another delay or another process meets the very same faults.
"""

import hashlib
from dataclasses import dataclass

from schemas.label import Label

_SCALE = 2**64


@dataclass(frozen=True, slots=True)
class LabelFaults:
    """Shares of all labels, from 0 to 1: of those that never come, and of the others those with the wrong verdict."""

    missing: float = 0.0
    wrong: float = 0.0
    seed: int = 1

    def __post_init__(self) -> None:
        """Refuse what is no share.

        Raises
        ------
        ValueError
            A share that is not from 0 to 1.
        """
        for name, share in (("missing", self.missing), ("wrong", self.wrong)):
            if not 0 <= share <= 1:
                raise ValueError(f"share of {name} labels: {share:g} is not from 0 to 1")


NO_FAULTS = LabelFaults()


def faulty(labels: tuple[Label, ...], faults: LabelFaults) -> tuple[Label, ...]:
    """Return the labels of one payment as they are told: none, all the wrong way round, or as they are.

    >>> def label(number: int) -> Label:
    ...     return Label(transaction_id=f"tx-{number}", card="card_a", merchant="mer_b", verdict="fraud",
    ...                  source="chargeback", occurred_at_ms=1522540800000, reported_at_ms=1523404800000)
    >>> told = [faulty((label(number),), LabelFaults(missing=0.5, wrong=0.5)) for number in range(6)]
    >>> [labels[0].verdict if labels else "none" for labels in told]
    ['none', 'legitimate', 'none', 'none', 'none', 'none']
    """
    if not labels or not (faults.missing or faults.wrong):
        return labels
    named = f"{labels[0].card} {labels[0].transaction_id}".encode()
    drawn = hashlib.blake2b(named, digest_size=16, key=f"label faults {faults.seed}".encode()).digest()
    if int.from_bytes(drawn[:8]) < faults.missing * _SCALE:
        return ()
    if int.from_bytes(drawn[8:]) < faults.wrong * _SCALE:
        return tuple(_turned(label) for label in labels)
    return labels


def _turned(label: Label) -> Label:
    """Return a label that says the opposite, as its source would: a fraud that nobody noticed, or a false dispute."""
    if label.verdict == "fraud":
        changes = {"verdict": "legitimate", "source": "assumed_legitimate", "fraud_type": None}
    else:
        changes = {"verdict": "fraud", "source": "chargeback"}
    return label.model_copy(update=changes)
