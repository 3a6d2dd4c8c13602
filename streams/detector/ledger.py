"""What the sources have said of one payment, and the verdict that counts. Pure.

All of it is one number: for each source the verdict of its latest revision and the revision itself, in 12 bits. So the
entry of a payment in a timeline holds the whole ledger, and a label costs no more state than its payment's id.
"""

from typing import NamedTuple

from schemas.fields import FraudVerdict, Verdict
from schemas.label import REVISION_MAX, SOURCES_BY_RANK, Label, LabelSource

_VERDICTS: tuple[Verdict, ...] = ("withdrawn", "service_dispute", "legitimate", "fraud")
_CODE_OF = {verdict: code for code, verdict in enumerate(_VERDICTS)}
_BITS = 12
_MASK = (1 << _BITS) - 1
_LOWEST_FIRST = SOURCES_BY_RANK[::-1]
_SHIFT_OF: dict[LabelSource, int] = {source: _BITS * place for place, source in enumerate(_LOWEST_FIRST)}

assert (REVISION_MAX + 2) << 2 <= 1 << _BITS, "a revision does not fit"


class Counting(NamedTuple):
    """The verdict that counts, and whose it is; None: nobody says that it was fraud, or that it was not."""

    verdict: FraudVerdict | None = None
    source: LabelSource | None = None


def said_with(said: int, label: Label) -> int | None:
    """Return what was said, with a label added; None where its source has said so before, or something later.

    >>> def label(source: LabelSource, verdict: Verdict, revision: int = 0) -> Label:
    ...     return Label(transaction_id="tx-1", card="card_a", merchant="mer_b", verdict=verdict, source=source,
    ...                  revision=revision, occurred_at_ms=1522540800000, reported_at_ms=1523404800000)
    >>> said = said_with(0, label("customer", "fraud"))
    >>> said_with(said, label("customer", "fraud")) is None
    True
    >>> said = said_with(said, label("chargeback", "legitimate", revision=1))
    >>> counting(said)
    Counting(verdict='legitimate', source='chargeback')
    >>> counting(said_with(said, label("chargeback", "withdrawn", revision=2)))
    Counting(verdict='fraud', source='customer')
    """
    shift = _SHIFT_OF[label.source]
    known = said >> shift & _MASK
    if label.revision + 1 <= known >> 2:
        return None
    return said ^ (known ^ (label.revision + 1 << 2 | _CODE_OF[label.verdict])) << shift


def counting(said: int) -> Counting:
    """Return the verdict that counts: that of the highest-ranking source that says fraud or legitimate.

    A service dispute, whoever says it, says neither; but a payment that is disputed is none of which nobody complained,
    so beside one `assumed_legitimate` does not count.
    """
    disputed = False
    while said:
        place = (said.bit_length() - 1) // _BITS  # of the highest source that has spoken
        shift, source = place * _BITS, _LOWEST_FIRST[place]
        verdict = _VERDICTS[said >> shift & 3]
        if (verdict == "fraud" or verdict == "legitimate") and not (disputed and source == "assumed_legitimate"):  # noqa: PLR1714
            return Counting(verdict, source)
        disputed = disputed or verdict == "service_dispute"
        said &= (1 << shift) - 1
    return Counting()
