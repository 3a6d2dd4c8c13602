-- What each hard rule does
--
-- Question: How often does each rule hold, and how often was it the model's opinion too?
-- Read: A rule that holds on payments with low scores knows something that the model does not, or is wrong: see frauds.
-- Parameters: from, to: event time of the payments, UTC, from included
SELECT
    arrayJoin(p.rule_hits) AS rule,
    count() AS payments,
    round(avg(p.score)) AS mean_score,
    countIf(l.verdict = 'fraud') AS frauds,
    countIf(l.verdict = 'legitimate') AS honest
FROM v_predictions AS p
LEFT JOIN v_labelled AS l
    ON p.card = l.card AND p.transaction_id = l.transaction_id AND p.event_time = l.event_time
WHERE p.event_time >= {from:DateTime64(3, 'UTC')} AND p.event_time < {to:DateTime64(3, 'UTC')}
GROUP BY rule
ORDER BY payments DESC, rule
