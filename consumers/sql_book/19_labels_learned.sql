-- How soon labels are learned
--
-- Question: From when a verdict became known to its training record: how long, and how many of which source?
-- Read: Hours of lag are a store or a join that stood still. weight tells how many payments the records stand for.
-- Parameters: from, to: when the verdicts became known, UTC, from included
SELECT
    verdict_source,
    verdict,
    count() AS records,
    sum(weight) AS stand_for,
    quantileExact(0.5)(dateDiff('second', reported_at, joined_at)) AS lag_s_median,
    max(dateDiff('second', reported_at, joined_at)) AS lag_s_max
FROM v_training
WHERE reported_at >= {from:DateTime64(3, 'UTC')} AND reported_at < {to:DateTime64(3, 'UTC')}
GROUP BY verdict_source, verdict
ORDER BY records DESC, verdict_source, verdict
