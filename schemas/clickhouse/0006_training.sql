-- One row per record of fraud.training.v1: which label became an example, and what had been predicted. The features are
-- those of the prediction, under (card, transaction_id) in v_predictions; the record itself stays in Kafka.
CREATE TABLE IF NOT EXISTS training
(
    transaction_id String COMMENT 'Id that the gateway gave the payment' CODEC(ZSTD(1)),
    card String COMMENT 'Token of the card' CODEC(ZSTD(1)),
    merchant String COMMENT 'Token of the merchant' CODEC(ZSTD(1)),
    source LowCardinality(String) COMMENT 'Source of the label that changed the verdict that counts',
    revision UInt32 COMMENT 'Revision of that label; each is a record of its own',
    verdict LowCardinality(String) COMMENT 'The verdict that counted from then on: fraud or legitimate',
    verdict_source LowCardinality(String) COMMENT 'Whose it is: another than source where that one only withdrew its own',
    weight Float64 COMMENT 'How many examples this one stands for: over 1 where labels were sampled',
    probability Nullable(Float64) COMMENT 'Probability of fraud that was predicted then, 0 to 1; null without a model',
    model_version LowCardinality(String) COMMENT 'Model that had scored, empty where rules alone decided',
    occurred_at DateTime64(3, 'UTC') COMMENT 'When the payment was attempted' CODEC(Delta, ZSTD(1)),
    reported_at DateTime64(3, 'UTC') COMMENT 'When the verdict became known' CODEC(Delta, ZSTD(1)),
    joined_at DateTime64(3, 'UTC') COMMENT 'When the training record was written to Kafka' CODEC(Delta, ZSTD(1)),
    record_partition Int32 COMMENT 'Partition of the record in fraud.training.v1',
    record_offset Int64 COMMENT 'Offset of the record: its place in the order of learning' CODEC(Delta, ZSTD(1)),
    precedence UInt64 MATERIALIZED bitNot(toUInt64(record_offset))
        COMMENT 'Larger for a lower offset: of several records of one revision the first counts' CODEC(Delta, ZSTD(1)),
    INDEX by_transaction transaction_id TYPE bloom_filter GRANULARITY 1
)
ENGINE = ReplacingMergeTree(precedence)
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (card, transaction_id, source, revision)
COMMENT 'Training records as they came, repeats included: read v_training';

CREATE OR REPLACE VIEW v_training
AS SELECT * FROM training FINAL
COMMENT 'Each label that became an example, once';
