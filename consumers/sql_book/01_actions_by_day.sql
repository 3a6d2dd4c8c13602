-- What was answered, day by day
--
-- Question: How many payments were answered, and how were they?
-- Read: One row a day. A jump of block or review without one in payments is a changed model, policy or attack: see
-- 18 and 20.
-- Parameters: from, to: event time of the payments, UTC, from included
SELECT
    toDate(event_time) AS day,
    count() AS decisions,
    round(countIf(action = 'approve') / decisions, 4) AS approved,
    round(countIf(action = 'step_up') / decisions, 4) AS stepped_up,
    round(countIf(action = 'review') / decisions, 4) AS reviewed,
    round(countIf(action = 'block') / decisions, 4) AS blocked,
    countIf(mode = 'rules_only') AS by_rules_alone,
    countIf(mode = 'fallback') AS detector_failed
FROM v_decisions
WHERE event_time >= {from:DateTime64(3, 'UTC')} AND event_time < {to:DateTime64(3, 'UTC')} AND action != 'invalid'
GROUP BY day
ORDER BY day
