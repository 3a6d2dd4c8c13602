"""The benches of model quality in short, over a simulated month: rows, labels in time, the plant, costs."""

from collections.abc import Iterator
from itertools import takewhile

import numpy as np
import pytest

from producers.aftermath import Reporting
from producers.world import World
from producers.world import cases as simulated_cases
from schemas.fields import DAY_MS
from schemas.label import Label
from schemas.recordings.stream import Case
from streams.detector.backtest import Backtest
from streams.documents import shipped_rates
from streams.file_to_quality import NEVER
from streams.label_faults import LabelFaults, faulty
from streams.quality.figures import Scored
from streams.quality.ranking import Array, Flags
from tests.bench.adaptation import AMOUNT_MAX_MINOR, NIGHT_HOURS, judged, planted, recalls
from tests.bench.delays import Variant, of_variant
from tests.bench.passed import NAMES, Table, passed, table_of
from tests.bench.quality import beside
from tests.bench.retrained import Model, Retraining, boosted, retrained

FIRST_DAY = 18_000
DAYS = 12
DELAY_DAYS = 2
SNAPSHOT_RECORDS = 100
WORLD = World(
    seed=5,
    start_ms=FIRST_DAY * DAY_MS,
    rate=0.003,
    shoppers=80,
    merchants=30,
    fraud_rate=0.06,
    reporting=Reporting(label_delay_ms=DELAY_DAYS * DAY_MS, legitimate_one_in=1, outcomes=False),
)


def _cases() -> Iterator[Case]:
    end_ms = (FIRST_DAY + DAYS) * DAY_MS
    return takewhile(lambda case: case.transaction.event_time_ms < end_ms, simulated_cases(WORLD))


@pytest.fixture(scope="module")
def scored() -> Scored:
    return passed(_cases(), snapshot_records=SNAPSHOT_RECORDS)


def _mean_of_frauds(table: Table, frauds: Flags, weights: Array) -> Model:
    """Train the simplest model there is: nearer to the mean fraud than to the mean honest payment, by amount."""
    amounts = np.nan_to_num(table[:, 0].astype(np.float64))
    fraud, honest = amounts[frauds].mean(), np.average(amounts[~frauds], weights=weights[~frauds])
    return lambda rows: np.abs(np.nan_to_num(rows[:, 0]) - honest) - np.abs(np.nan_to_num(rows[:, 0]) - fraud)


def test_a_rival_sees_the_numbers_that_were_scored(scored: Scored) -> None:
    """Law: the table holds each payment's features as the detector gave them, and no number where it gave none."""
    backtest = Backtest(shipped_rates(), kept_one_in=3, snapshot_records=1_000)
    table = table_of(scored)
    case = next(_cases())
    features = backtest.features(case.transaction)
    assert features is not None
    told = [features.get(name, float("nan")) for name in NAMES]
    assert np.array_equal(table[0], np.array(told, np.float32), equal_nan=True)
    assert table.shape == (len(scored.ids), len(NAMES))
    assert table.dtype == np.float32


def test_a_rival_learns_only_what_was_known(scored: Scored) -> None:
    """Law: each model is trained on the labels that had come by its first midnight, and scores its days alone."""
    trained: list[tuple[int, int]] = []

    def watched(table: Table, frauds: Flags, weights: Array) -> Model:
        trained.append((len(table), int(frauds.sum())))
        assert set(weights[frauds].tolist()) <= {1.0}
        return lambda rows: np.full(len(rows), float(len(trained)))

    first = FIRST_DAY + 5
    how = Retraining(3)
    scores = retrained(scored, table_of(scored), first_day=first, last_day=first + 4, retraining=how, trainer=watched)
    known = [scored.told_ms <= day * DAY_MS for day in (first, first + 3)]
    assert trained == [(int(rows.sum()), int(scored.told[rows].sum())) for rows in known]
    assert (scored.days[known[0]] < first - DELAY_DAYS + 1).all()
    expected = np.select(
        [scored.days < first, scored.days < first + 3, scored.days <= first + 4], [np.nan, 1.0, 2.0], np.nan
    )
    assert np.array_equal(scores, expected, equal_nan=True)


def test_a_sample_of_honest_payments_stands_for_all(scored: Scored) -> None:
    """Law: every fraud is learned once, and what is kept of honest payments weighs about as many as there are."""
    weighed: list[tuple[float, int]] = []

    def watched(_: Table, frauds: Flags, weights: Array) -> Model:
        weighed.append((float(weights[~frauds].sum()), int(frauds.sum())))
        return lambda rows: np.zeros(len(rows))

    day = FIRST_DAY + 10
    retrained(scored, table_of(scored), first_day=day, last_day=day, retraining=Retraining(1, 5), trainer=watched)
    known = scored.told_ms <= day * DAY_MS
    assert weighed[0][1] == (known & scored.told).sum()
    assert weighed[0][0] == pytest.approx((known & ~scored.told).sum(), rel=0.15)


def test_ours_beside_a_rival_and_baselines(scored: Scored) -> None:
    """Law: weeks divide the tested payments, baselines are ranked as they must, and bounds decide."""
    days = {"first_day": FIRST_DAY + 5, "last_day": FIRST_DAY + DAYS - 1, "delay_days": DELAY_DAYS}
    told = beside(scored, **days, ap_min=0.0, ratio_min=0.0, trainer=_mean_of_frauds)
    money = told["money"]
    assert told["holds"]
    assert [week["from"] for week in told["weeks"]] == ["2019-04-19"]
    assert money["prior"]["ap"] == pytest.approx(told["ours"]["frauds"] / told["ours"]["transactions"], abs=1e-4)
    assert money["ours"]["ap"] == told["overall"]["ap"] == told["ours"]["ap"]
    assert money["xgboost"]["ap"] == told["overall"]["ap_xgboost"] == told["xgboost"]["ap"]
    assert money["prior"]["ap"] < money["ours"]["ap"]
    assert not beside(scored, **days, ap_min=0.0, ratio_min=99.0, trainer=_mean_of_frauds)["holds"]
    assert not beside(scored, **days, ap_min=1.1, ratio_min=0.0, trainer=_mean_of_frauds)["holds"]


@pytest.mark.usefixtures("xgboost")
def test_xgboost_finds_what_there_is(scored: Scored) -> None:
    """Law: the yardstick ranks better than amounts alone, and without a fraud it scores all alike."""
    days = {"first_day": FIRST_DAY + 8, "last_day": FIRST_DAY + DAYS - 1, "delay_days": DELAY_DAYS}
    told = beside(scored, **days, ap_min=0.0, ratio_min=0.0, trainer=boosted)
    assert told["money"]["xgboost"]["ap"] > told["money"]["amount_only"]["ap"]
    none = boosted(np.zeros((3, 2), np.float32), np.zeros(3, np.bool_), np.ones(3))
    assert none(np.zeros((2, 2), np.float32)).tolist() == [0.0, 0.0]


def test_what_is_planted_is_small_and_at_night() -> None:
    """Law: from the onset on most small honest payments at night are fraud, by label and by truth; all else stays."""
    onset = FIRST_DAY + 6
    turned: set[str] = set()
    pairs = list(zip(_cases(), planted(_cases(), onset, turned), strict=True))
    for before, after in pairs:
        payment = before.transaction
        assert after.transaction == payment
        if payment.transaction_id not in turned:
            assert after == before
            continue
        day, in_day_ms = divmod(payment.event_time_ms, DAY_MS)
        assert day >= onset
        assert in_day_ms < NIGHT_HOURS * 3_600_000
        assert payment.amount_minor < AMOUNT_MAX_MINOR
        assert {label.verdict for label in after.labels} == {"fraud"}
        assert after.truth is not None
        assert after.truth.fraud
    assert turned


def test_recall_of_the_plant_by_day() -> None:
    """Law: who scores nothing else higher finds all of it; the bound asks for early and for ever."""
    days = np.repeat([3, 4], 200)
    new = np.arange(400) % 10 == 0
    columns, ids = dict.fromkeys(NAMES, np.zeros(400, np.float32)), [str(row) for row in range(400)]
    scores, cards = new.astype(np.float64), np.arange(400)
    scored = Scored(scores, new, cards, days, np.ones(400), columns, ids, new, np.full(400, NEVER))
    turned = {str(row) for row in np.flatnonzero(new)}
    told = recalls(scored, turned, first_day=3, trainer=lambda *_: lambda rows: np.zeros(len(rows)))
    assert told["recall_by_day"]["ours"] == [1.0, 1.0]
    assert told["recall_by_day"]["xgboost_weekly"] == [0.75, 0.75]
    assert judged([0.0] * 9 + [0.5, None, 0.6])["holds"]
    assert not judged([0.0] * 9 + [0.5, 0.4, 0.6])["holds"]
    assert not judged([0.0] * 10 + [0.5, 0.6])["holds"]


def _labels(number: int) -> tuple[Label, ...]:
    return tuple(label for case in _cases() for label in case.labels)[:number]


def test_faults_are_of_the_share_that_was_asked_for() -> None:
    """Law: so many labels are missing, of the others so many are turned round, and another seed draws others."""
    labels = _labels(2_000)
    told = [faulty((label,), LabelFaults(missing=0.3, wrong=0.1)) for label in labels]
    missing = sum(not each for each in told)
    wrong = sum(bool(each) and each[0].verdict != label.verdict for each, label in zip(told, labels, strict=True))
    assert missing / len(labels) == pytest.approx(0.3, abs=0.04)
    assert wrong / (len(labels) - missing) == pytest.approx(0.1, abs=0.03)
    assert told == [faulty((label,), LabelFaults(missing=0.3, wrong=0.1)) for label in labels]
    assert told != [faulty((label,), LabelFaults(missing=0.3, wrong=0.1, seed=2)) for label in labels]
    assert [faulty((label,), LabelFaults()) for label in labels] == [(label,) for label in labels]
    with pytest.raises(ValueError, match="missing"):
        LabelFaults(missing=1.2)


def test_a_label_that_fails_changes_what_is_learned_and_not_what_is_true(scored: Scored) -> None:
    """Law: payments and their truth are the same, and fewer labels are told."""
    other = passed(_cases(), LabelFaults(missing=0.5))
    assert np.array_equal(other.frauds, scored.frauds)
    assert list(other.ids) == list(scored.ids)
    assert (other.told_ms == NEVER).sum() > (scored.told_ms == NEVER).sum()
    row = of_variant(_cases(), Variant(DELAY_DAYS, LabelFaults(missing=0.5)), FIRST_DAY + 5, _mean_of_frauds)
    assert row["fraud_labels"] == other.told.sum()
    assert 0 < row["ours"] <= 1
