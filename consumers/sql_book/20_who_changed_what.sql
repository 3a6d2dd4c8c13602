-- Who changed which model decides, and what was alarming then
--
-- Question: Which commands were given, what became of them, and which alerts were raised?
-- Read: In order of time, newest first. A refusal for forged or replayed is an intruder's or a broken tool's.
-- Parameters: from, to: when it happened, UTC, from included
SELECT at, what, who, outcome, subject, text
FROM
(
    SELECT
        answered_at AS at, concat('command ', kind) AS what, author AS who, concat(outcome, ' ', reason) AS outcome,
        version AS subject, text
    FROM v_audit
    UNION ALL
    SELECT raised_at AS at, concat('alert ', kind) AS what, '' AS who, severity AS outcome, subject, text
    FROM v_alerts
    UNION ALL
    SELECT
        published_at AS at, 'model cut' AS what, '' AS who, '' AS outcome, version AS subject,
        concat('records ', toString(records), ', frauds ', toString(frauds)) AS text
    FROM v_models
)
WHERE at >= {from:DateTime64(3, 'UTC')} AND at < {to:DateTime64(3, 'UTC')}
ORDER BY at DESC, what, subject
