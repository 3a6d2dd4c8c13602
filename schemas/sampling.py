"""Which labels become training records, and how many examples each stands for.

Here, because whoever evaluates a model must keep the very labels that the label join keeps.
"""

import hashlib

from schemas.label import Label

_KEY = b"fraud.training.v1"
"""Makes this sample independent of any other that is drawn by a hash of the same ids. It never changes: another key
would be another sample, and a label read again after a crash has to be kept or dropped as before."""


def weight_of(label: Label, one_in: int) -> float | None:
    """Return how many examples the label stands for; None: not kept.

    Payments that nobody disputed are nearly all there are, so of labels from the source `assumed_legitimate` one in
    `one_in` is kept and stands for as many. Which, a keyed hash of card and transaction id says: the same wherever and
    as often as it is asked. Every other label is kept and stands for itself.

    >>> def label(number: int, verdict: str = "legitimate", source: str = "assumed_legitimate") -> Label:
    ...     return Label(transaction_id=f"tx-{number}", card="card_a", merchant="mer_b", verdict=verdict, source=source,
    ...                  occurred_at_ms=1522540800000, reported_at_ms=1523404800000)
    >>> [weight_of(label(number), 3) for number in range(4)]
    [None, 3.0, None, None]
    >>> weight_of(label(0), 1), weight_of(label(0, "fraud", "chargeback"), 3)
    (1.0, 1.0)
    """
    if label.verdict_source != "assumed_legitimate":
        return 1.0
    named = f"{label.card} {label.transaction_id}".encode()  # neither can hold a space
    drawn = int.from_bytes(hashlib.blake2b(named, digest_size=8, key=_KEY).digest())
    return float(one_in) if drawn % one_in == 0 else None
