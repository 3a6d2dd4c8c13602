-- One row per label of payments.labels.v1: what somebody says a payment was. Revisions are kept; a repeat of one is
-- harmless, and the record with the lowest offset counts.
CREATE TABLE IF NOT EXISTS labels
(
    transaction_id String COMMENT 'Id that the gateway gave the payment' CODEC(ZSTD(1)),
    card String COMMENT 'Token of the card' CODEC(ZSTD(1)),
    merchant String COMMENT 'Token of the merchant' CODEC(ZSTD(1)),
    revision UInt32 COMMENT 'A later revision replaces an earlier one of the same payment',
    verdict LowCardinality(String) COMMENT 'fraud, legitimate or service_dispute',
    source LowCardinality(String) COMMENT 'chargeback, issuer_report, analyst, customer or assumed_legitimate',
    occurred_at DateTime64(3, 'UTC') COMMENT 'When the payment was attempted' CODEC(Delta, ZSTD(1)),
    reported_at DateTime64(3, 'UTC') COMMENT 'When this became known' CODEC(Delta, ZSTD(1)),
    fraud_type LowCardinality(String) COMMENT 'Kind of fraud, empty where not given',
    reason_code LowCardinality(String) COMMENT 'Code of the card scheme, such as Visa 10.4, empty where not given',
    amount_minor Nullable(Int64) COMMENT 'Disputed amount in minor units; null where it is the whole',
    currency LowCardinality(String) COMMENT 'ISO 4217 alphabetic code of the disputed amount, empty where not given',
    stored_at DateTime64(3, 'UTC') COMMENT 'When the label was written to Kafka' CODEC(Delta, ZSTD(1)),
    record_partition Int32 COMMENT 'Partition of the record in payments.labels.v1',
    record_offset Int64 COMMENT 'Offset of the record in its partition' CODEC(Delta, ZSTD(1)),
    precedence UInt64 MATERIALIZED bitNot(toUInt64(record_offset))
        COMMENT 'Larger for a lower offset: of several records of one revision the first counts' CODEC(Delta, ZSTD(1)),
    INDEX by_transaction transaction_id TYPE bloom_filter GRANULARITY 1,
    INDEX by_merchant merchant TYPE bloom_filter GRANULARITY 1
)
ENGINE = ReplacingMergeTree(precedence)
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (card, transaction_id, revision)
COMMENT 'Labels as they came, repeats included: read v_labels or v_label_revisions';

CREATE OR REPLACE VIEW v_label_revisions
AS SELECT * FROM labels FINAL
COMMENT 'Each revision of each label, once';

CREATE OR REPLACE VIEW v_labels
AS SELECT * FROM labels FINAL
ORDER BY revision DESC
LIMIT 1 BY card, transaction_id
COMMENT 'The newest revision of each label';
