-- One row per outcome of payments.outcomes.v1: what became of a payment after our decision. A repeat (card, transaction
-- id, kind, time) is harmless, and the record with the lowest offset counts.
CREATE TABLE IF NOT EXISTS outcomes
(
    transaction_id String COMMENT 'Id that the gateway gave the payment' CODEC(ZSTD(1)),
    card String COMMENT 'Token of the card' CODEC(ZSTD(1)),
    merchant String COMMENT 'Token of the merchant' CODEC(ZSTD(1)),
    kind LowCardinality(String)
        COMMENT 'authorised, declined_by_issuer, captured, refunded, reversed, step_up_passed or step_up_failed',
    occurred_at DateTime64(3, 'UTC') COMMENT 'When it happened' CODEC(Delta, ZSTD(1)),
    amount_minor Nullable(Int64) COMMENT 'Amount in minor units of a part; null where it is the whole',
    currency LowCardinality(String) COMMENT 'ISO 4217 alphabetic code of the amount, empty where not given',
    response_code LowCardinality(String) COMMENT 'Answer of the issuer (ISO 8583 DE 39), empty where not given',
    stored_at DateTime64(3, 'UTC') COMMENT 'When the outcome was written to Kafka' CODEC(Delta, ZSTD(1)),
    record_partition Int32 COMMENT 'Partition of the record in payments.outcomes.v1',
    record_offset Int64 COMMENT 'Offset of the record in its partition' CODEC(Delta, ZSTD(1)),
    precedence UInt64 MATERIALIZED bitNot(toUInt64(record_offset))
        COMMENT 'Larger for a lower offset: of several records of one outcome the first counts' CODEC(Delta, ZSTD(1)),
    INDEX by_transaction transaction_id TYPE bloom_filter GRANULARITY 1,
    INDEX by_merchant merchant TYPE bloom_filter GRANULARITY 1
)
ENGINE = ReplacingMergeTree(precedence)
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (card, transaction_id, kind, occurred_at)
COMMENT 'Outcomes as they came, repeats included: read v_outcomes';

CREATE OR REPLACE VIEW v_outcomes
AS SELECT * FROM outcomes FINAL
COMMENT 'Each thing that became of a payment, once';
