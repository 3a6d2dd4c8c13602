"""The verdict that counts: any order, any repetition, and what is learned of it, against a reading of all of it."""

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import DecodeFailure, decode, encode
from schemas.fields import HOUR_MS
from schemas.label import REVISION_MAX, SOURCES_BY_RANK, EffectiveLabel, Label
from streams.detector.card import effective_of
from streams.detector.ledger import Counting, counting, said_with
from streams.detector.profile import CARD, Profile
from tests.oracle_ledger import verdict_that_counts

START_MS = 1_600_000_000_000


def _label(source: str, verdict: str, revision: int, hour: int = 0) -> Label:
    fields = {"transaction_id": "tx-1", "card": "card_a", "merchant": "mer_b", "occurred_at_ms": START_MS}
    said = {"source": source, "verdict": verdict, "revision": revision}
    return Label.model_validate({**fields, **said, "reported_at_ms": START_MS + hour * HOUR_MS})


_verdicts = st.sampled_from(["fraud", "legitimate", "service_dispute", "withdrawn"])
_labels = st.builds(_label, st.sampled_from(SOURCES_BY_RANK), _verdicts, st.integers(0, 3), st.integers(0, 99))


def _one_each(labels: list[Label]) -> list[Label]:
    """Return what each source says in each revision once: nobody says two things under one name."""
    return list({(each.source, each.revision): each for each in labels}.values())


def _folded(labels: list[Label]) -> Counting:
    said = 0
    for label in labels:
        said = said_with(said, label) or said
    return counting(said)


@given(st.lists(_labels, max_size=12).map(_one_each), st.data())
def test_any_order_and_repetition_gives_the_same_verdict(labels: list[Label], data: st.DataObject) -> None:
    """Law: the verdict that counts depends on what was said, and not on when or how often it came."""
    shuffled = data.draw(st.permutations(labels + labels[: len(labels) // 2]))
    assert _folded(shuffled) == _folded(labels) == verdict_that_counts(labels)


@given(st.lists(_labels, max_size=12))
def test_each_change_of_the_verdict_is_learned_once_and_nothing_else(labels: list[Label]) -> None:
    """Law: what is learned is the verdict at each of its changes, under a name of its own, and ends with the last."""
    card, said = Profile(CARD), list[Label]()
    verdicts = [Counting()]
    learned: list[Label] = []
    for label in labels:
        seen = card.report(label)
        card.apply(seen.changes)
        if not seen.duplicate:
            said.append(label)
        verdicts.append(Counting(*verdict_that_counts(said)))
        effective = effective_of(label, seen.verdict) if seen.verdict else None
        learned += [effective] if effective else []
    turns = [after.verdict for before, after in pairwise(verdicts) if before.verdict != after.verdict]
    assert all(isinstance(decode(EffectiveLabel, encode(each)), EffectiveLabel) for each in learned)
    assert [each.verdict for each in learned] == [verdict for verdict in turns if verdict]
    assert all(
        Counter((each.source, each.revision) for each in learned)[each.source, each.revision] == 1 for each in learned
    )
    if learned and verdicts[-1].verdict:
        assert learned[-1].verdict == verdicts[-1].verdict


def test_a_reversal_teaches_once() -> None:
    """Law: fraud, won by the shop, and both again: one example of each, and the analyst who agrees teaches nothing."""
    card, learned = Profile(CARD), list[str]()
    fraud, won = _label("chargeback", "fraud", 0), _label("chargeback", "legitimate", 1)
    for label in (fraud, fraud, won, fraud, won, _label("analyst", "legitimate", 0), _label("analyst", "fraud", 1)):
        seen = card.report(label)
        card.apply(seen.changes)
        learned += [seen.verdict.verdict] if seen.verdict and seen.verdict.verdict else []
    assert learned == ["fraud", "legitimate"]


def test_every_revision_of_every_source_fits_in_one_number() -> None:
    """Law: the ledger of a payment is a number of eight bytes, whatever was said of it."""
    said = 0
    for source in SOURCES_BY_RANK:
        said = said_with(said, _label(source, "fraud", REVISION_MAX)) or 0
    assert 0 < said < 2**63
    assert counting(said) == Counting("fraud", "chargeback")
    assert said_with(said, _label("customer", "fraud", REVISION_MAX)) is None


def test_fraud_with_the_reason_of_a_service_dispute_is_refused() -> None:
    """Law: goods that did not come teach no fraud, even where a sender calls them so."""
    label = _label("chargeback", "fraud", 0)
    for code, is_refused in (("Visa 13.1", True), ("4853", True), ("Amex C08", True), ("10.4", False), ("4837", False)):
        read = decode(Label, encode(label.model_copy(update={"reason_code": code})))
        assert isinstance(read, DecodeFailure) == is_refused
        dispute = label.model_copy(update={"reason_code": code, "verdict": "service_dispute"})
        assert decode(Label, encode(dispute)) == dispute
