"""Counting values by hour: what is asked of the store, when it rests, and what it does while the store is down."""

import threading
from typing import Any

from consumers.predictions_to_hours import HOURS_AT_ONCE, REST_S_MIN, REST_SHARE, PredictionsToHours
from consumers.warehouse import WarehouseUnavailableError

NOW_MS = 1_790_000_000_123


class Store:
    """A store that has so many stale hours at each question, or is down where that is None."""

    def __init__(self, stale: list[int | None]) -> None:
        self.stale = stale
        self.statements: list[str] = []

    def query_columns(self, _sql: str, _parameters: Any = None) -> dict[str, list[Any]]:
        number = self.stale.pop(0)
        if number is None:
            raise WarehouseUnavailableError("down")
        return {"hour_s": [3_600 * hour for hour in range(number)], "now_ms": [NOW_MS] * number}

    def execute(self, statement: str) -> None:
        self.statements.append(statement)


class Stop(threading.Event):
    """Ends the run after so many rests, and keeps how long each was to be."""

    def __init__(self, rests: int) -> None:
        super().__init__()
        self.rests = rests
        self.waited_s: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waited_s.append(timeout or 0.0)
        if len(self.waited_s) == self.rests:
            self.set()
        return self.is_set()


def test_hours_are_built_until_none_has_changed_and_a_store_that_is_down_is_waited_for() -> None:
    """Law: with more hours than go at once it rests as long as it worked, else much longer, and never not at all."""
    store, stop, clock = Store([None, HOURS_AT_ONCE, 2, 0]), Stop(4), iter(range(0, 1_000, 3))
    hours = PredictionsToHours(store, stop, lambda: float(next(clock)))  # type: ignore[arg-type]
    assert hours.run().as_dict() == {"hours_built": HOURS_AT_ONCE + 2}
    assert stop.waited_s == [REST_SHARE * 3.0, 3.0, REST_SHARE * 3.0, REST_SHARE * 3.0]
    assert [statement.split()[2] for statement in store.statements] == 2 * ["payment_hours", "feature_hours"]
    for statement in store.statements[2:]:
        assert str(NOW_MS) in statement
        assert statement.count("toDateTime(") == 2


def test_a_rest_is_not_shorter_than_it_has_to_be() -> None:
    store, stop = Store([0]), Stop(1)
    PredictionsToHours(store, stop, lambda: 0.0).run()  # type: ignore[arg-type]
    assert stop.waited_s == [REST_S_MIN]
