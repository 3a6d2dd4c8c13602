-- One row per prediction of fraud.predictions.v1: everything a decision was made from.
--
-- A repeat of the same payment (card, its hour, its id) is harmless: the record with the lowest offset is the one that
-- counts, and v_predictions shows it once. A gateway that uses an id again after the 30 days in which ids are unique
-- gets a row of its own, because the hour is part of the key.
--
-- Rows lie by hour, and by card within the hour: nearly every question is about a stretch of time, of any card. The time
-- itself is not in the key: the index would then go by it in its later place, and read a whole week for an hour.
-- Partitions are weeks, because the label join asks for the payments of a few days.
CREATE TABLE IF NOT EXISTS predictions
(
    transaction_id String COMMENT 'Id that the gateway gave; unique for its card within 30 days' CODEC(ZSTD(1)),
    card String COMMENT 'Token of the card' CODEC(ZSTD(1)),
    merchant String COMMENT 'Token of the merchant' CODEC(ZSTD(1)),
    amount_minor Int64 COMMENT 'Amount in minor units of the currency (cents, yen, fils)' CODEC(T64, ZSTD(1)),
    currency LowCardinality(String) COMMENT 'ISO 4217 alphabetic code',
    event_time DateTime64(3, 'UTC') COMMENT 'When the payment was attempted' CODEC(Delta, ZSTD(1)),
    customer String COMMENT 'Token of the customer, empty where not given' CODEC(ZSTD(1)),
    terminal String COMMENT 'Token of the point of sale, empty where not given' CODEC(ZSTD(1)),
    utc_offset_minutes Nullable(Int16) COMMENT 'Local time of the payment minus UTC, in minutes',
    mcc LowCardinality(String) COMMENT 'Merchant category code (ISO 18245), empty where not given',
    channel LowCardinality(String) COMMENT 'pos, ecommerce, moto, atm, recurring or unknown',
    entry_mode LowCardinality(String) COMMENT 'chip, contactless, magstripe, manual, credential_on_file or unknown',
    bin LowCardinality(String) COMMENT 'Issuer identification number, first 6 to 8 digits, empty where not given',
    issuer_country LowCardinality(String) COMMENT 'Country of the card issuer (ISO 3166 alpha-2), empty where not given',
    merchant_country LowCardinality(String) COMMENT 'Country of the merchant (ISO 3166 alpha-2), empty where not given',
    ip_country LowCardinality(String) COMMENT 'Country of the IP address (ISO 3166 alpha-2), empty where not given',
    shipping_country LowCardinality(String) COMMENT 'Country that the goods go to (ISO 3166 alpha-2), empty where not given',
    device String COMMENT 'Token of the device, empty where not given' CODEC(ZSTD(1)),
    ip String COMMENT 'Token of the IP address, empty where not given' CODEC(ZSTD(1)),
    email String COMMENT 'Token of the e-mail address, empty where not given' CODEC(ZSTD(1)),
    traceparent String COMMENT 'W3C trace context, empty where not given' CODEC(ZSTD(1)),
    features Map(LowCardinality(String), Float64) COMMENT 'Feature name to the value that was used' CODEC(ZSTD(1)),
    late_ms UInt64 COMMENT 'Milliseconds behind the newest event of the merchant, in event time' CODEC(T64, ZSTD(1)),
    positions Map(LowCardinality(String), Tuple(partition Int32, offset Int64))
        COMMENT 'Topic to the place up to which every input had been read' CODEC(ZSTD(1)),
    model_version LowCardinality(String) COMMENT 'Model that scored, empty where rules alone decided',
    policy_version LowCardinality(String) COMMENT 'Policy that decided',
    rates_version LowCardinality(String) COMMENT 'Rate table that amounts were compared by, empty where there was none',
    code_version LowCardinality(String) COMMENT 'Code that ran',
    rule_hits Array(LowCardinality(String)) COMMENT 'Names of the rules that fired',
    score Nullable(UInt16) COMMENT 'Risk score, 0 to 1000; 600 is where acting starts to pay',
    probability Nullable(Float64) COMMENT 'Calibrated probability of fraud, 0 to 1',
    propensity Float64 COMMENT 'Probability with which this action was drawn, 0 to 1',
    mode LowCardinality(String) COMMENT 'normal, rules_only, fallback or history',
    action LowCardinality(String) COMMENT 'approve, step_up, review or block',
    reason_codes Array(LowCardinality(String)) COMMENT 'Stable codes of the reasons, most important first',
    reason_texts Array(String) COMMENT 'Sentences of the reasons, in the order of reason_codes' CODEC(ZSTD(1)),
    reason_contributions Array(Nullable(Float64))
        COMMENT 'Log-odds that each reason added, in the order of reason_codes; null where unknown',
    decided_at DateTime64(3, 'UTC') COMMENT 'When the prediction was written to Kafka' CODEC(Delta, ZSTD(1)),
    record_partition Int32 COMMENT 'Partition of the record in fraud.predictions.v1',
    record_offset Int64 COMMENT 'Offset of the record in its partition' CODEC(Delta, ZSTD(1)),
    precedence UInt64 MATERIALIZED bitNot(toUInt64(record_offset))
        COMMENT 'Larger for a lower offset: of several records of one payment the first counts' CODEC(Delta, ZSTD(1)),
    amount_base_minor Nullable(Int64)
        MATERIALIZED if(mapContains(features, 'payment_amount_minor'), toInt64(round(features['payment_amount_minor'])), NULL)
        COMMENT 'Amount in whole minor units of the base currency; null where there was no rate' CODEC(T64, ZSTD(1)),
    card_known_days Nullable(Float32)
        MATERIALIZED if(mapContains(features, 'card_known_days'), features['card_known_days'], NULL)
        COMMENT 'Feature of that name: days since the card was first seen, at most 32' CODEC(ZSTD(1)),
    merchant_count_30d Nullable(Float32)
        MATERIALIZED if(mapContains(features, 'merchant_count_30d'), features['merchant_count_30d'], NULL)
        COMMENT 'Feature of that name: payments of the merchant in 30 days' CODEC(ZSTD(1)),
    INDEX by_transaction transaction_id TYPE bloom_filter GRANULARITY 1,
    INDEX by_card card TYPE bloom_filter GRANULARITY 1,
    INDEX by_merchant merchant TYPE bloom_filter GRANULARITY 1,
    INDEX by_decided decided_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(precedence)
PARTITION BY toMonday(event_time)
ORDER BY (toStartOfHour(event_time), card, transaction_id)
COMMENT 'Predictions as they came, repeats included: read v_predictions';

CREATE OR REPLACE VIEW v_predictions
AS SELECT * FROM predictions FINAL
COMMENT 'Each payment that was scored, once';
