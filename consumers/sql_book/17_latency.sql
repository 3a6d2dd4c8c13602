-- How long decisions took
--
-- Question: From the payment's own time to the writing of its decision: how many milliseconds, by hour?
-- Read: A sender's clock that is wrong shows here as well; latency without it is the demo's and the benchmarks'.
-- Parameters: from, to: event time of the payments, UTC, from included
SELECT
    toStartOfHour(event_time) AS hour,
    count() AS decisions,
    quantileExact(0.5)(toUnixTimestamp64Milli(decided_at) - toUnixTimestamp64Milli(event_time)) AS p50_ms,
    quantileExact(0.99)(toUnixTimestamp64Milli(decided_at) - toUnixTimestamp64Milli(event_time)) AS p99_ms
FROM v_predictions
WHERE event_time >= {from:DateTime64(3, 'UTC')} AND event_time < {to:DateTime64(3, 'UTC')} AND mode != 'history'
GROUP BY hour
ORDER BY hour
