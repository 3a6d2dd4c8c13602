-- One row per record of payments.labels.v1: what somebody says a payment was. All revisions of all sources are kept, and
-- repeats of one as well; of those the record with the lowest offset counts.
CREATE TABLE IF NOT EXISTS labels
(
    transaction_id String COMMENT 'Id that the gateway gave the payment' CODEC(ZSTD(1)),
    card String COMMENT 'Token of the card' CODEC(ZSTD(1)),
    merchant String COMMENT 'Token of the merchant' CODEC(ZSTD(1)),
    source LowCardinality(String) COMMENT 'chargeback, issuer_report, analyst, customer or assumed_legitimate',
    revision UInt32 COMMENT 'A later revision replaces an earlier one of the same source and payment',
    verdict LowCardinality(String) COMMENT 'fraud, legitimate, service_dispute or withdrawn',
    occurred_at DateTime64(3, 'UTC') COMMENT 'When the payment was attempted' CODEC(Delta, ZSTD(1)),
    reported_at DateTime64(3, 'UTC') COMMENT 'When this became known' CODEC(Delta, ZSTD(1)),
    fraud_type LowCardinality(String) COMMENT 'Kind of fraud, empty where not given',
    reason_code LowCardinality(String) COMMENT 'Code of the card scheme, such as Visa 10.4, empty where not given',
    amount_minor Nullable(Int64) COMMENT 'Disputed amount in minor units; null where it is the whole',
    currency LowCardinality(String) COMMENT 'ISO 4217 alphabetic code of the disputed amount, empty where not given',
    stored_at DateTime64(3, 'UTC') COMMENT 'When the label was written to Kafka' CODEC(Delta, ZSTD(1)),
    record_partition Int32 COMMENT 'Partition of the record in payments.labels.v1',
    record_offset Int64 COMMENT 'Offset of the record in its partition' CODEC(Delta, ZSTD(1)),
    INDEX by_transaction transaction_id TYPE bloom_filter GRANULARITY 1,
    INDEX by_merchant merchant TYPE bloom_filter GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (card, transaction_id, source, revision, record_partition, record_offset)
COMMENT 'Labels as they came, read more than once or not: read v_labels or v_verdicts';

-- Who is believed over whom is that of schemas/label.py. A service dispute of any source stands right over silence: it
-- says neither fraud nor legitimate, but a payment that is disputed is none of which nobody complained.
CREATE OR REPLACE VIEW v_verdicts
AS SELECT
    transaction_id, card, merchant, source, revision, verdict, occurred_at, reported_at, fraud_type, reason_code,
    amount_minor, currency, stored_at, record_partition, record_offset
FROM
(
    SELECT
        *,
        indexOf
        (
            ['assumed_legitimate', 'service_dispute', 'customer', 'analyst', 'issuer_report', 'chargeback'], source
        ) AS rank
    FROM labels FINAL
    WHERE (record_partition, record_offset) NOT IN
    (
        SELECT partition, offset FROM dead_letters WHERE endsWith(topic, 'payments.labels.v1')
    )
    ORDER BY revision DESC, record_offset
    LIMIT 1 BY card, transaction_id, source
)
WHERE verdict != 'withdrawn'
ORDER BY if(verdict = 'service_dispute', 2, rank) DESC, rank DESC
LIMIT 1 BY card, transaction_id
COMMENT 'The verdict that counts for each payment of which something stands: fraud, legitimate, or a service dispute';
