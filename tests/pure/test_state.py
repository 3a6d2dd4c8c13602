"""A task's state: what is let go of and made anew changes nothing, and what it says of its size is so."""

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from schemas.fields import DAY_MS, HOUR_MS, Verdict
from schemas.label import Label
from schemas.transaction import Transaction
from streams.detector.look import Payment
from streams.detector.profile import CARD, MERCHANT, Kind, Profile, Seen
from streams.detector.state import Size, State
from tests.oracle_ledger import Ledger

START_MS = 1_600_000_000_000

_entities = st.integers(0, 5).map("card_{}".format)
_times = st.one_of(
    st.integers(0, 100).map(lambda step: START_MS + step * HOUR_MS),
    st.integers(0, 80).map(lambda step: START_MS + step * DAY_MS),
)
_names = st.integers(0, 40).map("tx-{}".format)
_verdicts: st.SearchStrategy[Verdict] = st.sampled_from(["fraud", "legitimate", "service_dispute", "withdrawn"])


def _payment(card: str, time_ms: int, amount: int, name: str) -> Payment:
    fields = {"transaction_id": name, "card": card, "merchant": "mer_b", "currency": "EUR"}
    transaction = Transaction.model_validate({**fields, "amount_minor": amount, "event_time_ms": time_ms})
    return Payment(transaction, amount, name, "mer_b")


def _label(card: str, time_ms: int, name: str, verdict: Verdict, revision: int) -> Label:
    return Label(
        transaction_id=name,
        card=card,
        merchant="mer_b",
        revision=revision,
        verdict=verdict,
        source="chargeback",
        occurred_at_ms=START_MS,
        reported_at_ms=time_ms,
    )


_payments = st.builds(_payment, _entities, _times, st.integers(0, 10**6), _names)
_labels = st.builds(_label, _entities, _times, _names, _verdicts, st.integers(0, 3))
_batches = st.lists(st.lists(st.one_of(_payments, _payments, _payments, _labels), max_size=12), max_size=20)


class Logged:
    """A state with its log."""

    def __init__(self, kind: Kind, profiles_ready: int) -> None:
        self.state = State(kind, profiles_ready)
        self.log: list[tuple[bytes, bytes | None]] = []
        self.keeps_ids = kind.keeps_ids
        self.ledgers: defaultdict[str, Ledger] = defaultdict(Ledger)

    def fold(self, batch: list[Payment | Label]) -> list[Seen]:
        answers = []
        for event in batch:
            entity = event.card if isinstance(event, Label) else event.transaction.card
            seen = self._seen(self.state.profile(entity), event)
            self.state.apply(entity, seen.changes)
            answers.append(Seen(seen.duplicate, seen.late_ms, seen.features))
        self.log += self.state.take_changed_pieces().items()
        return answers

    def _seen(self, profile: Profile, event: Payment | Label) -> Seen:
        if isinstance(event, Payment):
            return profile.pay(event)
        if self.keeps_ids:
            return profile.report(event)
        change = self.ledgers[event.card].report(event)[1]
        return profile.follow(event, change) if change else Seen()

    def size(self) -> Size:
        held = {key: value for key, value in dict(self.log).items() if value is not None}
        entities = sum(key.endswith(b"/h/0") for key in held)
        return Size(entities, len(held), sum(len(key) + len(value) for key, value in held.items()), 0)


@given(_batches, st.sampled_from([CARD, MERCHANT]), st.integers(1, 3))
def test_a_profile_made_anew_answers_as_one_that_was_kept(
    batches: list[list[Payment | Label]], kind: Kind, profiles_ready: int
) -> None:
    """Law: however few profiles are kept ready, every answer and every record of the state log is the same."""
    kept, made_anew = Logged(kind, 1_000), Logged(kind, profiles_ready)
    for batch in batches:
        assert made_anew.fold(batch) == kept.fold(batch)
        assert len(made_anew.state._ready) <= profiles_ready
    assert made_anew.log == kept.log


@given(_batches, st.sampled_from([CARD, MERCHANT]))
def test_size_is_that_of_the_compacted_log(batches: list[list[Payment | Label]], kind: Kind) -> None:
    """Law: entities, pieces and bytes are those of the last record of each key, live and restored."""
    logged = Logged(kind, 2)
    for batch in batches:
        logged.fold(batch)
    restored = State(kind)
    for key, value in logged.log:
        restored.restore(key, value)
    assert logged.state.size._replace(largest_bytes=0) == restored.size == logged.size()


def test_largest_is_the_most_that_one_entity_has_taken() -> None:
    """Law: it grows with the entity's pieces, and what another takes beside it does not count."""
    logged = Logged(CARD, 1)
    for number in range(200):
        logged.fold([_payment("card_0", START_MS + number * HOUR_MS, 1, f"tx-{number}")])
        logged.fold([_payment(f"card_{number}x", START_MS, 1, "tx")])
    of_card = {
        key: value for key, value in dict(logged.log).items() if key.startswith(b"card_0/") and value is not None
    }
    assert logged.state.size.largest_bytes == sum(len(key) + len(value) for key, value in of_card.items())
    assert len(of_card) == 5


def test_what_one_entity_can_take_is_bounded_by_its_payments_of_32_days() -> None:
    """Law: 120 days at one pace take no more than 32 days of it and two segments."""
    logged = Logged(CARD, 1)
    largest = []
    for day in range(120):
        names = [(day * DAY_MS + number * HOUR_MS, f"tx-{day}-{number}") for number in range(20)]
        logged.fold([_payment("card_0", START_MS + at_ms, 1, name) for at_ms, name in names])
        largest.append(logged.state.size.largest_bytes)
    a_payment = 16 + len("tx-100-19") + 1
    assert largest[-1] == max(largest) <= (32 * 20 + 3 * 64) * a_payment + 2_000
    assert largest[-1] <= 1.15 * largest[40]


def test_key_that_is_no_piece_is_refused() -> None:
    """Law: a state log that holds something else is never taken for one without it."""
    for key in (b"card_a/x/1", b"card_a/p/one", b"card_a"):
        try:
            State(CARD).restore(key, b"")
        except ValueError:
            continue
        raise AssertionError(key)
