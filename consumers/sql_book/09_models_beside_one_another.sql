-- Which model version did how well
--
-- Question: For each model version that decided: how often, and how good were its probabilities?
-- Read: Versions decided at different times, so other fraud: a difference of the Brier score over few frauds means
-- nothing.
-- Parameters: from, to: event time of the payments, UTC, from included
SELECT
    p.model_version AS model_version,
    min(p.event_time) AS first_payment,
    count() AS payments,
    countIf(l.verdict = 'fraud') AS frauds,
    round(avg(p.probability), 5) AS mean_probability,
    round(avgIf(pow(p.probability - (l.verdict = 'fraud'), 2), l.verdict IN ('fraud', 'legitimate')), 6) AS brier
FROM v_predictions AS p
LEFT JOIN v_labelled AS l
    ON p.card = l.card AND p.transaction_id = l.transaction_id AND p.event_time = l.event_time
WHERE p.event_time >= {from:DateTime64(3, 'UTC')} AND p.event_time < {to:DateTime64(3, 'UTC')}
    AND p.model_version != ''
GROUP BY model_version
ORDER BY first_payment
