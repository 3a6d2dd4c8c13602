"""Stored predictions to `feature_hours`: how often each value of each feature came, an hour made anew as a whole.

What is told of an hour is read from rows that count once, and takes the place of what was told before. So it may be
built again at any time, by several processes at once, and after any repeat of an insert.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

from consumers.warehouse import Warehouse, WarehouseUnavailableError

log = logging.getLogger(__name__)

REST_S_MIN = 10.0
REST_SHARE, REST_SHARE_BEHIND = 20, 1
"""A rest takes so many times as long as the work before it, for the hour that is running is built whole each time; less
where more hours wait than are built at once."""

HOURS_AT_ONCE = 6
"""Most hours in one statement, which bounds its memory: at 20 payments/s some gigabyte."""

STALE = f"""
SELECT toUnixTimestamp(hour) AS hour_s, toUnixTimestamp64Milli(now64(3, 'UTC')) AS now_ms
FROM v_hours_touched
WHERE stale
ORDER BY read_from NULLS FIRST, hour DESC
LIMIT {HOURS_AT_ONCE}
"""  # noqa: S608 - a number of ours

# A payment without features and one that was not answered must be counted as well: each is in the cell of its hour
# under the empty name, 0 where it was answered and 1 where not.
BUILD = """
INSERT INTO feature_hours (hour, payments, features, cells, counts, read_from)
SELECT
    hour,
    sumIf(number, name = '' AND cell = 0),
    groupArrayIf(name, name != ''),
    groupArrayIf(cell, name != ''),
    groupArrayIf(number, name != ''),
    fromUnixTimestamp64Milli(toInt64({now_ms}), 'UTC')
FROM
(
    SELECT
        toStartOfHour(event_time) AS hour,
        pair.1 AS name,
        if
        (
            name IN ('', 'score'), toInt32(pair.2),
            toInt32(sign(pair.2) * bitShiftRight(reinterpretAsInt64(abs(pair.2)), 44))
        ) AS cell,
        toUInt32(count()) AS number
    FROM predictions FINAL
    ARRAY JOIN arrayConcat
    (
        [(toLowCardinality(''), toFloat64(mode = 'history'))],
        if(mode = 'history', [], CAST(features, 'Array(Tuple(LowCardinality(String), Float64))')),
        if(mode = 'history' OR score IS NULL, [], [(toLowCardinality('score'), toFloat64(assumeNotNull(score)))])
    ) AS pair
    WHERE toStartOfHour(event_time) IN ({hours})
    GROUP BY hour, name, cell
    ORDER BY hour, name, cell
)
GROUP BY hour
"""


@dataclass(slots=True)
class Counters:
    """What one run did. An hour that was built again counts again."""

    hours_built: int = 0

    def as_dict(self) -> dict[str, int]:
        """Return the counters by name."""
        return asdict(self)


@dataclass(slots=True)
class PredictionsToHours:
    """One run: what has changed is built, the longest ago first. `now_s` is a clock that does not go back."""

    warehouse: Warehouse
    stop: threading.Event
    now_s: Callable[[], float]
    counters: Counters = field(default_factory=Counters)

    def run(self) -> Counters:
        """Build until told to stop.

        Raises
        ------
        WarehouseError
            The store refused in a way that waiting does not mend.
        """
        while not self.stop.is_set():
            begun_s = self.now_s()
            try:
                more = self.step()
            except WarehouseUnavailableError as error:
                log.warning("values by hour wait for the store: %s", error)
                more = False
            took_s = self.now_s() - begun_s
            self.stop.wait(REST_SHARE_BEHIND * took_s if more else max(REST_S_MIN, REST_SHARE * took_s))
        return self.counters

    def step(self) -> bool:
        """Build some hours that have changed; return whether there may be more."""
        stale = self.warehouse.query_columns(STALE)
        if not stale["hour_s"]:
            return False
        self.warehouse.execute(build(stale["hour_s"], stale["now_ms"][0]))
        self.counters.hours_built += len(stale["hour_s"])
        return len(stale["hour_s"]) == HOURS_AT_ONCE


def build(hours_s: Sequence[int], now_ms: int) -> str:
    """Return the statement that builds hours, each in seconds since 1970.

    >>> "IN (toDateTime(7200, 'UTC'))" in build([7_200], 8_000_000)
    True
    """
    hours = ", ".join(f"toDateTime({int(hour)}, 'UTC')" for hour in hours_s)
    return BUILD.format(now_ms=int(now_ms), hours=hours)
