-- Whether probabilities are right
--
-- Question: Of payments with about this probability, what share was fraud?
-- Read: said and was should be near one another. Where silence is labelled by sample, honest payments count too
-- little: was is
-- too high by as much.
-- Parameters: from, to: event time of the payments, UTC, from included
SELECT
    floor(log10(greatest(probability, 1e-5)) * 2) / 2 AS log10_of_probability_from,
    count() AS labelled,
    round(avg(probability), 5) AS said,
    round(countIf(verdict = 'fraud') / labelled, 5) AS was
FROM v_labelled
WHERE event_time >= {from:DateTime64(3, 'UTC')} AND event_time < {to:DateTime64(3, 'UTC')}
    AND probability IS NOT NULL AND verdict IN ('fraud', 'legitimate')
GROUP BY log10_of_probability_from
ORDER BY log10_of_probability_from
