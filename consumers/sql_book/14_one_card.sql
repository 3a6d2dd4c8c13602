-- Everything about one card
--
-- Question: What did this card pay, what was answered and why, and what became of it?
-- Read: In order of time. The features of its last payment: `python -m consumers features --card`.
-- Parameters: card: its token
SELECT
    p.event_time AS event_time,
    p.transaction_id AS transaction_id,
    p.merchant AS merchant,
    p.amount_minor AS amount_minor,
    p.currency AS currency,
    p.action AS action,
    p.score AS score,
    p.reason_texts AS reasons,
    l.verdict AS verdict,
    l.source AS said_by
FROM v_predictions AS p
LEFT JOIN v_labelled AS l
    ON p.card = l.card AND p.transaction_id = l.transaction_id AND p.event_time = l.event_time
WHERE p.card = {card:String}
ORDER BY event_time
