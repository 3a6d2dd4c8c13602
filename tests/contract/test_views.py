"""The analysts' views on the engine itself: every figure beside pandas, SciPy, scikit-learn and fairlearn."""

import math
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import MetricFrame, false_positive_rate, selection_rate
from scipy.stats import chi2, ks_2samp, kstwobign
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from consumers.drift import drift
from deploy.catalogue.declared import VIEW
from schemas.fields import DAY_MS
from tests.contract.views_data import FROM_MS, KNOWN_MS, truth
from tests.contract.views_told import DECLINE_COST, PARAMETER, REVIEW_COST, SILENCE, SQL_OF, Told, at, call
from tests.contract.warehouse_rows import AT_MS

COLUMN = re.compile(r"^    (\w+) [^\n]*?(?:\n        )?COMMENT '[^']+(?:''[^']*)*',?$", re.MULTILINE)


@pytest.mark.parametrize("view", sorted(SQL_OF))
def test_every_column_of_every_view_is_explained(told: Told, view: str) -> None:
    """Law: the columns with a comment are those that the view has, in order, and the view has one itself."""
    header = VIEW.search(SQL_OF[view])
    assert header is not None
    described = told.warehouse.query_columns(f"DESCRIBE (SELECT * FROM {call(view)})")["name"]  # noqa: S608
    assert COLUMN.findall(header.group(2)) == described
    assert re.search(r"^COMMENT '.{20,}'$", SQL_OF[view], re.MULTILINE)
    stored = told.warehouse.query_columns(f"SELECT comment FROM system.tables WHERE name = '{view}'")  # noqa: S608
    assert stored["comment"][0]
    missing = {name for name, _ in PARAMETER.findall(SQL_OF[view])} - set(re.findall(r"\w+", stored["comment"][0]))
    assert not missing


def test_the_truth_is_that_of_a_plain_reading_after_repeats_in_any_order(told: Told) -> None:
    """Law: each payment that was answered, once, with the verdict that counted at the time that is looked at."""
    for known_ms in (KNOWN_MS, AT_MS + 3 * DAY_MS):
        wanted: Any = truth(told.payments, told.labels, known_ms).set_index("transaction_id").sort_index()
        found = told.read("v_truth", known_at=at(known_ms)).set_index("transaction_id").sort_index()
        assert found.index.to_list() == wanted.index.to_list()
        for column in ("card", "merchant", "verdict", "source", "action", "model_version", "issuer_country"):
            assert found[column].to_list() == wanted[column].to_list()
        assert found["amount_base_minor"].to_list() == wanted["minor"].to_list()
        assert set(found["verdict"]) == {"fraud", "legitimate", "service_dispute", ""}


def test_money_by_day(told: Told) -> None:
    found = told.read("v_money_daily").set_index("day")
    assert len(found) == 2
    for day, of in told.truth.groupby("day"):
        fraud, honest, blocked = of.verdict == "fraud", of.verdict == "legitimate", of.action == "block"
        wanted = {
            "payments": len(of),
            "amount_minor": of.minor.sum(),
            "labelled": (fraud | honest).sum(),
            "frauds": fraud.sum(),
            "fraud_minor": of.minor[fraud].sum(),
            "blocked_fraud_minor": of.minor[fraud & blocked].sum(),
            "challenged_fraud_minor": of.minor[fraud & of.action.isin(["review", "step_up"])].sum(),
            "missed_fraud_minor": of.minor[fraud & (of.action == "approve")].sum(),
            "blocked": blocked.sum(),
            "blocked_unlabelled": (blocked & (of.verdict == "")).sum(),
            "false_declines": (blocked & honest).sum(),
            "false_declines_minor": of.minor[blocked & honest].sum(),
            "reviews": (of.action == "review").sum(),
            "step_ups": (of.action == "step_up").sum(),
        }
        net = wanted["blocked_fraud_minor"] - wanted["missed_fraud_minor"]
        net -= DECLINE_COST * wanted["false_declines_minor"] + REVIEW_COST * wanted["reviews"]
        assert found.loc[day].to_dict() == pytest.approx(wanted | {"net_minor": net})


def test_the_sweep_of_thresholds(told: Told) -> None:
    found = told.read("v_threshold_sweep").set_index("threshold")
    of = told.truth[told.truth.score.notna()]
    fraud, honest = of.verdict == "fraud", of.verdict == "legitimate"
    assert found.index.to_list() == list(range(0, 1_001, 10))
    for threshold in (0, 500, 990, 1_000):
        above, row = of.score >= threshold, found.loc[threshold]
        assert row.blocked == above.sum()
        assert row.frauds_caught == (above & fraud).sum()
        assert row.false_positives == (above & honest).sum()
        assert row.unlabelled == (above & (of.verdict == "")).sum()
        assert row.recall == pytest.approx((above & fraud).sum() / fraud.sum())
        assert row.precision == pytest.approx((above & fraud).sum() / (above & (fraud | honest)).sum())
        assert row.fraud_missed_minor == of.minor[~above & fraud].sum()
        assert row.net_minor == pytest.approx(
            of.minor[above & fraud].sum()
            - of.minor[~above & fraud].sum()
            - DECLINE_COST * of.minor[above & honest].sum()
        )


def test_drift_is_that_of_numpy_and_scipy(told: Told) -> None:
    """Law: PSI in tenths of the reference, KS of the values in cells, both beside what chance gives."""
    found = pd.concat([told.read("v_drift_features"), told.read("v_drift_score")]).set_index("feature")
    assert set(found.index) == {*told.truth.features.explode().dropna().unique(), "score"}
    early = told.truth.at_ms < FROM_MS + DAY_MS
    for name, row in found.iterrows():
        values = told.truth.score if name == "score" else told.truth.features.map(lambda each, n=name: each.get(n))
        numbers = values.to_numpy(float)
        cells = numbers if name == "score" else _cells(numbers)
        # The recent window is both days, the reference the first of them.
        before, after = cells[early], cells
        wanted = drift(before, after)
        assert row.psi == pytest.approx(wanted.psi, abs=1e-9)
        assert row.bins == wanted.bins
        chance = chi2.ppf(0.999, wanted.bins - 1) * (1 / before.size + 1 / after.size)
        assert row.psi_critical == pytest.approx(chance, rel=1e-6)
        present = before[~np.isnan(before)], after[~np.isnan(after)]
        assert row.ks == pytest.approx(ks_2samp(*present).statistic, abs=1e-9)
        n, m = (each.size for each in present)
        assert row.ks_critical == pytest.approx(kstwobign.isf(0.001) * math.sqrt((n + m) / (n * m)), rel=1e-5)
        exact = numbers[early], numbers
        whole = ks_2samp(*(each[~np.isnan(each)] for each in exact)).statistic
        assert row.ks == pytest.approx(whole, abs=1e-9 if name in {"count", "score", "card_known_days"} else 0.01)
        assert (row.reference_values, row.recent_values) == (n, m)
        assert row.reference_mean == pytest.approx(np.mean(present[0]), rel=1e-9)


def _cells(numbers: Any) -> Any:
    """Return the numbers without what is behind the first eight bits of their fractions."""
    fraction, exponent = np.frexp(numbers)
    cells: np.ndarray[Any, np.dtype[np.float64]] = np.ldexp(np.trunc(fraction * 512) / 512, exponent)
    return cells


def test_an_hour_is_built_again_where_a_payment_came_late_and_counts_none_twice(told: Told) -> None:
    """Law: building twice changes nothing, and what is not built yet is told."""
    before = told.read("v_drift_score")
    assert told.warehouse.query_columns("SELECT countIf(read_from IS NULL) AS n FROM v_hours_touched")["n"] == [0]
    told.build()
    columns = [name for name in before.columns if name != "stale_hours"]
    assert told.read("v_drift_score")[columns].equals(before[columns])


def test_quality_is_that_of_scikit_learn(told: Told) -> None:
    found = told.read("v_quality").set_index("model_version")
    scored = told.truth[told.truth.probability.notna()]
    assert sorted(found.index) == ["m-0", "m-1"]
    for version, every in scored.groupby("model_version"):
        of, row = every[every.verdict.isin(["fraud", "legitimate"])], found.loc[version]
        fraud, weight = of.verdict == "fraud", np.where(of.source == "assumed_legitimate", SILENCE, 1.0)
        wanted = {
            "scored": len(every),
            "labelled": len(of),
            "frauds": fraud.sum(),
            "auc": roc_auc_score(fraud, of.probability, sample_weight=weight),
            "average_precision": average_precision_score(fraud, of.probability, sample_weight=weight),
            "log_loss": log_loss(fraud, of.probability.clip(1e-15, 1 - 1e-15), sample_weight=weight),
            "brier": brier_score_loss(fraud, of.probability, sample_weight=weight),
            "expected_frauds": (weight * of.probability).sum(),
            "calibration": (weight * of.probability).sum() / weight[fraud].sum(),
            "acted_recall": weight[fraud & (of.action != "approve")].sum() / weight[fraud].sum(),
            "acted_precision": weight[fraud & (of.action != "approve")].sum() / weight[of.action != "approve"].sum(),
            "card_precision_100": np.mean([_card_precision(day) for _, day in every.groupby("day")]),
        }
        assert row.to_dict() == pytest.approx(wanted, rel=1e-9)


def _card_precision(day: Any) -> float:
    cards = day.assign(fraud=day.verdict == "fraud").groupby("card").agg({"probability": "max", "fraud": "max"})
    riskiest = cards.reset_index().sort_values(["probability", "card"], ascending=[False, True]).head(100)
    return float(riskiest.fraud.sum() / 100)


def test_disparity_is_that_of_fairlearn(told: Told) -> None:
    found = told.read("v_disparity")
    for dimension in ("issuer_country", "channel"):
        of, rows = told.truth, found[found.dimension == dimension].set_index("segment")
        declined = of.action == "block"
        rates = MetricFrame(metrics=selection_rate, y_true=declined, y_pred=declined, sensitive_features=of[dimension])
        assert rows.decline_rate.to_dict() == pytest.approx(rates.by_group.to_dict(), rel=1e-9)
        assert rows.decline_rate_gap.iloc[0] == pytest.approx(rates.difference(), rel=1e-9)
        honest = of[of.verdict == "legitimate"]
        wrong = MetricFrame(
            metrics=false_positive_rate,
            y_true=np.zeros(len(honest)),
            y_pred=(honest.action == "block").astype(int),
            sensitive_features=honest[dimension],
        )
        assert rows.false_positive_rate.to_dict() == pytest.approx(wrong.by_group.to_dict(), rel=1e-9)
        assert rows.false_positive_rate_gap.iloc[0] == pytest.approx(wrong.difference(), rel=1e-9)
    ages = found[found.dimension == "card_age"].set_index("segment").payments
    known = told.truth.card_known_days
    assert ages.to_dict() == {
        "": known.isna().sum(),
        "0": (known < 1).sum(),
        "1 to 6": known.between(1, 6).sum(),
        "7 to 29": known.between(7, 29).sum(),
        "30 and more": (known >= 30).sum(),
    }


def test_intervals_are_wilsons(told: Told) -> None:
    """Law: each end is where a normal test of the rate with its own variance is just at its 5 % bound."""
    found = told.read("v_disparity")
    for _, row in found.iterrows():
        for end in (row.decline_rate_low, row.decline_rate_high):
            variance = end * (1 - end) / row.payments
            assert (row.decline_rate - end) ** 2 == pytest.approx(1.959964**2 * variance, rel=1e-6, abs=1e-12)
