-- How late labels are
--
-- Question: How many days pass from a payment to what each source says of it?
-- Read: Medians of weeks are usual for chargebacks. Repeats and refused labels are left out.
-- Parameters: from, to: time of the payments, as the labels say, UTC, from included
SELECT
    source,
    verdict,
    count() AS labels,
    round(quantileExact(0.5)(dateDiff('second', occurred_at, reported_at)) / 86400, 2) AS days_median,
    round(quantileExact(0.9)(dateDiff('second', occurred_at, reported_at)) / 86400, 2) AS days_p90,
    countIf(conflicting) AS against_another_source
FROM v_labels
WHERE occurred_at >= {from:DateTime64(3, 'UTC')} AND occurred_at < {to:DateTime64(3, 'UTC')}
    AND state NOT IN ('duplicate', 'refused')
GROUP BY source, verdict
ORDER BY labels DESC, source, verdict
