"""The simulated world: the same bytes from the same seed, the asked shares, and every campaign as its row says."""

from collections import Counter, defaultdict
from dataclasses import replace
from itertools import islice, takewhile
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.aftermath import Reporting
from producers.fraud_patterns import PATTERNS
from producers.places import COUNTRIES, HOURS, TRADES
from producers.world import World, cases
from schemas.codec import encode
from schemas.fields import HOUR_MS
from schemas.recordings.stream import Case
from schemas.transaction import Transaction

START_MS = 1_522_540_800_000

reportings = st.builds(
    Reporting,
    label_delay_ms=st.integers(0, 10**9),
    label_delay_spread=st.sampled_from([0.0, 0.3, 2.0]),
    label_coverage=st.floats(0, 1),
    label_noise=st.floats(0, 1),
    label_reversals=st.floats(0, 1),
    legitimate_one_in=st.integers(1, 10),
    outcomes=st.booleans(),
    capture_delay_ms=st.integers(0, 10**9),
)
small_worlds = st.builds(
    World,
    seed=st.integers(0, 2**32 - 1),
    start_ms=st.integers(1_000_000_000_000, 2_000_000_000_000),
    rate=st.floats(0.01, 5_000),
    shoppers=st.integers(1, 40),
    merchants=st.integers(1, 40),
    fraud_rate=st.floats(0, 0.5),
    reporting=reportings,
    daily_rhythm=st.booleans(),
)


def first(world: World, count: int) -> list[Case]:
    return list(islice(cases(world), count))


def lines(some: list[Case]) -> list[bytes]:
    return [
        line
        for case in some
        for line in (
            *(encode(event) for event in (case.transaction, *case.labels, *case.outcomes)),
            repr(case.truth).encode(),
        )
    ]


@settings(max_examples=30, deadline=None)
@given(small_worlds)
def test_the_same_world_gives_the_same_bytes_in_order_of_time(world: World) -> None:
    some = first(world, 150)
    assert lines(some) == lines(first(world, 150))
    times = [case.transaction.event_time_ms for case in some]
    assert times == sorted(times)
    assert times[0] >= world.start_ms
    assert len({case.transaction.transaction_id for case in some}) == len(some)


@settings(max_examples=30, deadline=None)
@given(small_worlds, reportings)
def test_what_is_reported_changes_neither_the_payments_nor_their_truth(world: World, other: Reporting) -> None:
    some, as_many = first(world, 150), first(replace(world, reporting=other), 150)
    assert [(case.transaction, case.truth) for case in some] == [(case.transaction, case.truth) for case in as_many]


def test_another_seed_gives_other_people_and_another_start_another_day_of_the_same() -> None:
    world = World(seed=1, start_ms=START_MS, rate=100, shoppers=50, merchants=30)
    worlds = (world, replace(world, seed=2), replace(world, start_ms=START_MS + HOUR_MS))
    cards, of_seed, of_day = ({case.transaction.card for case in first(each, 800)} for each in worlds)
    assert cards.isdisjoint(of_seed)
    assert len(cards & of_day) > 25
    ids, _, ids_of_day = ({case.transaction.transaction_id for case in first(each, 800)} for each in worlds)
    assert ids.isdisjoint(ids_of_day)


def test_rate_and_fraud_come_in_the_asked_shares() -> None:
    """Law: payments, frauds, and each campaign's share of the frauds are as asked, whatever becomes of them."""
    world = World(seed=3, start_ms=START_MS, rate=200, shoppers=2_000, merchants=500, fraud_rate=0.1)
    some = first(world, 50_000)
    seconds = (some[-1].transaction.event_time_ms - START_MS) / 1000
    assert 0.95 * 200 < len(some) / seconds < 1.05 * 200
    played = Counter(case.truth.campaign for case in some if case.truth and case.truth.fraud)
    frauds = sum(played.values())
    assert 0.09 < frauds / len(some) < 0.11
    assert set(played) == {pattern.name for pattern in PATTERNS}
    for pattern in PATTERNS:
        assert 0.7 * pattern.share < played[pattern.name] / frauds < 1.3 * pattern.share


def test_the_first_two_minutes_have_as_much_fraud_as_any() -> None:
    """Law: campaigns are under way when the world begins, so that a short run shows each of them."""
    frauds = payments = 0
    for seed in (1, 2):
        world = World(seed=seed, start_ms=START_MS, rate=200)
        some = list(takewhile(lambda case: case.transaction.event_time_ms < START_MS + 120_000, cases(world)))
        played = Counter(case.truth.campaign for case in some if case.truth and case.truth.fraud)
        assert set(played) == {pattern.name for pattern in PATTERNS}
        payments += len(some)
        frauds += sum(played.values())
    assert 0.008 < frauds / payments < 0.012


def test_no_plain_field_gives_fraud_away() -> None:
    """A fraud's channel, entry mode and merchant code are ones that honest payments have too, in that combination."""
    world = World(seed=4, start_ms=START_MS, rate=200, shoppers=500, merchants=300, fraud_rate=0.05)
    honest: set[tuple[object, ...]] = set()
    fraud: set[tuple[object, ...]] = set()
    for case in first(world, 20_000):
        paid = case.transaction
        kind = (paid.channel, paid.entry_mode, paid.mcc, paid.terminal is None, paid.device is None)
        abroad = (paid.channel, paid.ip_country == paid.issuer_country, paid.shipping_country == paid.issuer_country)
        (fraud if case.truth and case.truth.fraud else honest).update([kind, abroad])
    assert fraud <= honest


def test_with_a_daily_rhythm_people_sleep_where_they_live() -> None:
    world = World(seed=5, start_ms=START_MS, rate=0.25, shoppers=300, merchants=200, fraud_rate=0, daily_rhythm=True)
    some = [case.transaction for case in first(world, 21_600)]
    by_hour = Counter((paid.event_time_ms // HOUR_MS + 1) % 24 for paid in some if paid.issuer_country == "FR")
    assert by_hour[3] * 8 < by_hour[12]
    assert 0.9 < (some[-1].event_time_ms - START_MS) / (24 * HOUR_MS) < 1.1


@pytest.fixture(scope="module")
def played() -> dict[str | None, list[Transaction]]:
    """The payments of a world by campaign, the honest ones under None."""
    world = World(seed=6, start_ms=START_MS, rate=40, shoppers=5_000, merchants=1_000, fraud_rate=0.1)
    found: dict[str | None, list[Transaction]] = defaultdict(list)
    for case in first(world, 30_000):
        found[case.truth.campaign if case.truth else None].append(case.transaction)
    return found


def euros(paid: Transaction) -> float:
    return paid.amount_minor / next(each.minor_per_eur for each in COUNTRIES if each.currency == paid.currency)


def test_card_testing_is_tiny_amounts_at_one_shop_from_one_device_in_bursts_by_card(
    played: dict[str | None, list[Transaction]],
) -> None:
    by_device: dict[str | None, list[Transaction]] = defaultdict(list)
    for paid in played["card_testing"]:
        by_device[paid.device].append(paid)
    assert None not in by_device
    assert all(len({paid.merchant for paid in run}) == 1 for run in by_device.values())
    longest = max(by_device.values(), key=len)
    assert len({paid.card for paid in longest}) >= 5
    assert max(Counter(paid.card for paid in longest).values()) >= 5
    assert median(euros(paid) for paid in played["card_testing"]) < 3


def test_account_takeover_is_by_the_stored_card_at_the_victims_shops_for_much_more_than_usual(
    played: dict[str | None, list[Transaction]],
) -> None:
    taken = played["account_takeover"]
    assert {paid.entry_mode for paid in taken} == {"credential_on_file"}
    devices = {paid.device for paid in played[None]}
    assert all(paid.device not in devices for paid in taken)
    assert 0.3 < sum(paid.shipping_country != paid.issuer_country for paid in taken) / len(taken) < 0.8
    assert median(map(euros, taken)) > 3 * median(map(euros, played[None]))


def test_a_compromised_terminal_takes_cards_that_paid_there_and_uses_some_of_them_elsewhere(
    played: dict[str | None, list[Transaction]],
) -> None:
    frauds = played["compromised_terminal"]
    at_terminal = Counter(paid.terminal for paid in frauds)
    copying = {terminal for terminal, count in at_terminal.items() if count >= 10}
    assert copying
    assert 0.4 < sum(paid.terminal in copying for paid in frauds) / len(frauds) < 0.8
    seen = {paid.card for paid in played[None] if paid.terminal in copying}
    elsewhere = {paid.card for paid in frauds if paid.terminal not in copying}
    assert len(elsewhere & seen) > 0.3 * len(elsewhere)
    for terminal in copying:
        assert len({paid.card for paid in frauds if paid.terminal == terminal}) >= 4


def test_amounts_out_of_habit_are_the_victims_own_card_at_counters_at_home(
    played: dict[str | None, list[Transaction]],
) -> None:
    stolen = played["amounts_out_of_habit"]
    assert {paid.channel for paid in stolen} == {"pos"}
    assert all(paid.merchant_country == paid.issuer_country for paid in stolen)
    assert median(map(euros, stolen)) > 5 * median(euros(paid) for paid in played[None] if paid.channel == "pos")


def test_card_not_present_theft_is_one_card_at_several_shops_from_a_strange_device(
    played: dict[str | None, list[Transaction]],
) -> None:
    by_card: dict[str, list[Transaction]] = defaultdict(list)
    for paid in played["card_not_present"]:
        by_card[paid.card].append(paid)
    several = [run for run in by_card.values() if len(run) >= 3]
    assert several
    assert median(len({paid.merchant for paid in run}) for run in several) >= 3
    assert {paid.entry_mode for paid in played["card_not_present"]} == {"manual"}


def test_honest_people_travel_give_presents_and_change_devices(
    played: dict[str | None, list[Transaction]],
) -> None:
    """Law: what fraud does, honest payments do too; only less often."""
    online = [paid for paid in played[None] if paid.device]
    for differs in (
        [paid.ip_country != paid.issuer_country for paid in online],
        [paid.shipping_country != paid.issuer_country for paid in online],
        [euros(paid) < 3 for paid in online],
    ):
        assert 0.002 < sum(differs) / len(online) < 0.1


@pytest.mark.parametrize(
    "wrong",
    [{"rate": 0}, {"rate": float("nan")}, {"shoppers": 0}, {"merchants": 0}, {"fraud_rate": 1.0}, {"seed": -1}],
)
def test_a_world_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"^{next(iter(wrong))}: out of range$"):
        World(**({"seed": 1, "start_ms": START_MS, "rate": 1.0} | wrong))  # type: ignore[arg-type]


def test_the_tables_add_up() -> None:
    for shares in (
        [country.share for country in COUNTRIES],
        [trade.share for trade in TRADES],
        [pattern.share for pattern in PATTERNS],
    ):
        assert sum(shares) == pytest.approx(1)
    assert len({pattern.name for pattern in PATTERNS}) == len(PATTERNS)
    assert len(HOURS) == 24
    assert all(0 < hour <= 1 for hour in HOURS)
