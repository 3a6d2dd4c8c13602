-- What the highest scores of a day are worth
--
-- Question: Had only the so many highest scores of each day been looked at: how many frauds were among them?
-- Read: precision is over those of which something is known. possible is how many frauds of the day there were to find.
-- Parameters: from, to: event time of the payments, UTC, from included; number: how many a day
SELECT
    day,
    countIf(verdict = 'fraud' AND place <= {number:UInt32}) AS found,
    countIf(verdict = 'fraud') AS possible,
    round(found / countIf(place <= {number:UInt32} AND verdict IN ('fraud', 'legitimate')), 4) AS precision
FROM
(
    SELECT
        toDate(event_time) AS day,
        verdict,
        row_number() OVER (PARTITION BY toDate(event_time) ORDER BY score DESC, transaction_id) AS place
    FROM v_labelled
    WHERE event_time >= {from:DateTime64(3, 'UTC')} AND event_time < {to:DateTime64(3, 'UTC')} AND score IS NOT NULL
)
GROUP BY day
ORDER BY day
