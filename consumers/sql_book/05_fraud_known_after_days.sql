-- How much of a week's fraud was known after so many days
--
-- Question: Of the frauds of each week that are known today, how many were known after 7, 14, 30 and 60 days?
-- Read: Shares are of what is known now: only weeks that are older than the longest delay are complete.
-- Parameters: from, to: event time of the payments, UTC, from included
SELECT
    toMonday(event_time) AS week,
    count() AS frauds_known,
    round(countIf(reported_at <= event_time + INTERVAL 7 DAY) / frauds_known, 3) AS after_7_days,
    round(countIf(reported_at <= event_time + INTERVAL 14 DAY) / frauds_known, 3) AS after_14_days,
    round(countIf(reported_at <= event_time + INTERVAL 30 DAY) / frauds_known, 3) AS after_30_days,
    round(countIf(reported_at <= event_time + INTERVAL 60 DAY) / frauds_known, 3) AS after_60_days
FROM v_labelled
WHERE event_time >= {from:DateTime64(3, 'UTC')} AND event_time < {to:DateTime64(3, 'UTC')} AND verdict = 'fraud'
GROUP BY week
ORDER BY week
