-- Which reasons were given, and how often they were right
--
-- Question: For each reason of a payment that was not approved: how often was it given first, and was it fraud?
-- Read: A reason with many payments and few frauds is where false alarms come from.
-- Parameters: from, to: event time of the payments, UTC, from included
SELECT
    p.reason_codes[1] AS first_reason,
    count() AS payments,
    countIf(l.verdict = 'fraud') AS frauds,
    countIf(l.verdict = 'legitimate') AS honest,
    round(frauds / (frauds + honest), 4) AS precision
FROM v_predictions AS p
LEFT JOIN v_labelled AS l
    ON p.card = l.card AND p.transaction_id = l.transaction_id AND p.event_time = l.event_time
WHERE p.event_time >= {from:DateTime64(3, 'UTC')} AND p.event_time < {to:DateTime64(3, 'UTC')}
    AND p.action != 'approve' AND p.mode != 'history'
GROUP BY first_reason
ORDER BY payments DESC, first_reason
