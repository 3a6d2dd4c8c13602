-- How much fraud there is, as far as it is known
--
-- Question: What share of the payments is known to be fraud, by the day of the payment?
-- Read: The last weeks are too low, because labels come late: read known_share beside fraud_share, and 05 for how late.
-- Parameters: from, to: event time of the payments, UTC, from included
SELECT
    toDate(p.event_time) AS day,
    count() AS payments,
    countIf(l.verdict = 'fraud') AS frauds,
    round(frauds / payments, 5) AS fraud_share,
    round(countIf(l.verdict IN ('fraud', 'legitimate')) / payments, 4) AS known_share
FROM v_predictions AS p
LEFT JOIN v_labelled AS l
    ON p.card = l.card AND p.transaction_id = l.transaction_id AND p.event_time = l.event_time
WHERE p.event_time >= {from:DateTime64(3, 'UTC')} AND p.event_time < {to:DateTime64(3, 'UTC')}
GROUP BY day
ORDER BY day
