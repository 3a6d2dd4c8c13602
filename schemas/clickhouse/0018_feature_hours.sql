-- How often each value of each feature came, by hour: what drift is told from.
--
-- An hour is one row, made anew as a whole from rows that count once (consumers/predictions_to_hours.py), so neither a
-- repeated insert nor a repeated build adds anything. A cell is a range of values: the sign, exponent and first 8 bits of
-- the fraction of the number, so it is at most 0.4 % wide, and whole numbers up to 512 have one each. The score is beside
-- the features under its own name, in cells of one point.
CREATE TABLE IF NOT EXISTS feature_hours
(
    hour DateTime('UTC') COMMENT 'Hour of the event time',
    payments UInt64 COMMENT 'Payments answered in it',
    features Array(LowCardinality(String)) COMMENT 'Feature of each count' CODEC(ZSTD(1)),
    cells Array(Int32) COMMENT 'Cell of each count; larger numbers have larger cells' CODEC(Delta, ZSTD(1)),
    counts Array(UInt32) COMMENT 'Payments whose value lies in the cell; without a value a payment is in none' CODEC(ZSTD(1)),
    read_from DateTime64(3, 'UTC') COMMENT 'When its payments were begun to be read: of several rows the latest counts'
)
ENGINE = ReplacingMergeTree(read_from)
PARTITION BY toYYYYMM(hour)
ORDER BY hour
COMMENT 'Values of features by hour, earlier builds included: read v_feature_hours';

CREATE OR REPLACE VIEW v_feature_hours
(
    hour DateTime('UTC') COMMENT 'Hour of the event time',
    payments UInt64 COMMENT 'Payments answered in it',
    features Array(LowCardinality(String)) COMMENT 'Feature of each count',
    cells Array(Int32) COMMENT 'Cell of each count; larger numbers have larger cells',
    counts Array(UInt32) COMMENT 'Payments whose value lies in the cell; without a value a payment is in none',
    read_from DateTime64(3, 'UTC') COMMENT 'When its payments were begun to be read'
)
AS SELECT * FROM feature_hours FINAL
COMMENT 'Values of features by hour, as built last';

CREATE OR REPLACE VIEW v_hours_touched
(
    hour DateTime('UTC') COMMENT 'Hour of the event time',
    touched_at DateTime64(3, 'UTC') COMMENT 'When a payment of it was stored last',
    read_from Nullable(DateTime64(3, 'UTC')) COMMENT 'When its build began to read; null where there is none',
    stale UInt8 COMMENT '1 where what was stored later than a minute before the build began may be missing in it'
)
AS SELECT
    t.hour AS hour,
    t.touched_at AS touched_at,
    nullIf(b.read_from, toDateTime64(0, 3, 'UTC')) AS read_from,
    -- An insert is marked before its rows can be read: on a server a build between the two must not count as later.
    t.touched_at > b.read_from - INTERVAL 1 MINUTE AS stale
FROM (SELECT hour, max(touched_at) AS touched_at FROM hours_touched GROUP BY hour) AS t
LEFT JOIN (SELECT hour, max(read_from) AS read_from FROM feature_hours GROUP BY hour) AS b ON t.hour = b.hour
COMMENT 'Each hour with payments, and if its values are built';

-- PSI: the bins are the tenths of the reference and one for no value, as in consumers/page/drift.py; without drift it is
-- (1/n + 1/m) times chi-squared (Yurdakul, Statistical Properties of Population Stability Index, 2018), whose 99.9 %
-- quantiles for 1 to 10 degrees of freedom are in the list. KS: the two-sample statistic over the cells, of the payments
-- that have a value; critical is c(alpha) * sqrt((n + m) / (n * m)) with c(0.001) = 1.9495 (Smirnov 1948).
CREATE OR REPLACE VIEW v_drift
(
    feature String COMMENT 'Name of the feature, or score',
    reference_payments UInt64 COMMENT 'Payments of the reference window',
    recent_payments UInt64 COMMENT 'Payments of the recent window',
    reference_values UInt64 COMMENT 'Those of the reference that have a value',
    recent_values UInt64 COMMENT 'Those of the recent window that have a value',
    reference_mean Float64 COMMENT 'Mean of the values of the reference, to the width of a cell; NaN where none is',
    recent_mean Float64 COMMENT 'Mean of the recent values, to the width of a cell; NaN where none is',
    bins UInt64 COMMENT 'Bins that hold a payment, no value included',
    psi Float64 COMMENT 'Population stability index, half a payment added to each bin',
    psi_critical Float64 COMMENT 'What chance alone exceeds once in a thousand, for so many payments and bins',
    ks Float64 COMMENT 'Kolmogorov-Smirnov statistic of the values: the largest distance of the distributions, 0 to 1',
    ks_critical Float64 COMMENT 'What chance alone exceeds once in a thousand, for so many values; inf where there is none',
    drifted UInt8 COMMENT '1 where one of the two is beyond chance',
    stale_hours UInt64 COMMENT 'Hours of both windows whose newest payments may be missing here yet'
)
AS WITH
    [10.827566, 13.815511, 16.266236, 18.466827, 20.515006, 22.457744, 24.321886, 26.124482, 27.877165, 29.588298]
        AS chi_squared,
    chosen AS
    (
        SELECT *, hour >= {from:DateTime64(3, 'UTC')} AND hour < {to:DateTime64(3, 'UTC')} AS recent,
            hour >= {reference_from:DateTime64(3, 'UTC')} AND hour < {reference_to:DateTime64(3, 'UTC')} AS reference
        FROM v_feature_hours
        WHERE recent OR reference
    ),
    assumeNotNull((SELECT sumIf(payments, reference) FROM chosen)) AS all_n,
    assumeNotNull((SELECT sumIf(payments, recent) FROM chosen)) AS all_m,
    assumeNotNull
    (
        (
            SELECT countIf(stale) FROM v_hours_touched
            WHERE (hour >= {from:DateTime64(3, 'UTC')} AND hour < {to:DateTime64(3, 'UTC')})
                OR (hour >= {reference_from:DateTime64(3, 'UTC')} AND hour < {reference_to:DateTime64(3, 'UTC')})
        )
    ) AS stale,
    of_cells AS
    (
        SELECT
            f AS feature, c AS cell,
            sumIf(toUInt64(k), reference) AS r,
            sumIf(toUInt64(k), recent) AS s,
            if(f = 'score', toFloat64(c), sign(c) * reinterpretAsFloat64(bitShiftLeft(toInt64(abs(c)), 44))) AS value
        FROM chosen
        ARRAY JOIN features AS f, cells AS c, counts AS k
        GROUP BY f, c
    ),
    summed AS
    (
        SELECT
            feature, r, s, value,
            sum(r) OVER (PARTITION BY feature) AS n,
            sum(s) OVER (PARTITION BY feature) AS m,
            sum(r) OVER (PARTITION BY feature ORDER BY cell) AS r_up_to,
            sum(s) OVER (PARTITION BY feature ORDER BY cell) AS s_up_to
        FROM of_cells
    ),
    of_bins AS
    (
        -- How many tenths of the reference end before the cell: an edge belongs to the bin below it.
        SELECT
            feature, if(n = 0, 0, least(9, intDiv(10 * (r_up_to - r), greatest(n, 1)))) AS bin,
            sum(r) AS before, sum(s) AS after,
            any(n) AS of_reference, any(m) AS of_recent,
            sum(r * value) AS reference_total, sum(s * value) AS recent_total,
            max(abs(r_up_to / n - s_up_to / m)) AS distance
        FROM summed
        GROUP BY feature, bin
        HAVING before + after > 0
    ),
    of_features AS
    (
        SELECT
            feature,
            any(of_reference) AS values_n,
            any(of_recent) AS values_m,
            sum(reference_total) / values_n AS mean_n,
            sum(recent_total) / values_m AS mean_m,
            max(distance) AS ks,
            (toUInt64(all_n - values_n), toUInt64(all_m - values_m)) AS missing,
            if(missing.1 + missing.2 > 0, arrayPushBack(groupArray((before, after)), missing), groupArray((before, after)))
                AS counted,
            length(counted) AS bins
        FROM of_bins
        GROUP BY feature
    )
SELECT
    feature,
    all_n AS reference_payments,
    all_m AS recent_payments,
    values_n AS reference_values,
    values_m AS recent_values,
    mean_n AS reference_mean,
    mean_m AS recent_mean,
    bins,
    arraySum
    (
        (p, q) -> (q - p) * log(q / p),
        arrayMap(of -> (of.1 + 0.5) / (all_n + 0.5 * bins), counted),
        arrayMap(of -> (of.2 + 0.5) / (all_m + 0.5 * bins), counted)
    ) AS psi,
    if(bins > 1, chi_squared[bins - 1], 0) * (1 / all_n + 1 / all_m) AS psi_critical,
    ks,
    sqrt(-log(0.001 / 2) / 2) * sqrt((values_n + values_m) / (values_n * values_m)) AS ks_critical,
    psi > psi_critical OR ks > ks_critical AS drifted,
    stale AS stale_hours
FROM of_features
COMMENT 'Drift of features and score between two windows. Parameters: reference_from, reference_to, from, to (of whole hours)';

CREATE OR REPLACE VIEW v_drift_features
(
    feature String COMMENT 'Name of the feature, or score',
    reference_payments UInt64 COMMENT 'Payments of the reference window',
    recent_payments UInt64 COMMENT 'Payments of the recent window',
    reference_values UInt64 COMMENT 'Those of the reference that have a value',
    recent_values UInt64 COMMENT 'Those of the recent window that have a value',
    reference_mean Float64 COMMENT 'Mean of the values of the reference, to the width of a cell; NaN where none is',
    recent_mean Float64 COMMENT 'Mean of the recent values, to the width of a cell; NaN where none is',
    bins UInt64 COMMENT 'Bins that hold a payment, no value included',
    psi Float64 COMMENT 'Population stability index, half a payment added to each bin',
    psi_critical Float64 COMMENT 'What chance alone exceeds once in a thousand, for so many payments and bins',
    ks Float64 COMMENT 'Kolmogorov-Smirnov statistic of the values: the largest distance of the distributions, 0 to 1',
    ks_critical Float64 COMMENT 'What chance alone exceeds once in a thousand, for so many values; inf where there is none',
    drifted UInt8 COMMENT '1 where one of the two is beyond chance',
    stale_hours UInt64 COMMENT 'Hours of both windows whose newest payments may be missing here yet'
)
AS SELECT * FROM v_drift
(
    reference_from = {reference_from:DateTime64(3, 'UTC')}, reference_to = {reference_to:DateTime64(3, 'UTC')},
    from = {from:DateTime64(3, 'UTC')}, to = {to:DateTime64(3, 'UTC')}
)
WHERE feature != 'score'
ORDER BY psi / psi_critical DESC
COMMENT 'Drift of each feature, the most beyond chance first. Parameters: reference_from, reference_to, from, to (of whole hours)';

CREATE OR REPLACE VIEW v_drift_score
(
    feature String COMMENT 'Name of the feature, or score',
    reference_payments UInt64 COMMENT 'Payments of the reference window',
    recent_payments UInt64 COMMENT 'Payments of the recent window',
    reference_values UInt64 COMMENT 'Those of the reference that have a value',
    recent_values UInt64 COMMENT 'Those of the recent window that have a value',
    reference_mean Float64 COMMENT 'Mean of the values of the reference, to the width of a cell; NaN where none is',
    recent_mean Float64 COMMENT 'Mean of the recent values, to the width of a cell; NaN where none is',
    bins UInt64 COMMENT 'Bins that hold a payment, no value included',
    psi Float64 COMMENT 'Population stability index, half a payment added to each bin',
    psi_critical Float64 COMMENT 'What chance alone exceeds once in a thousand, for so many payments and bins',
    ks Float64 COMMENT 'Kolmogorov-Smirnov statistic of the values: the largest distance of the distributions, 0 to 1',
    ks_critical Float64 COMMENT 'What chance alone exceeds once in a thousand, for so many values; inf where there is none',
    drifted UInt8 COMMENT '1 where one of the two is beyond chance',
    stale_hours UInt64 COMMENT 'Hours of both windows whose newest payments may be missing here yet'
)
AS SELECT * FROM v_drift
(
    reference_from = {reference_from:DateTime64(3, 'UTC')}, reference_to = {reference_to:DateTime64(3, 'UTC')},
    from = {from:DateTime64(3, 'UTC')}, to = {to:DateTime64(3, 'UTC')}
)
WHERE feature = 'score'
COMMENT 'Drift of the score. Parameters: reference_from, reference_to, from, to (of whole hours)';
