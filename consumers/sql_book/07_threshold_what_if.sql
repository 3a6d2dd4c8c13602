-- What another threshold would have found
--
-- Question: Acting from each score on: how much of the known fraud, at how many honest payments for each?
-- Read: Of labelled payments alone. Choose by honest_per_fraud what a review may cost; rules act beside it.
-- Parameters: from, to: event time of the payments, UTC, from included
SELECT
    arrayJoin(range(500, 1000, 25)) AS at_least_score,
    countIf(verdict = 'fraud' AND score >= at_least_score) AS frauds_found,
    round(frauds_found / countIf(verdict = 'fraud'), 4) AS recall,
    countIf(verdict = 'legitimate' AND score >= at_least_score) AS honest_stopped,
    round(honest_stopped / frauds_found, 2) AS honest_per_fraud
FROM v_labelled
WHERE event_time >= {from:DateTime64(3, 'UTC')} AND event_time < {to:DateTime64(3, 'UTC')} AND score IS NOT NULL
GROUP BY at_least_score
ORDER BY at_least_score
