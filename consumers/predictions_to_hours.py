"""Stored predictions to `payment_hours` and `feature_hours`: an hour made anew as a whole.

The first holds the hour's payments, each once, for the views of analysts; the second how often each value of each
feature came, for drift.

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

PAYMENT = {
    "payment_keys": "reinterpretAsUInt128(sipHash128Reference(card, transaction_id))",
    "transaction_ids": "transaction_id",
    "cards": "card",
    "merchants": "merchant",
    "event_times": "event_time",
    "decision_times": "decided_at",
    "amounts_base_minor": "ifNull(amount_base_minor, 0)",
    "channels": "channel",
    "issuer_countries": "issuer_country",
    "cards_known_days": "card_known_days",
    "merchants_count_30d": "merchant_count_30d",
    "actions": "action",
    "modes": "mode",
    "scores": "score",
    "probabilities": "probability",
    "model_versions": "model_version",
    "policy_versions": "policy_version",
    "rates_versions": "rates_version",
    "code_versions": "code_version",
}
"""Each array of `payment_hours`, and what of a prediction it holds."""

NULLABLE = ("cards_known_days", "merchants_count_30d", "scores", "probabilities")
"""Of bare values groupArray would leave out the nulls."""


def _collected(name: str) -> str:
    if name in NULLABLE:
        return f"tupleElement(groupArrayIf(tuple({name}), mode != 'history'), 1)"
    return f"groupArrayIf({name}, mode != 'history')"


# An hour of imported payments alone has a row as well, of no payments: it is built too. By time they pack better.
BUILD_PAYMENTS = f"""
INSERT INTO payment_hours (hour, {", ".join(PAYMENT)}, read_from)
SELECT
    hour,
    {", ".join(map(_collected, PAYMENT))},
    fromUnixTimestamp64Milli(toInt64({{now_ms}}), 'UTC')
FROM
(
    SELECT toStartOfHour(event_time) AS hour, mode, {", ".join(f"{told} AS {name}" for name, told in PAYMENT.items())}
    FROM predictions FINAL
    WHERE toStartOfHour(event_time) IN ({{hours}})
    ORDER BY hour, event_time
)
GROUP BY hour
"""  # noqa: S608 - names of ours

# A payment without features and one that was not answered must be counted as well: each is in the cell of its hour
# under the empty name, 0 where it was answered and 1 where not.
BUILD_FEATURES = """
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
        for statement in build(stale["hour_s"], stale["now_ms"][0]):
            self.warehouse.execute(statement)
        self.counters.hours_built += len(stale["hour_s"])
        return len(stale["hour_s"]) == HOURS_AT_ONCE


def build(hours_s: Sequence[int], now_ms: int) -> tuple[str, ...]:
    """Return the statements that build hours, each in seconds since 1970; by the last an hour is known as built.

    >>> ["IN (toDateTime(7200, 'UTC'))" in statement for statement in build([7_200], 8_000_000)]
    [True, True]
    """
    hours = ", ".join(f"toDateTime({int(hour)}, 'UTC')" for hour in hours_s)
    return tuple(each.format(now_ms=int(now_ms), hours=hours) for each in (BUILD_PAYMENTS, BUILD_FEATURES))
