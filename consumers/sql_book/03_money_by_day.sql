-- What fraud was stopped and what got through, in money
--
-- Question: How much money was in known fraud that was acted on, and how much in known fraud that was approved?
-- Read: Amounts are in minor units of their currency, so one row a currency. Honest money that was stopped is the
-- price.
-- Parameters: from, to: event time of the payments, UTC, from included
SELECT
    toDate(event_time) AS day,
    currency,
    sumIf(amount_minor, verdict = 'fraud' AND action != 'approve') AS fraud_acted_on_minor,
    sumIf(amount_minor, verdict = 'fraud' AND action = 'approve') AS fraud_missed_minor,
    sumIf(amount_minor, verdict = 'legitimate' AND action = 'block') AS honest_blocked_minor
FROM v_labelled
WHERE event_time >= {from:DateTime64(3, 'UTC')} AND event_time < {to:DateTime64(3, 'UTC')} AND mode != 'history'
GROUP BY day, currency
ORDER BY day, currency
