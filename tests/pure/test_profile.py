"""A profile against lists: features, duplicates, lateness, labels and their revisions, restores at any moment."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.fields import DAY_MS, HOUR_MS, Features, Verdict
from schemas.label import SOURCES_BY_RANK, Label, LabelSource, VerdictChange
from schemas.transaction import Transaction
from streams.detector.look import Payment
from streams.detector.profile import CARD, MERCHANT, Kind, Seen
from streams.detector.state import State
from tests.oracle_features import Entity, differences, payment_features
from tests.oracle_ledger import Ledger

START_MS = 1_600_000_000_000
ENTITY = "card_a"


class Lists:
    """The brute force of `tests/oracle_features.py`, with what a profile says beside the features."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.entity = Entity("card" if kind is CARD else "merchant")

    def pay(self, payment: Payment) -> tuple[bool, int, Features]:
        transaction, amount = payment.transaction, payment.amount_base
        if self.kind.keeps_ids and self.entity.knows(transaction.transaction_id):
            return True, 0, {}
        features = self.entity.features(transaction, amount)
        if self.kind.keeps_ids:
            features |= payment_features(transaction, amount)
        return False, self.entity.pay(transaction, amount), features


class Remembering:
    """A state whose log is kept, and which can be thrown away and restored from it."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.state = State(kind)
        self.log: dict[bytes, bytes | None] = {}

    def pay(self, time_ms: int, amount_minor: int = 1, name: str = "tx") -> Seen:
        return self.pay_with(_payment(time_ms, amount_minor, name))

    def pay_with(self, payment: Payment) -> Seen:
        return self._applied(self.state.profile(ENTITY).pay(payment))

    def report(self, label: Label) -> Seen:
        return self._applied(self.state.profile(ENTITY).report(label))

    def follow(self, label: Label, change: VerdictChange) -> Seen:
        return self._applied(self.state.profile(ENTITY).follow(label, change))

    def _applied(self, seen: Seen) -> Seen:
        self.state.apply(ENTITY, seen.changes)
        self.log.update(self.state.take_changed_pieces())
        return seen

    def restore(self) -> None:
        self.state = State(self.kind)
        for key, value in self.log.items():
            self.state.restore(key, value)


def _payment(
    time_ms: int, amount: int | None = 1, name: str = "tx", merchant: int = 0, device: int | None = None
) -> Payment:
    transaction = Transaction(
        transaction_id=name,
        card="card_a",
        merchant=f"mer_{merchant}",
        amount_minor=amount or 0,
        currency="EUR",
        event_time_ms=time_ms,
        device=None if device is None else f"dev_{device}",
    )
    return Payment(transaction, amount, name, transaction.merchant)


def _label(
    name: str, revision: int, verdict: Verdict, reported_at_ms: int, source: LabelSource = "chargeback"
) -> Label:
    named = {"transaction_id": name, "card": "card_a", "merchant": "mer_b", "revision": revision}
    said = {"verdict": verdict, "source": source, "occurred_at_ms": START_MS, "reported_at_ms": reported_at_ms}
    return Label.model_validate({**named, **said})


_fine = st.integers(0, 60).map(lambda step: START_MS + step * HOUR_MS // 2)
_wide = st.integers(0, 160).map(lambda step: START_MS + step * DAY_MS // 2)
_near = st.integers(0, 50).map(lambda step: START_MS + step * DAY_MS // 2)
_names = st.integers(0, 60).map(lambda number: f"tx-{number}")
_amounts = st.one_of(st.integers(0, 10**4), st.integers(0, 10**13), st.none())
_devices = st.one_of(st.none(), st.integers(0, 6))
_verdicts: st.SearchStrategy[Verdict] = st.sampled_from(
    ["fraud", "fraud", "legitimate", "legitimate", "service_dispute", "withdrawn"]
)
_sources = st.sampled_from(SOURCES_BY_RANK)
_labels = st.builds(_label, st.integers(0, 5).map("tx-{}".format), st.integers(0, 4), _verdicts, _near, _sources)


def _steps(times: st.SearchStrategy[int], *more: st.SearchStrategy[object]) -> st.SearchStrategy[list[object]]:
    payments: st.SearchStrategy[object] = st.builds(_payment, times, _amounts, _names, st.integers(0, 20), _devices)
    return st.lists(st.one_of(payments, payments, payments, *more, st.just("restore")), max_size=160)


def _equals_lists(kind: Kind, steps: list[object]) -> None:
    remembering, lists, ledger = Remembering(kind), Lists(kind), Ledger()
    for step in steps:
        if isinstance(step, Label) and not kind.keeps_ids:
            if change := ledger.report(step)[1]:
                assert remembering.follow(step, change).duplicate == (not lists.entity.follow(step, change))
        elif isinstance(step, Label):
            # What is said of a payment comes after it.
            if lists.entity.knows(step.transaction_id):
                seen = remembering.report(step)
                assert (not seen.duplicate, seen.verdict) == lists.entity.report(step)
        elif isinstance(step, Payment):
            loose = lists.entity.loose
            seen, (duplicate, late_ms, features) = remembering.pay_with(step), lists.pay(step)
            assert (seen.duplicate, seen.late_ms) == (duplicate, late_ms)
            assert differences(features, seen.features, loose) == {}
        else:
            remembering.restore()


@settings(max_examples=60, deadline=None)
@given(_steps(_wide))
def test_card_payments_equal_lists(steps: list[object]) -> None:
    """Law: over months, late beyond retention or not, repeated or not, restored or not, all is as if scanned."""
    _equals_lists(CARD, steps)


@settings(max_examples=60, deadline=None)
@given(_steps(st.one_of(_near, _fine), _labels))
def test_card_with_labels_equals_lists(steps: list[object]) -> None:
    """Law: labels count from their report on, in their newest revision, whatever order the revisions come in."""
    _equals_lists(CARD, steps)


@settings(max_examples=60, deadline=None)
@given(_steps(st.one_of(_wide, _fine), _labels))
def test_merchant_equals_lists(steps: list[object]) -> None:
    """Law: as for a card, but payments have no names: the same one twice counts twice."""
    _equals_lists(MERCHANT, steps)


def test_repeats_around_another() -> None:
    """Law: A, B, A is A and B, also after a restore and when A is late."""
    card = Remembering(CARD)
    assert not card.pay(START_MS, 100, "A").duplicate
    assert not card.pay(START_MS + DAY_MS, 100, "B").duplicate
    assert card.pay(START_MS, 100, "A").duplicate
    card.restore()
    assert card.pay(START_MS, 100, "A").duplicate
    assert card.pay(START_MS + 2 * DAY_MS, 1, "C").features["card_count_7d"] == 3


def test_an_id_is_known_until_its_card_has_a_payment_32_days_newer() -> None:
    """Law: up to the last millisecond of 32 days a repeat is known, by the card's newest payment and not its own."""
    card = Remembering(CARD)
    card.pay(START_MS, 100, "A")
    assert card.pay(START_MS + 90 * DAY_MS, 100, "A").duplicate
    card.pay(START_MS + 32 * DAY_MS - 1, 100, "B")
    assert card.pay(START_MS + 33 * DAY_MS, 100, "A").duplicate
    card.pay(START_MS + 32 * DAY_MS, 100, "C")
    assert not card.pay(START_MS + 33 * DAY_MS, 100, "A").duplicate


def test_late_beyond_retention_is_answered_once() -> None:
    """Law: a payment too late for every window sees itself alone, changes no window, and its repeat is known."""
    card = Remembering(CARD)
    card.pay(START_MS + 40 * DAY_MS, 100, "new")
    late = card.pay(START_MS, 700, "late")
    assert (late.late_ms, late.features["card_amount_minor_30d"]) == (40 * DAY_MS, 700)
    card.restore()
    assert card.pay(START_MS, 700, "late").duplicate
    assert card.pay(START_MS + 40 * DAY_MS, 1, "next").features["card_amount_minor_30d"] == 101


def test_label_never_counts_before_its_report() -> None:
    """Law: a payment just before the report does not see it, one at its millisecond does, one 30 days on does not."""
    card = Remembering(CARD)
    card.report(_label("tx-1", 0, "fraud", START_MS + DAY_MS))
    known = [
        card.pay(at_ms, 1, f"{at_ms}").features["card_known_frauds_30d"]
        for at_ms in (START_MS + DAY_MS - 1, START_MS + DAY_MS, START_MS + 31 * DAY_MS - 1, START_MS + 31 * DAY_MS)
    ]
    assert known == [0, 1, 1, 0]


def test_retraction_overtakes_the_fraud() -> None:
    """Law: a retraction that comes before the fraud it retracts holds; a still newer revision counts again."""
    card = Remembering(CARD)
    card.report(_label("tx-1", 1, "legitimate", START_MS + HOUR_MS))
    assert card.report(_label("tx-1", 0, "fraud", START_MS)).duplicate
    card.restore()
    assert card.pay(START_MS + 2 * HOUR_MS, 1, "a").features["card_known_frauds_24h"] == 0
    card.report(_label("tx-1", 2, "fraud", START_MS + 3 * HOUR_MS))
    assert card.pay(START_MS + 3 * HOUR_MS, 1, "b").features["card_known_frauds_24h"] == 1


def test_seeing_changes_nothing() -> None:
    """Law: `pay` and `report` only say what would change."""
    card = Remembering(CARD)
    profile = card.state.profile(ENTITY)
    for _ in range(2):
        assert not profile.pay(_payment(START_MS, 5, "A")).duplicate
        assert profile.report(_label("A", 0, "fraud", START_MS)).verdict
    assert profile.pay(_payment(START_MS, 5, "B")).features["card_count_24h"] == 1
    assert profile.pay(_payment(START_MS, 5, "B")).features["card_merchant_is_new"] == 1


def test_restored_equals_live_after_a_split_inside_equal_times() -> None:
    """Law: many payments of one millisecond, then a late one: live and restored agree with a scan."""
    merchant, lists = Remembering(MERCHANT), Lists(MERCHANT)
    times_ms = [1_000, *[5_000] * 64, 6_000, 7_000, 3_000]
    for time_ms in times_ms:
        merchant.pay(START_MS + time_ms)
        lists.pay(_payment(START_MS + time_ms))
    probe = _payment(START_MS + 6_000)
    expected = lists.pay(probe)[2]
    live = merchant.state.profile(ENTITY).pay(probe).features
    merchant.restore()
    assert merchant.state.profile(ENTITY).pay(probe).features == live
    assert differences(expected, live) == {}


def test_late_payment_is_remembered_beside_a_newer_retraction() -> None:
    """Law: the repeat of a payment beyond retention is known although a label of the card was revised since."""
    card = Remembering(CARD)
    card.pay(START_MS + 40 * DAY_MS, 1, "new")
    card.report(_label("new", 1, "legitimate", START_MS + 80 * DAY_MS))
    card.pay(START_MS, 1, "late")
    assert card.pay(START_MS, 1, "late").duplicate


def test_retraction_is_remembered_beside_a_late_payment() -> None:
    """Law: a retracted fraud stays retracted although a payment beyond retention came between its revisions."""
    card = Remembering(CARD)
    card.pay(START_MS + 80 * DAY_MS, 1, "new")
    card.pay(START_MS, 1, "late")
    card.report(_label("tx-1", 0, "fraud", START_MS + 40 * DAY_MS))
    card.report(_label("tx-1", 1, "legitimate", START_MS + 41 * DAY_MS))
    assert card.report(_label("tx-1", 0, "fraud", START_MS + 40 * DAY_MS)).duplicate


def test_piece_that_cannot_be_read_is_not_taken_for_nothing() -> None:
    """Law: an entity whose stored state is broken fails every time; it is never taken for one without a history."""
    state = State(CARD)
    state.restore(b"card_a/p/0", b"\x07 not a segment")
    for _ in range(2):
        with pytest.raises(ValueError, match="not a segment"):
            state.profile("card_a")


def test_cleared_payment_that_turns_out_fraud_is_no_longer_cleared() -> None:
    """Law: what was cleared, cleared again later and then found to be fraud leaves the others' cleared sums alone."""
    once, often = Remembering(CARD), Remembering(CARD)
    for card in (once, often):
        for name, amount in (("other", 100), ("tx-1", 9_900)):
            card.pay(START_MS, amount, name)
            card.report(_label(name, 0, "legitimate", START_MS + DAY_MS))
    often.report(_label("tx-1", 1, "legitimate", START_MS + 6 * DAY_MS))
    for card in (once, often):
        card.report(_label("tx-1", 2, "fraud", START_MS + 7 * DAY_MS))
        assert card.pay(START_MS + 8 * DAY_MS, 300, "next").features["card_amount_times_cleared"] == 3.0


def _life(chance: Random, steps: int) -> list[object]:
    """Return a busy life of one entity: in order and late, ties, revised labels, restores."""
    life: list[object] = []
    now_ms, label_ms = START_MS, START_MS
    for number in range(steps):
        now_ms += chance.choice((0, 1, 1_000, HOUR_MS - 1, HOUR_MS, 5 * HOUR_MS))
        late_ms = chance.choice((0, 0, 0, 1, HOUR_MS, 20 * HOUR_MS, 3 * DAY_MS))
        amount = chance.choice((None, chance.randrange(10_000), 500))
        named = (f"tx-{chance.randrange(number + 1)}", chance.randrange(20), chance.choice((None, *range(6))))
        life.append(_payment(now_ms - late_ms, amount, *named))
        if chance.random() < 0.3:
            label_ms = now_ms - chance.choice((0, HOUR_MS, 3 * DAY_MS))
            verdict: Verdict = chance.choice(("fraud", "legitimate", "legitimate", "service_dispute", "withdrawn"))
            source = chance.choice(SOURCES_BY_RANK)
            life.append(_label(f"tx-{chance.randrange(12)}", chance.randrange(9), verdict, label_ms, source))
        if chance.random() < 0.02:
            life.append("restore")
    return life


@pytest.mark.parametrize("kind", [CARD, MERCHANT], ids=["card", "merchant"])
@pytest.mark.parametrize("seed", range(12))
def test_long_life_equals_lists(kind: Kind, seed: int) -> None:
    """Law: a card or merchant with hundreds of payments and labels over weeks is told as if scanned."""
    _equals_lists(kind, _life(Random(seed), 260))
