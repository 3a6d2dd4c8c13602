-- What could not be processed
--
-- Question: Which records were refused, why, and since when?
-- Read: One row a reason. What to do: `python -m consumers dead-letters list`. The detail never holds what was sent.
-- Parameters: from, to: when the records were sent, UTC, from included
SELECT
    topic,
    reason,
    count() AS records,
    min(sent_at) AS first_sent,
    max(sent_at) AS last_sent,
    any(detail) AS for_example
FROM v_dead_letters
WHERE sent_at >= {from:DateTime64(3, 'UTC')} AND sent_at < {to:DateTime64(3, 'UTC')}
GROUP BY topic, reason
ORDER BY records DESC, topic, reason
