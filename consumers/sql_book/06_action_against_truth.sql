-- Actions beside what payments turned out to be
--
-- Question: Of the payments that were answered so, how many were fraud?
-- Read: A blocked payment is seldom labelled: nobody disputes what was not paid. So its row says little of false
-- alarms.
-- Parameters: from, to: event time of the payments, UTC, from included
SELECT
    action,
    countIf(verdict = 'fraud') AS frauds,
    countIf(verdict = 'legitimate') AS honest,
    countIf(verdict = 'service_dispute') AS service_disputes,
    round(frauds / (frauds + honest), 4) AS precision
FROM v_labelled
WHERE event_time >= {from:DateTime64(3, 'UTC')} AND event_time < {to:DateTime64(3, 'UTC')} AND mode != 'history'
GROUP BY action
ORDER BY precision DESC
