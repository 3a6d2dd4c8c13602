-- One row per answer of fraud.decisions.v1.
--
-- A valid decision answers a payment: its key is (card, time, transaction id), and the record with the lowest offset
-- counts. An `invalid` one answers a record that could not be accepted, of which the card or the time may not have been
-- readable and whose transaction id may come again in a valid one: its key holds its own partition and offset besides.
CREATE TABLE IF NOT EXISTS decisions
(
    transaction_id String COMMENT 'Id that the gateway gave; unique for its card within 30 days' CODEC(ZSTD(1)),
    card String COMMENT 'Token of the card, empty where a refused record had none that could be read' CODEC(ZSTD(1)),
    event_time Nullable(DateTime64(3, 'UTC'))
        COMMENT 'When the payment was attempted; null where a refused record did not say' CODEC(Delta, ZSTD(1)),
    action LowCardinality(String) COMMENT 'approve, step_up, review, block, or invalid for a refused record',
    mode LowCardinality(String) COMMENT 'normal, rules_only, fallback or history',
    score Nullable(UInt16) COMMENT 'Risk score, 0 to 1000; 600 is where acting starts to pay',
    probability Nullable(Float64) COMMENT 'Calibrated probability of fraud, 0 to 1',
    reason_codes Array(LowCardinality(String)) COMMENT 'Stable codes of the reasons, most important first',
    reason_texts Array(String) COMMENT 'Sentences of the reasons, in the order of reason_codes' CODEC(ZSTD(1)),
    reason_contributions Array(Nullable(Float64))
        COMMENT 'Log-odds that each reason added, in the order of reason_codes; null where unknown',
    model_version LowCardinality(String) COMMENT 'Model that scored, empty where rules alone decided',
    policy_version LowCardinality(String) COMMENT 'Policy that decided',
    traceparent String COMMENT 'W3C trace context of the payment, empty where not given' CODEC(ZSTD(1)),
    decided_at DateTime64(3, 'UTC') COMMENT 'When the decision was written to Kafka' CODEC(Delta, ZSTD(1)),
    record_partition Int32 COMMENT 'Partition of the record in fraud.decisions.v1',
    record_offset Int64 COMMENT 'Offset of the record in its partition' CODEC(Delta, ZSTD(1)),
    precedence UInt64 MATERIALIZED bitNot(toUInt64(record_offset))
        COMMENT 'Larger for a lower offset: of several answers to one payment the first counts' CODEC(Delta, ZSTD(1)),
    INDEX by_transaction transaction_id TYPE bloom_filter GRANULARITY 1
)
ENGINE = ReplacingMergeTree(precedence)
PARTITION BY toYYYYMM(ifNull(event_time, decided_at))
ORDER BY
(
    card,
    ifNull(event_time, decided_at),
    transaction_id,
    if(action = 'invalid', record_partition, -1),
    if(action = 'invalid', record_offset, -1)
)
COMMENT 'Decisions as they came, repeats included: read v_decisions';

CREATE OR REPLACE VIEW v_decisions
AS SELECT * FROM decisions FINAL
COMMENT 'Each answer, once';
