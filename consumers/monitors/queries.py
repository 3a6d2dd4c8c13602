"""The queries of the monitors: each gives small aggregates of the store, from which a judge has its figures.

Windows follow the time at which a payment was decided or a label was written, which are ours: a payment dated ahead
moves nothing. The recent window is the `recent_ms` before `now_ms`, the reference the `reference_ms` before that; both
leave out their end. What was imported as history counts nowhere. A record that was stored twice counts once: by the
view, or by its place in Kafka, which costs a minute's look less.
"""

from schemas.fields import DAY_MS

SAMPLE_ROWS = 5_000
"""Payments of a side whose features are compared. They are chosen by a hash, not by order of storing."""

_SINCE = "fromUnixTimestamp64Milli({now_ms:Int64} - {recent_ms:Int64} - {reference_ms:Int64}, 'UTC')"
_MIDDLE = "fromUnixTimestamp64Milli({now_ms:Int64} - {recent_ms:Int64}, 'UTC')"
_UNTIL = "fromUnixTimestamp64Milli({now_ms:Int64}, 'UTC')"
_DAY = DAY_MS
_LOSS = "-log(greatest(assumeNotNull(probability), 0.001))"


def _ago(column: str) -> str:
    return f"({{now_ms:Int64}} - 1 - toUnixTimestamp64Milli({column}))"


def _between(column: str, since: str = _SINCE, until: str = _UNTIL) -> str:
    return f"{column} >= {since} AND {column} < {until}"


def _sample(columns: str, where: str) -> str:
    sides = (
        f"SELECT {side} AS side, {columns} FROM v_predictions"
        f" WHERE mode != 'history' AND {_between('decided_at', since, until)} AND {where}"
        f" ORDER BY cityHash64(card, transaction_id) LIMIT {SAMPLE_ROWS}"
        for side, since, until in ((0, _SINCE, _MIDDLE), (1, _MIDDLE, _UNTIL))
    )
    return " UNION ALL ".join(f"SELECT * FROM ({select})" for select in sides)


def _distributions(pairs: str, where: str = "1") -> str:
    # The row with an empty name counts the payments themselves.
    return f"""
SELECT
    name,
    arrayMap(bin -> countEqual(before_bins, bin), range(length(edges) + 1)) AS reference,
    arrayMap(bin -> countEqual(after_bins, bin), range(length(edges) + 1)) AS recent,
    length(before) AS reference_values,
    length(after) AS recent_values,
    reference_distinct,
    countEqual(before, top) AS reference_top,
    countEqual(after, top) AS recent_top
FROM
(
    SELECT
        pair.1 AS name,
        arrayFilter
        (
            edge -> isFinite(edge),
            arrayDistinct(quantilesExactIf(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)(pair.2, side = 0))
        ) AS edges,
        groupArrayIf(pair.2, side = 0) AS before,
        groupArrayIf(pair.2, side = 1) AS after,
        arrayMap(value -> arrayCount(edge -> edge < value, edges), before) AS before_bins,
        arrayMap(value -> arrayCount(edge -> edge < value, edges), after) AS after_bins,
        uniqExactIf(pair.2, side = 0) AS reference_distinct,
        topKIf(1, 100)(pair.2, side = 1)[1] AS top
    FROM
    (
        SELECT side, arrayJoin(arrayConcat([('', 0.)], pairs)) AS pair
        FROM ({_sample(f"{pairs} AS pairs", where)})
    )
    GROUP BY name
)
ORDER BY name
"""


FEATURES = _distributions("CAST(features, 'Array(Tuple(String, Float64))')")

SCORE = _distributions("[('score', toFloat64(assumeNotNull(score)))]", "score IS NOT NULL")

SEGMENT_FIELDS = ("channel", "entry_mode", "currency", "issuer_country", "merchant_country", "ip_country", "mcc")

_FIELDS = ", ".join(f"('{name}', toString({name}))" for name in SEGMENT_FIELDS)

SEGMENTS = f"""
SELECT pair.1 AS field, pair.2 AS value, countIf(side = 0) AS reference, countIf(side = 1) AS recent
FROM
(
    SELECT side, arrayJoin(pairs) AS pair
    FROM ({_sample(f"[{_FIELDS}] AS pairs", "1")})
)
GROUP BY field, value
ORDER BY field, value
"""

DECISIONS = f"""
SELECT
    intDiv({_ago("decided_at")}, {{recent_ms:Int64}}) AS age,
    policy_version,
    count() AS payments,
    countIf(action != 'approve') AS acted
FROM v_predictions
WHERE mode != 'history' AND {_between("decided_at")}
GROUP BY age, policy_version
ORDER BY age, policy_version
"""

QUALITY = f"""
SELECT
    reported_at >= {_MIDDLE} AS recent,
    intDiv({_ago("reported_at")}, {_DAY}) AS age,
    count() AS frauds,
    countIf(action != 'approve') AS caught,
    sum({_LOSS}) AS loss,
    sum(pow({_LOSS}, 2)) AS squares
FROM v_labelled
WHERE verdict = 'fraud' AND mode = 'normal' AND probability IS NOT NULL AND {_between("reported_at")}
GROUP BY recent, age
ORDER BY age, recent
"""

CALIBRATION = f"""
SELECT
    verdict,
    count() AS labels,
    sum(weight) AS weights,
    sum(weight * assumeNotNull(probability)) AS expected,
    sum(weight * weight * assumeNotNull(probability) * (1 - assumeNotNull(probability))) AS variance
FROM v_training
WHERE probability IS NOT NULL AND {_between("joined_at", _MIDDLE)}
GROUP BY verdict
ORDER BY verdict
"""

LABELS = f"""
SELECT
    source,
    intDiv({_ago("stored_at")}, {_DAY}) AS age,
    uniqExact(card, transaction_id, revision) AS labels
FROM labels
WHERE {_between("stored_at")}
GROUP BY source, age
ORDER BY source, age
"""

ERRORS_MAX = 2_000
"""Known frauds over which ADWIN is folded: the newest."""

ERRORS = f"""
SELECT loss, recent FROM
(
    SELECT record_offset, {_LOSS} AS loss, joined_at >= {_MIDDLE} AS recent
    FROM v_training
    WHERE verdict = 'fraud' AND probability IS NOT NULL AND joined_at < {_UNTIL}
    ORDER BY record_offset DESC
    LIMIT {ERRORS_MAX}
)
ORDER BY record_offset
"""

LATENCY_HOURS_MAX = 24
"""A payment that was older when it was decided came late, or was replayed: that is not our latency."""

LATENCY = f"""
SELECT count() AS payments, quantileExact(0.99)(latency_ms) AS p99_ms FROM
(
    SELECT DISTINCT
        record_partition,
        record_offset,
        toUnixTimestamp64Milli(decided_at) - toUnixTimestamp64Milli(event_time) AS latency_ms
    FROM predictions
    WHERE mode != 'history' AND {_between("decided_at", _MIDDLE)}
        AND event_time > decided_at - INTERVAL {LATENCY_HOURS_MAX} HOUR
)
"""

STORED = f"""
SELECT
    {{now_ms:Int64}} - newest_ms AS lag_ms,
    uniqExactIf(record_partition, record_offset, ago_ms >= {_DAY} AND ago_ms % {_DAY} < lag_ms)
        / greatest(days, 1) AS due,
    uniqExactIf(intDiv(ago_ms, {_DAY}), ago_ms >= {_DAY}) AS days
FROM
(
    SELECT {_ago("decided_at")} AS ago_ms, record_partition, record_offset
    FROM predictions
    WHERE mode != 'history' AND {_between("decided_at")}
) AS stored
CROSS JOIN
(
    SELECT max(newest) AS newest_ms FROM
    (
        SELECT toUnixTimestamp64Milli(max(decided_at)) AS newest FROM predictions WHERE {_between("decided_at")}
        UNION ALL
        SELECT toUnixTimestamp64Milli(max(decided_at)) FROM decisions WHERE {_between("decided_at")}
        UNION ALL
        SELECT toUnixTimestamp64Milli(max(stored_at)) FROM outcomes WHERE {_between("stored_at")}
        UNION ALL
        SELECT toUnixTimestamp64Milli(max(stored_at)) FROM labels WHERE {_between("stored_at")}
    )
) AS newest
GROUP BY newest_ms
"""

ARRIVED = f"""
SELECT intDiv({_ago("decided_at")}, {_DAY}) AS age, uniqExact(record_partition, record_offset) AS payments
FROM predictions
WHERE mode != 'history' AND {_between("decided_at")} AND {_ago("decided_at")} % {_DAY} < {{recent_ms:Int64}}
GROUP BY age
ORDER BY age
"""

REFUSED = f"""
SELECT
    count() AS letters,
    topK(1)(toString(reason))[1] AS reason,
    (
        SELECT uniqExact(record_partition, record_offset) FROM predictions
        WHERE mode != 'history' AND {_between("decided_at", _MIDDLE)}
    ) AS payments
FROM v_dead_letters
WHERE {_between("sent_at", _MIDDLE)}
"""

MODEL = f"""
SELECT
    if(models = 0, NULL, {{now_ms:Int64}} - newest_ms) AS age_ms,
    (
        SELECT uniqExact(record_offset) FROM training
        WHERE joined_at > (SELECT max(published_at) FROM models WHERE published_at < {_UNTIL}) AND joined_at < {_UNTIL}
    ) AS learnable
FROM
(
    SELECT count() AS models, toUnixTimestamp64Milli(max(published_at)) AS newest_ms
    FROM models WHERE published_at < {_UNTIL}
)
"""
