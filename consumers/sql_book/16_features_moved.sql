-- Which features moved
--
-- Question: How far have the medians of the features moved between two stretches of time?
-- Read: moved is the change of the median in widths of the first stretch (distance of its 10th and 90th hundredth).
-- Parameters: from, middle, to: the first stretch ends where the second begins
SELECT
    feature,
    quantileExactIf(0.5)(value, early) AS median_before,
    quantileExactIf(0.5)(value, NOT early) AS median_after,
    quantileExactIf(0.9)(value, early) - quantileExactIf(0.1)(value, early) AS width_before,
    round((median_after - median_before) / width_before, 3) AS moved
FROM
(
    SELECT
        tupleElement(each, 1) AS feature,
        tupleElement(each, 2) AS value,
        event_time < {middle:DateTime64(3, 'UTC')} AS early
    FROM v_predictions
    ARRAY JOIN arrayZip(mapKeys(features), mapValues(features)) AS each
    WHERE event_time >= {from:DateTime64(3, 'UTC')} AND event_time < {to:DateTime64(3, 'UTC')}
)
GROUP BY feature
HAVING width_before > 0
ORDER BY abs(moved) DESC, feature
