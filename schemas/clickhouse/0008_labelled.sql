-- What was said of a payment beside what it turned out to be. An id may be used again a month later, so a label belongs
-- to the payment of that card and id within a day of the time that the label gives.
CREATE OR REPLACE VIEW v_labelled
AS SELECT
    p.transaction_id AS transaction_id,
    p.card AS card,
    p.merchant AS merchant,
    p.event_time AS event_time,
    p.amount_minor AS amount_minor,
    p.currency AS currency,
    p.score AS score,
    p.probability AS probability,
    p.action AS action,
    p.mode AS mode,
    p.model_version AS model_version,
    l.verdict AS verdict,
    l.source AS source,
    l.reported_at AS reported_at
FROM v_predictions AS p
INNER JOIN v_labels AS l ON p.card = l.card AND p.transaction_id = l.transaction_id
WHERE p.event_time BETWEEN l.occurred_at - INTERVAL 1 DAY AND l.occurred_at + INTERVAL 1 DAY
COMMENT 'Each payment that has a label, with the newest revision of it; those without one are in v_predictions only';
