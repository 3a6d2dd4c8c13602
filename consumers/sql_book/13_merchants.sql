-- Merchants with the most fraud
--
-- Question: At which merchants was most fraud, and what share of their payments was it?
-- Read: share_low is the lower end of the 95 % interval (Wilson): it ranks merchants with few payments as they deserve.
-- Parameters: from, to: event time of the payments, UTC, from included
SELECT
    p.merchant AS merchant,
    count() AS payments,
    countIf(l.verdict = 'fraud') AS frauds,
    round(frauds / payments, 5) AS share,
    round((share + 1.92 / payments - 1.96 * sqrt(share * (1 - share) / payments + 0.96 / pow(payments, 2)))
        / (1 + 3.84 / payments), 5) AS share_low
FROM v_predictions AS p
LEFT JOIN v_labelled AS l
    ON p.card = l.card AND p.transaction_id = l.transaction_id AND p.event_time = l.event_time
WHERE p.event_time >= {from:DateTime64(3, 'UTC')} AND p.event_time < {to:DateTime64(3, 'UTC')}
GROUP BY merchant
HAVING frauds > 0
ORDER BY share_low DESC, merchant
LIMIT 50
