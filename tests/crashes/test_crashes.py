"""Law: a sink may die at any step, and every view shows what it shows of records that were stored once, in order."""

from collections.abc import Iterator

import pytest

import consumers.predictions_to_hours as hours
from consumers.migrations_to_clickhouse import migrate
from consumers.topics_to_clickhouse import TopicsToClickhouse
from consumers.warehouse import Warehouse, open_warehouse
from schemas.settings import Settings
from tests.bench.sink_crashes import HIDDEN_OTHERWISE
from tests.crashes.logs import Logs
from tests.crashes.mistakes import MISTAKES
from tests.crashes.shown import differing, shown, store_once, views
from tests.crashes.sink import BUILD_POINTS, POINTS, build_all, settle
from tests.crashes.trial import (
    FEW_PAYMENTS,
    Trial,
    empty,
    seeds_until_noticed,
    tried,
    unnoticed_without_final,
)
from tests.stored import VIEWS, ZEROES

SEED = 1


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    opened = open_warehouse(Settings(data_dir=tmp_path_factory.mktemp("crashes")))
    migrate(opened)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def trial(store: Warehouse) -> Trial:
    return tried(store, SEED)


def test_every_view_shows_what_it_shows_of_records_stored_once(trial: Trial) -> None:
    """Law: all views, those with parameters too, and what is counted by hour."""
    assert trial.differing == []
    assert trial.views > len(VIEWS)


def test_every_row_and_figure_is_what_pandas_works_out_from_the_topics(trial: Trial) -> None:
    found = {figure: getattr(trial.audit, figure) for figure in ZEROES}
    assert found == dict.fromkeys(ZEROES, 0), trial.audit.store_examples
    assert set(trial.audit.rows_by_view) == set(VIEWS)
    assert min(trial.audit.rows_by_view.values()) > 2


def test_it_died_at_every_step_and_was_taken_over_and_refused(trial: Trial) -> None:
    """Sinks and builds; and the store could not be reached, or not be heard."""
    steps = {
        *(f"killed {point}" for point in (*POINTS, *BUILD_POINTS)),
        *(f"unavailable {when}" for when in ("before it was reached", "halfway", "before it could answer")),
        *(f"stood still for another to {others}" for others in ("live", "build")),
        "commits lost",
    }
    assert steps <= set(trial.seen), sorted(trial.seen)


def test_a_view_that_hides_no_repeats_would_be_noticed(store: Warehouse) -> None:
    unnoticed = unnoticed_without_final(store)
    assert {view for view, same in unnoticed.items() if same} <= HIDDEN_OTHERWISE
    assert len(unnoticed) > len(HIDDEN_OTHERWISE)


@pytest.mark.parametrize("sink", MISTAKES)
def test_a_sink_with_a_mistake_is_noticed(store: Warehouse, sink: type[TopicsToClickhouse]) -> None:
    assert seeds_until_noticed(store, sink) is not None


@pytest.mark.parametrize(("built", "view"), [("BUILD_FEATURES", "v_feature_hours"), ("BUILD_PAYMENTS", "v_answered")])
def test_hours_built_from_repeats_would_be_noticed(
    store: Warehouse, monkeypatch: pytest.MonkeyPatch, built: str, view: str
) -> None:
    logs, asked = Logs(SEED, FEW_PAYMENTS), {view: views(store)[view]}
    store.execute("SYSTEM STOP MERGES")
    for _ in range(2):
        store_once(logs, store)
    build_all(store)
    right = shown(store, asked)
    monkeypatch.setattr(hours, built, getattr(hours, built).replace("predictions FINAL", "predictions"))
    build_all(store)
    settle(store)
    assert differing(right, shown(store, asked))
    store.execute("SYSTEM START MERGES")
    empty(store)
