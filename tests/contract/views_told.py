"""The store that the tests of the analysts' views ask, and how a view is called."""

import datetime as dt
import re
import threading
import time
from collections.abc import Iterable, Iterator
from random import Random
from typing import Any

from consumers.migrations_to_clickhouse import shipped_migrations
from consumers.predictions_to_hours import PredictionsToHours, build
from consumers.warehouse import Warehouse, query_frame
from schemas.fields import DAY_MS, HOUR_MS
from tests.contract.views_data import FROM_MS, KNOWN_MS, TO_MS, labels, outcomes, payments, store, truth

SILENCE = 3.0
DECLINE_COST, REVIEW_COST = 0.1, 300.0
HOURS = 60
"""More than the payments lie in."""
PARAMETER = re.compile(r"\{(\w+):(\w+)")
ANALYSTS = ("0012", "0014", "0018", "0019")


def at(ms: int) -> dt.datetime:
    """Return a time of the store."""
    return dt.datetime.fromtimestamp(ms / 1_000, dt.UTC)


def call(view: str, **chosen: Any) -> str:
    """Return the view with its parameters, as text."""
    wanted = {name for name, _ in PARAMETER.findall(SQL_OF[view])}
    for inner in re.findall(r"\b(v_\w+)\s*\(", SQL_OF[view]):
        wanted |= {name for name, _ in PARAMETER.findall(SQL_OF.get(inner, ""))}
    return called(view, wanted, **chosen)


def called(view: str, wanted: Iterable[str], **chosen: Any) -> str:
    """Return the view with these parameters, as text: each is a constant of a test."""
    known: dict[str, Any] = {
        "from": at(FROM_MS),
        "to": at(TO_MS),
        "known_at": at(KNOWN_MS),
        "reference_from": at(FROM_MS),
        "reference_to": at(FROM_MS + DAY_MS),
        "silence_weight": SILENCE,
        "decline_cost": DECLINE_COST,
        "review_cost_minor": REVIEW_COST,
        "transaction_id": "tx-1",
    }
    told = {name: chosen.get(name, known[name]) for name in sorted(wanted)}
    if not told:
        return view
    texts = (f"'{each:%Y-%m-%d %H:%M:%S}'" if isinstance(each, dt.datetime) else repr(each) for each in told.values())
    return f"{view}({', '.join(f'{name} = {text}' for name, text in zip(told, texts, strict=True))})"


def _views() -> Iterator[tuple[str, str]]:
    for migration in shipped_migrations():
        if migration.name.startswith(ANALYSTS):
            for statement in migration.statements:
                found = re.search(r"^CREATE OR REPLACE VIEW (\w+)", statement, re.MULTILINE)
                if found:
                    yield found.group(1), statement


SQL_OF = dict(_views())


class Told:
    """A store with everything in it, and the plain rows."""

    def __init__(self, warehouse: Warehouse) -> None:
        chance = Random(11)
        self.warehouse = warehouse
        self.payments = payments(chance)
        self.labels = labels(chance, self.payments)
        self.outcomes = outcomes(chance, self.payments)
        store(warehouse, chance, {"predictions": self.payments, "labels": self.labels, "outcomes": self.outcomes})
        self.truth: Any = truth(self.payments, self.labels)
        self.build()
        self.later_ms = round(time.time() * 1_000)

    def build(self) -> None:
        """Build every hour, as it is done while a service runs."""
        hours = PredictionsToHours(self.warehouse, threading.Event(), lambda: 0.0)
        while hours.step() and hours.counters.hours_built < HOURS:
            pass

    def settle(self) -> None:
        """Build every hour as if nothing had come for long: views then read none from `predictions`."""
        hours = self.warehouse.query_columns("SELECT toUnixTimestamp(hour) AS hour_s FROM v_hours_touched")["hour_s"]
        for statement in build(hours, self._later_ms()):
            self.warehouse.execute(statement)

    def touch(self, one_in: int) -> None:
        """Mark one hour in so many as one that got rows since."""
        later = f"fromUnixTimestamp64Milli(toInt64({self._later_ms()}), 'UTC')"
        some = f"SELECT DISTINCT hour FROM hours_touched WHERE intDiv(toUnixTimestamp(hour), 3600) % {one_in:d} = 0"  # noqa: S608
        self.warehouse.execute(f"INSERT INTO hours_touched SELECT hour, {later} FROM ({some})")  # noqa: S608

    def _later_ms(self) -> int:
        """Return a time that is later than all that was marked or built before."""
        self.later_ms += HOUR_MS
        return self.later_ms

    def read(self, view: str, **chosen: Any) -> Any:
        """Return all that a view says, as a frame."""
        return query_frame(self.warehouse, f"SELECT * FROM {call(view, **chosen)}")  # noqa: S608
