"""The simulated world: the same bytes from the same seed, the asked shares, and labels that tell the truth."""

from collections import Counter
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.fraud_patterns import PATTERNS
from producers.places import COUNTRIES, HOURS, TRADES
from producers.world import World, cases
from schemas.codec import encode
from schemas.fields import HOUR_MS
from schemas.recordings.stream import Case

START_MS = 1_522_540_800_000

small_worlds = st.builds(
    World,
    seed=st.integers(0, 2**32 - 1),
    start_ms=st.integers(1_000_000_000_000, 2_000_000_000_000),
    rate=st.floats(0.01, 5_000),
    shoppers=st.integers(1, 40),
    merchants=st.integers(1, 40),
    fraud_rate=st.floats(0, 0.5),
    label_delay_ms=st.integers(0, 10**9),
    legitimate_share=st.floats(0, 1),
)


def first(world: World, count: int) -> list[Case]:
    return list(islice(cases(world), count))


def lines(some: list[Case]) -> list[bytes]:
    return [encode(event) for case in some for event in case if event is not None]


@settings(max_examples=30, deadline=None)
@given(small_worlds)
def test_the_same_world_gives_the_same_bytes_in_order_of_time(world: World) -> None:
    some = first(world, 150)
    assert lines(some) == lines(first(world, 150))
    times = [paid.event_time_ms for paid, _ in some]
    assert times == sorted(times)
    assert times[0] >= world.start_ms
    assert len({paid.transaction_id for paid, _ in some}) == len(some)


@settings(max_examples=30, deadline=None)
@given(small_worlds)
def test_a_label_tells_the_truth_of_its_transaction_after_the_delay(world: World) -> None:
    for paid, label in first(world, 150):
        if label is not None:
            assert (label.transaction_id, label.card, label.merchant) == (paid.transaction_id, paid.card, paid.merchant)
            assert label.occurred_at_ms == paid.event_time_ms == label.reported_at_ms - world.label_delay_ms
            assert (label.source == "chargeback") == (label.verdict == "fraud") == (label.fraud_type is not None)


def test_another_seed_gives_other_people_and_another_start_another_day_of_the_same() -> None:
    world = World(seed=1, start_ms=START_MS, rate=100, shoppers=50, merchants=30)
    other_seed = World(seed=2, start_ms=START_MS, rate=100, shoppers=50, merchants=30)
    other_day = World(seed=1, start_ms=START_MS + HOUR_MS, rate=100, shoppers=50, merchants=30)
    cards, of_seed, of_day = ({paid.card for paid, _ in first(each, 800)} for each in (world, other_seed, other_day))
    assert cards.isdisjoint(of_seed)
    assert len(cards & of_day) > 25
    ids = {paid.transaction_id for paid, _ in first(world, 800)}
    assert ids.isdisjoint(paid.transaction_id for paid, _ in first(other_day, 800))


def test_rate_fraud_and_labels_come_in_the_asked_shares() -> None:
    world = World(seed=3, start_ms=START_MS, rate=5, shoppers=500, merchants=300, fraud_rate=0.05, legitimate_share=0.4)
    some = first(world, 40_000)
    seconds = (some[-1][0].event_time_ms - START_MS) / 1000
    assert 4.75 < len(some) / seconds < 5.25
    said = Counter(label.verdict if label else None for _, label in some)
    assert 0.04 < said["fraud"] / len(some) < 0.06
    assert 0.38 < said["legitimate"] / (len(some) - said["fraud"]) < 0.42
    played = Counter(label.fraud_type for _, label in some if label and label.fraud_type)
    assert set(played) == {pattern.fraud_type for pattern in PATTERNS}


def test_no_plain_field_gives_fraud_away() -> None:
    """A fraud's channel, entry mode and merchant code are ones that honest payments have too, in that combination."""
    world = World(seed=4, start_ms=START_MS, rate=200, shoppers=500, merchants=300, fraud_rate=0.05)
    honest: set[tuple[object, ...]] = set()
    fraud: set[tuple[object, ...]] = set()
    for paid, label in first(world, 30_000):
        kind = (paid.channel, paid.entry_mode, paid.mcc, paid.terminal is None, paid.device is None)
        (fraud if label and label.verdict == "fraud" else honest).add(kind)
    assert fraud <= honest


def test_with_a_daily_rhythm_people_sleep_where_they_live() -> None:
    world = World(seed=5, start_ms=START_MS, rate=0.25, shoppers=300, merchants=200, fraud_rate=0, daily_rhythm=True)
    some = [paid for paid, _ in first(world, 21_600)]
    by_hour = Counter((paid.event_time_ms // HOUR_MS + 1) % 24 for paid in some if paid.issuer_country == "FR")
    assert by_hour[3] * 8 < by_hour[12]
    assert 0.9 < (some[-1].event_time_ms - START_MS) / (24 * HOUR_MS) < 1.1


def test_card_testing_is_one_card_small_amounts_and_a_strange_device() -> None:
    world = World(seed=6, start_ms=START_MS, rate=50, shoppers=200, merchants=200, fraud_rate=0.1)
    tests = [paid for paid, label in first(world, 20_000) if label and label.fraud_type == "card_testing"]
    by_device = Counter((paid.device, paid.card) for paid in tests)
    assert len(tests) > 100
    assert max(by_device.values()) >= 6
    assert all(paid.amount_minor < 10_000 for paid in tests)


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
        [pattern.incidents for pattern in PATTERNS],
    ):
        assert sum(shares) == pytest.approx(1)
    assert len(HOURS) == 24
    assert all(0 < hour <= 1 for hour in HOURS)
