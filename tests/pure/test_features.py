"""The feature table: what a payment says by itself, amounts in one currency, ranges, and that nothing is not finite."""

import json
from math import isfinite
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.fields import DAY_MS
from schemas.learning import RateTable
from schemas.transaction import Channel, EntryMode, Transaction
from streams.detector.features import FEATURES
from streams.detector.look import Payment
from streams.detector.profile import CARD, MERCHANT, Profile
from streams.detector.rates import AMOUNT_BASE_MAX, to_base_minor
from streams.documents import shipped_rates
from tests.oracle_decisions import SHIPPED
from tests.oracle_features import differences, exact_base_amount, is_rounded, payment_features

TIMES_MS = st.integers(946_684_800_000, 4_102_444_799_999)
COUNTRIES = st.sampled_from([None, "DE", "FR", "US"])
RATES_JSON = json.loads((SHIPPED / "rates.json").read_bytes())
CURRENCIES = [*sorted(RATES_JSON["units_per_base"]), "EUR", "XOF", "BHD"]


def _optional(*values: object) -> st.SearchStrategy[object]:
    return st.sampled_from([None, *values])


TRANSACTIONS = st.builds(
    Transaction,
    transaction_id=st.just("tx-1"),
    card=st.just("card_a"),
    merchant=st.sampled_from(["mer_a", "mer_b"]),
    amount_minor=st.one_of(st.integers(0, 10**6), st.integers(0, 10**13)),
    currency=st.sampled_from(CURRENCIES),
    event_time_ms=TIMES_MS,
    utc_offset_minutes=st.one_of(st.none(), st.integers(-840, 840)),
    mcc=_optional("0000", "5411", "9999"),
    channel=st.sampled_from(get_args(Channel)),
    entry_mode=st.sampled_from(get_args(EntryMode)),
    issuer_country=COUNTRIES,
    merchant_country=COUNTRIES,
    ip_country=COUNTRIES,
    shipping_country=COUNTRIES,
    device=_optional("dev_1"),
)


@given(TRANSACTIONS)
def test_amount_in_base_currency_is_the_exact_one_rounded(transaction: Transaction) -> None:
    """Law: to the minor unit the amount is what fractions give; without a rate there is none; it is bounded."""
    amount = to_base_minor(transaction.amount_minor, transaction.currency, shipped_rates())
    assert is_rounded(exact_base_amount(transaction, RATES_JSON), amount)
    assert amount is None or 0 <= amount <= AMOUNT_BASE_MAX


def test_any_rate_gives_a_bounded_amount() -> None:
    """Law: the largest amount at the smallest rate a table may hold is still a whole number within bounds."""
    rates = RateTable(version="r-1", author="x", base="KWD", units_per_base={"JPY": 5e-324, "USD": 1e12})
    assert to_base_minor(10**13, "JPY", rates) == AMOUNT_BASE_MAX
    assert to_base_minor(10**13, "USD", rates) == 100


@given(TRANSACTIONS)
def test_payment_features_equal_the_calendar_and_the_lists(transaction: Transaction) -> None:
    """Law: hour, weekend, channel, trade and countries are those that the standard library and plain lists give."""
    amount = to_base_minor(transaction.amount_minor, transaction.currency, shipped_rates())
    features = Profile(CARD).pay(Payment(transaction, amount, "tx-1", transaction.merchant)).features
    told = {name: value for name, value in features.items() if name.startswith("payment_")}
    assert differences(payment_features(transaction, amount), told) == {}


@given(st.lists(TRANSACTIONS, min_size=1, max_size=12), st.booleans())
def test_features_are_finite_and_within_their_range(payments: list[Transaction], is_card: bool) -> None:
    """Law: whatever is paid, every feature is a finite rounded number in its range, under a name of the table."""
    rows = {feature.name: feature.row for feature in FEATURES}
    profile = Profile(CARD if is_card else MERCHANT)
    for number, transaction in enumerate(payments):
        amount = to_base_minor(transaction.amount_minor, transaction.currency, shipped_rates())
        seen = profile.pay(Payment(transaction, amount, f"tx-{number}", transaction.merchant))
        for name, value in seen.features.items():
            row = rows[name]
            assert isfinite(value)
            assert row.low <= value <= row.high
            assert value == round(value, 4)
            assert type(value) in {int, float}
        profile.apply(seen.changes)


def test_every_row_is_told_once_something_is_known() -> None:
    """Law: the table holds nothing that is never told, and no name twice."""
    names = [feature.name for feature in FEATURES]
    assert len(names) == len(set(names))
    told: set[str] = set()
    for kind in (CARD, MERCHANT):
        profile = Profile(kind)
        for day in range(3):
            seen = profile.pay(Payment(_full(day), 500, f"tx-{day}", "mer_b"))
            profile.apply(seen.changes)
            told |= seen.features.keys()
    labelled = {"card_amount_times_cleared", *(f"merchant_labelled_fraud_share_{of}" for of in ("1d", "7d", "30d"))}
    assert set(names) - told == labelled


def _full(day: int) -> Transaction:
    return Transaction(
        transaction_id=f"tx-{day}",
        card="card_a",
        merchant="mer_b",
        amount_minor=500,
        currency="EUR",
        event_time_ms=1_600_000_000_000 + day * DAY_MS,
        mcc="5411",
        channel="pos",
        entry_mode="chip",
        issuer_country="DE",
        merchant_country="DE",
        ip_country="DE",
        shipping_country="DE",
        device="dev_1",
    )


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_row_says_why(feature: object) -> None:
    """Law: a row has a unit and a reason, and a range that is one."""
    row = feature.row  # type: ignore[attr-defined]
    assert row.unit
    assert row.why
    assert row.low < row.high
