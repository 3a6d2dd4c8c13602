"""The panels' questions on the engine itself, by a clock that the test sets: windows, repeats, replays, samples."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import pandas as pd
import pytest

from consumers.migrations_to_clickhouse import migrate
from consumers.page.caught import caught
from consumers.page.features import features
from consumers.page.model import model
from consumers.page.query import ACTIONS
from consumers.page.stream import Stream, stream, totals
from consumers.warehouse import Warehouse, open_warehouse
from schemas.settings import Settings
from tests.browser import seeded

NOW_MS = 1_790_000_000_000
TIMES = 3


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return seeded.payments(2_400, NOW_MS)


@pytest.fixture(scope="module")
def warehouse(frame: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with closing(open_warehouse(Settings(data_dir=tmp_path_factory.mktemp("store")))) as opened:
        migrate(opened)
        seeded.store(opened, frame, times=TIMES)
        yield opened


def at(warehouse: Warehouse, now_ms: int) -> Stream:
    answer = stream(warehouse.query_columns, now_ms)
    assert answer is not None
    return answer


def test_each_bucket_holds_its_decisions_once(warehouse: Warehouse, frame: pd.DataFrame) -> None:
    """Law: by bucket and action the window counts what was decided then, though each was stored three times."""
    answer = at(warehouse, NOW_MS)
    shown = frame[frame["decided_ms"].between(answer.starts_ms[0], answer.starts_ms[-1] + answer.bucket_ms - 1)]
    starts = shown["decided_ms"] // answer.bucket_ms * answer.bucket_ms
    assert {start % answer.bucket_ms for start in answer.starts_ms} == {0}
    for action in ACTIONS:
        expected = starts[shown["action"] == action].value_counts().reindex(answer.starts_ms, fill_value=0)
        assert answer.counts[action] == tuple(expected)
    assert answer.bucket_ms == 2_000
    assert answer.rate_now == pytest.approx(12, rel=0.1)
    assert answer.rate_mean == pytest.approx(12, rel=0.05)
    assert totals(warehouse.query_columns) == frame["action"].value_counts().to_dict()


def test_latency_is_that_of_the_last_minute(warehouse: Warehouse, frame: pd.DataFrame) -> None:
    """Law: median and 99th percentile from the payment's time to its decision's; a refused record has none."""
    answer = at(warehouse, NOW_MS)
    end_ms = frame["decided_ms"].max() - 1_000
    last = frame[frame["decided_ms"].between(end_ms - 60_000, end_ms - 1)]
    latency = last["decided_ms"] - last["event_ms"]
    assert answer.live
    assert answer.last_p50_ms == pytest.approx(latency.quantile(0.5), abs=2)
    assert answer.last_p99_ms == pytest.approx(latency.quantile(0.99), rel=0.1)
    assert len(answer.chart()["p99"]) == len(answer.chart()["t"])


def test_a_stopped_stream_is_shown_to_its_end(warehouse: Warehouse, frame: pd.DataFrame) -> None:
    """Law: an hour later the last minutes are still there, the rate is none, and it is stale."""
    answer = at(warehouse, NOW_MS + 3_600_000)
    assert answer.fresh.stale
    assert answer.rate_now == 0
    assert answer.decisions == len(frame)
    assert answer.starts_ms[-1] + answer.bucket_ms == frame["decided_ms"].max() + 1


def test_the_rate_of_a_slow_stream_is_not_that_of_its_last_payment(warehouse: Warehouse) -> None:
    """Law: with nothing new for eight seconds the window goes on by the clock, and the rate falls."""
    assert 0 < at(warehouse, NOW_MS + 8_000).rate_now < 8


def test_a_replay_has_no_latency(warehouse: Warehouse) -> None:
    """Law: payments of a year ago are counted, and no difference of theirs to today is called a latency."""

    def a_year_ago(sql: str, parameters: Mapping[str, Any] | None) -> Mapping[str, Sequence[Any]]:
        older = "(SELECT * REPLACE (event_time - INTERVAL 1 YEAR AS event_time) FROM decisions)"
        return warehouse.query_columns(sql.replace("FROM decisions", f"FROM {older}"), parameters)

    answer = stream(a_year_ago, NOW_MS)
    assert answer is not None
    assert answer.counts == at(warehouse, NOW_MS).counts
    assert not answer.live
    assert "p50" not in answer.chart()


def test_what_became_of_labelled_payments_is_counted_once(warehouse: Warehouse, frame: pd.DataFrame) -> None:
    """Law: by bucket of the payment's own time, as pandas counts it; 20 to 60 points where there is that much time."""
    answer = caught(warehouse.query_columns)
    assert answer is not None
    labelled = frame.dropna(subset="reported_ms")
    frauds = labelled[labelled["verdict"] == "fraud"]
    acted = frauds["action"].isin(["block", "review", "step_up"])
    starts = frauds["event_ms"] // answer.bucket_ms * answer.bucket_ms
    assert dict(answer.caught) == starts[acted].value_counts().to_dict()
    assert dict(answer.missed) == starts[~acted].value_counts().to_dict()
    assert answer.labelled == len(labelled)
    assert 20 <= len(answer.starts_ms) <= 61


def test_drift_compares_each_payment_once(warehouse: Warehouse, frame: pd.DataFrame) -> None:
    """Law: the samples hold no repeats, the feature that moved comes first, and the steady ones read as chance."""
    answer = features(warehouse.query_columns)
    assert answer is not None
    assert answer.reference_rows + answer.recent_rows <= len(frame)
    assert min(answer.reference_rows, answer.recent_rows) > 1_000
    assert [name for name, found in answer.drifts if found.reading == "strong"] == [seeded.MOVED]
    assert answer.beyond_chance <= 2
    assert sum(map(len, answer.columns(3))) == len(answer.drifts) == len(seeded.STEADY) + 1


def test_the_model_that_decides_is_told_without_any_version(warehouse: Warehouse, frame: pd.DataFrame) -> None:
    """Law: where no version is in the store yet, the newest prediction still says which one decided."""
    answer = model(warehouse.query_columns)
    assert answer is not None
    assert (answer.model_version, answer.versions) == (frame["model_version"].iloc[-1], ())
    assert answer.quality.auc is not None
