"""What the analysts' views take, over a store of payments of 30 days that is made in SQL, on the embedded engine.

One day is drawn, and the others are copies of it under other ids; one row in a hundred is stored twice. Labels come to
one payment in ten. The hours of the last 14 days are kept, as they are while a service runs. What is done is told on
stderr. Everything lies in a folder that is removed at the end.
"""

import resource
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from consumers.clickhouse_embedded import EmbeddedWarehouse
from consumers.migrations_to_clickhouse import migrate
from consumers.predictions_to_hours import PredictionsToHours
from consumers.warehouse import Warehouse
from streams.detector.features import FEATURES
from streams.detector.payment import AMOUNT

ROWS = 50_000_000
DAYS = 30
REPEATED_ONE_IN = 100
DAY_S_MAX, WEEK_S_MAX, DRIFT_S_MAX, LOOK_UP_S_MAX = 1.0, 3.0, 5.0, 0.05
MEMORY_BYTES = 3_500_000_000
RUNS = 3
HOURS_KEPT = 14 * 24
ID = "tx-0000000000000007"
START = "toDateTime64('2026-10-01 00:00:00', 3, 'UTC')"
LIMITS = (
    f"SETTINGS max_memory_usage = {MEMORY_BYTES}, max_threads = 2, max_insert_threads = 1, "
    "min_insert_block_size_rows = 300000, min_insert_block_size_bytes = 0, max_partitions_per_insert_block = 0"
)

FIRST_DAY = """
INSERT INTO predictions
(
    transaction_id, card, merchant, amount_minor, currency, event_time, channel, issuer_country, features, late_ms,
    positions, model_version, policy_version, rates_version, code_version, score, probability, propensity, mode, action,
    reason_codes, reason_texts, reason_contributions, decided_at, record_partition, record_offset
)
SELECT
    concat('tx-', leftPad(hex(number), 16, '0')), concat('card_', toString(h % 500000)),
    concat('mer_', toString(intDiv(h, 500000) % 20000)), amount, 'EUR',
    {start} + toIntervalMillisecond(intDiv(number * 86400000, {rows})),
    ['pos', 'ecommerce', 'moto', 'atm', 'recurring'][1 + g % 5], ['DE', 'FR', 'ES', 'IT', 'PT'][1 + intDiv(g, 8) % 5],
    map({features}), 0, map('payments.transactions.v1', tuple(toInt32(number % 12), toInt64(number))), 'm-0',
    'policy-1', 'rates-1', 'c-1', toUInt16(1000 * pow(g % 100003 / 100003, 3)) AS points,
    1 / (1 + exp((600 - points) / 72)), 1.,
    'normal',
    multiIf(points >= 950, 'block', points >= 930, 'review', points >= 900, 'step_up', 'approve'),
    ['merchant_pace'], ['3 times the pace of the merchant'], [0.5],
    {start} + toIntervalMillisecond(intDiv(number * 86400000, {rows}) + 40 + g % 200), number % 12, number
FROM
(
    SELECT
        number, cityHash64(number) AS h, cityHash64(number, 1) AS g, toInt64(100 + exp(5 + 4 * (g % 10007) / 10007))
            AS amount
    FROM numbers({rows})
)
"""
ANOTHER_DAY = """
INSERT INTO predictions
SELECT * REPLACE
(
    concat('tx-', leftPad(hex({day} * 1099511627776 + record_offset), 16, '0')) AS transaction_id,
    concat('card_', toString(cityHash64(card, {day}) % 500000)) AS card,
    event_time + INTERVAL {day} DAY AS event_time, decided_at + INTERVAL {day} DAY AS decided_at,
    concat('m-', toString({day})) AS model_version, record_offset + {day} * {rows} AS record_offset
)
FROM (SELECT * FROM predictions WHERE event_time < {start} + INTERVAL 1 DAY)
"""
"""The day is chosen apart: beside REPLACE a condition is on what a column is replaced by."""
REPEATS = """
INSERT INTO predictions
SELECT * FROM predictions
WHERE event_time >= {start} + INTERVAL {day} DAY AND event_time < {start} + INTERVAL {day} + 1 DAY
    AND record_offset % {one_in} = 0
"""
SAID = """
INSERT INTO labels
(
    transaction_id, card, merchant, source, verdict, occurred_at, reported_at, stored_at, record_partition,
    record_offset
)
SELECT
    transaction_id, card, merchant, multiIf(k < 4, 'chargeback', k < 8, 'analyst', 'assumed_legitimate'),
    if(k < 6, 'fraud', 'legitimate'), event_time, event_time + toIntervalHour(k < 8 ? h % 600 : 720), event_time,
    record_partition, record_offset
FROM
(
    SELECT *, cityHash64(transaction_id) AS h, intDiv(h, 1000) % 1000 AS k
    FROM predictions
    WHERE event_time >= {start} + INTERVAL {day} DAY AND event_time < {start} + INTERVAL {day} + 1 DAY
)
WHERE k < 100
"""

WINDOW = "from = {to} - INTERVAL {days} DAY, to = {to}"
LABELLED = WINDOW + ", known_at = {to} + INTERVAL 30 DAY"
VIEWS: dict[str, str] = {
    "v_truth": LABELLED,
    "v_money_daily": LABELLED + ", decline_cost = 0.1, review_cost_minor = 300.",
    "v_threshold_sweep": LABELLED + ", decline_cost = 0.1",
    "v_quality": LABELLED + ", silence_weight = 10.",
    "v_disparity": LABELLED,
    "v_merchant_fraud": LABELLED,
    "v_reviews": LABELLED,
    "v_maturity": LABELLED,
    "v_latency": WINDOW,
    "v_in_force": WINDOW,
}
DRIFT = "reference_from = {to} - INTERVAL 14 DAY, reference_to = {to} - INTERVAL 7 DAY, " + WINDOW
OF_ROWS = {"v_truth": "verdict, action, sum(amount_base_minor), max(score)", "v_transaction": "*"}
"""What is asked of a view that has a row for each payment; of the others everything is."""


def run(*, rows: int = ROWS, days: int = DAYS) -> dict[str, Any]:
    """Fill a store and ask each view.

    Seconds are the middle one of three. Rows are those that the engine plans to read; an hour that is kept is one.
    """
    with tempfile.TemporaryDirectory(prefix="fraud-views-") as folder:
        with closing(EmbeddedWarehouse(Path(folder) / "clickhouse")) as warehouse:
            migrate(warehouse)
            filled_s = _fill(warehouse, max(1, rows // days), days)
            built_s = _build(warehouse)
            to = f"({START} + INTERVAL {days} DAY)"
            asked: dict[str, tuple[str, float]] = {}
            for name, parameters in VIEWS.items():
                for length, bound in ((1, DAY_S_MAX), (7, WEEK_S_MAX)):
                    asked[f"{name}, {length} d"] = (_call(name, parameters.format(to=to, days=length)), bound)
            for name in ("v_drift_features", "v_drift_score"):
                asked[name] = (_call(name, DRIFT.format(to=to, days=7)), DRIFT_S_MAX)
            asked["v_transaction"] = (_call("v_transaction", f"transaction_id = '{ID}'"), LOOK_UP_S_MAX)
            views = {name: _asked(warehouse, name, sql, bound) for name, (sql, bound) in asked.items()}
            stored = warehouse.query_columns("SELECT count() AS rows FROM predictions")["rows"][0]
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    return {
        "rows": rows,
        "stored": stored,
        "disk_gb": round(size / 1e9, 2),
        "fill_s": round(filled_s, 1),
        "build_hours_s": round(built_s, 1),
        "views": views,
        "holds": all(each["seconds"] <= each["bound_s"] for each in views.values()),
    }


def _call(view: str, parameters: str) -> str:
    told = OF_ROWS.get(view, "*")
    return f"SELECT {told} FROM {view}({parameters})" + (" GROUP BY verdict, action" if view == "v_truth" else "")  # noqa: S608


def _fill(warehouse: Warehouse, rows: int, days: int) -> float:
    begun = time.monotonic()
    features = ", ".join(f"'{each.name}', {_drawn(number, each.name)}" for number, each in enumerate(FEATURES))
    drawn = [FIRST_DAY, *(days - 1) * [ANOTHER_DAY]]
    for name, statements in {"payments": drawn, "repeats": days * [REPEATS], "labels": days * [SAID]}.items():
        for day, statement in enumerate(statements):
            told = {"start": START, "rows": rows, "day": day, "one_in": REPEATED_ONE_IN, "features": features}
            warehouse.execute(statement.format(**told) + LIMITS)
            _tell(f"{name} of day {day + 1} of {days} stored, {time.monotonic() - begun:.0f} s")
    return time.monotonic() - begun


def _tell(what: str) -> None:
    sys.stderr.write(f"{what}\n")
    sys.stderr.flush()


def _drawn(number: int, name: str) -> str:
    """Return the SQL of a feature's value: whole numbers, amounts and fractions of four decimals, as there are."""
    if name == AMOUNT:
        return "toFloat64(amount)"
    bits = f"bitAnd(bitShiftRight(h, {number % 40}), 1023)"
    return f"round({bits} / 64, 4)" if number % 3 == 0 else f"toFloat64({bits})"


def _build(warehouse: Warehouse) -> float:
    begun = time.monotonic()
    hours = PredictionsToHours(warehouse, threading.Event(), time.monotonic)
    while hours.counters.hours_built < HOURS_KEPT and hours.step():
        _tell(f"{hours.counters.hours_built} hours kept, {time.monotonic() - begun:.0f} s")
    return time.monotonic() - begun


def _asked(warehouse: Warehouse, name: str, sql: str, bound_s: float) -> dict[str, float]:
    seconds, processor = [], []
    for _ in range(RUNS):
        begun, used = time.monotonic(), _processor_s()
        warehouse.query_arrow(f"{sql} SETTINGS max_memory_usage = {MEMORY_BYTES}, max_threads = 2")
        seconds.append(time.monotonic() - begun)
        processor.append(_processor_s() - used)
    estimate = warehouse.query_columns(f"EXPLAIN ESTIMATE {sql}")
    _tell(f"{name}: {', '.join(f'{each:.3f}' for each in seconds)} s")
    return {
        "seconds": round(sorted(seconds)[RUNS // 2], 3),
        "processor_s": round(sorted(processor)[RUNS // 2], 3),
        "bound_s": bound_s,
        "rows_read": int(sum(estimate.get("rows", []))),
    }


def _processor_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
