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
INNER JOIN v_verdicts AS l ON p.card = l.card AND p.transaction_id = l.transaction_id
WHERE p.event_time BETWEEN l.occurred_at - INTERVAL 1 DAY AND l.occurred_at + INTERVAL 1 DAY
COMMENT 'Each payment with the verdict that counts; those without one are in v_predictions only';

-- What became of each label. A label that is refused competes with none; of the others the first record of a revision
-- counts, of a source its latest revision, and of the sources the one that ranks highest.
CREATE OR REPLACE VIEW v_labels
(
    transaction_id String COMMENT 'Id that the gateway gave the payment',
    card String COMMENT 'Token of the card',
    merchant String COMMENT 'Token of the merchant',
    source LowCardinality(String) COMMENT 'chargeback, issuer_report, analyst, customer or assumed_legitimate',
    revision UInt32 COMMENT 'A later revision replaces an earlier one of the same source and payment',
    verdict LowCardinality(String) COMMENT 'fraud, legitimate, service_dispute or withdrawn',
    occurred_at DateTime64(3, 'UTC') COMMENT 'When the payment was attempted',
    reported_at DateTime64(3, 'UTC') COMMENT 'When this became known',
    fraud_type LowCardinality(String) COMMENT 'Kind of fraud, empty where not given',
    reason_code LowCardinality(String) COMMENT 'Code of the card scheme, such as Visa 10.4, empty where not given',
    amount_minor Nullable(Int64) COMMENT 'Disputed amount in minor units; null where it is the whole',
    currency LowCardinality(String) COMMENT 'ISO 4217 alphabetic code of the disputed amount, empty where not given',
    stored_at DateTime64(3, 'UTC') COMMENT 'When the label was written to Kafka',
    record_partition Int32 COMMENT 'Partition of the record in payments.labels.v1',
    record_offset Int64 COMMENT 'Offset of the record in its partition',
    state String
        COMMENT 'effective: it counts; outranked, superseded: another does; neutral: no verdict; duplicate; refused',
    conflicting UInt8 COMMENT '1 where the latest labels of two sources, silence apart, say fraud and legitimate',
    learning String
        COMMENT 'learned; waiting: no prediction is stored under its id; unknown_transaction: in vain; none: not to be'
)
AS SELECT
    transaction_id, card, merchant, source, revision, verdict, occurred_at, reported_at, fraud_type, reason_code,
    amount_minor, currency, stored_at, record_partition, record_offset,
    multiIf(
        refused, 'refused', place > 1, 'duplicate', revision < latest, 'superseded',
        verdict NOT IN ('fraud', 'legitimate'), 'neutral', rank = highest, 'effective', 'outranked'
    ) AS state,
    state IN ('effective', 'outranked') AND source != 'assumed_legitimate' AND frauds AND others AS conflicting,
    multiIf(
        state IN ('refused', 'duplicate'), 'none',
        (card, transaction_id, source, revision) IN (SELECT card, transaction_id, source, revision FROM training),
        'learned',
        (card, transaction_id, source, revision) IN
        (
            SELECT
                JSONExtractString(value, 'card'), JSONExtractString(value, 'transaction_id'),
                JSONExtractString(value, 'source'), toUInt32(JSONExtractUInt(value, 'revision'))
            FROM dead_letters
            WHERE stage = 'label-join' AND reason = 'label_without_prediction'
        ),
        'unknown_transaction',
        state = 'effective' AND (card, transaction_id) NOT IN (SELECT card, transaction_id FROM predictions), 'waiting',
        'none'
    ) AS learning
FROM
(
    SELECT
        *,
        NOT refused AND place = 1 AND revision = latest AS stands,
        multiIf(
            NOT stands OR verdict = 'withdrawn', 0,
            verdict = 'service_dispute', 2,
            indexOf
            (
                ['assumed_legitimate', 'service_dispute', 'customer', 'analyst', 'issuer_report', 'chargeback'], source
            )
        ) AS rank,
        max(rank) OVER (PARTITION BY card, transaction_id) AS highest,
        max(rank > 2 AND verdict = 'fraud') OVER (PARTITION BY card, transaction_id) AS frauds,
        max(rank > 2 AND verdict = 'legitimate') OVER (PARTITION BY card, transaction_id) AS others
    FROM
    (
        SELECT
            *,
            (record_partition, record_offset) IN
            (
                SELECT partition, offset FROM dead_letters WHERE endsWith(topic, 'payments.labels.v1')
            ) AS refused,
            row_number() OVER (PARTITION BY card, transaction_id, source, revision, refused ORDER BY record_offset) AS place,
            maxIf(revision, NOT refused) OVER (PARTITION BY card, transaction_id, source) AS latest
        FROM labels FINAL
    )
)
COMMENT 'Each label, and what became of it';
