-- Each payment that was answered, once: what all views for analysts read.
--
-- To tell the repeats of a payment apart costs more than any question about it. So it is done once for each hour: the
-- hour's payments, each once, are kept as one row of arrays, made anew as a whole (consumers/predictions_to_hours.py).
-- An hour that got rows since is read from `predictions` instead. So nothing depends on when hours are built but time.
--
-- Labels are joined by SipHash of 128 bits, for numbers join faster than two texts: that two of a thousand million
-- payments have one key has a chance of 1 in 10^21.
CREATE TABLE IF NOT EXISTS payment_hours
(
    hour DateTime('UTC') COMMENT 'Hour of the event time',
    payment_keys Array(UInt128) COMMENT 'Hashes of card and transaction id; all arrays are in one order' CODEC(ZSTD(1)),
    transaction_ids Array(String) COMMENT 'Ids that the gateway gave' CODEC(ZSTD(1)),
    cards Array(String) COMMENT 'Tokens of the cards' CODEC(ZSTD(1)),
    merchants Array(String) COMMENT 'Tokens of the merchants' CODEC(ZSTD(1)),
    event_times Array(DateTime64(3, 'UTC')) COMMENT 'When the payments were attempted' CODEC(Delta, ZSTD(1)),
    decision_times Array(DateTime64(3, 'UTC')) COMMENT 'When the predictions were written to Kafka' CODEC(Delta, ZSTD(1)),
    amounts_base_minor Array(Int64)
        COMMENT 'Amounts in minor units of the base currency; 0 where there was no rate' CODEC(T64, ZSTD(1)),
    channels Array(LowCardinality(String)) COMMENT 'pos, ecommerce, moto, atm, recurring or unknown' CODEC(ZSTD(1)),
    issuer_countries Array(LowCardinality(String))
        COMMENT 'Countries of the card issuers (ISO 3166 alpha-2), empty where not given' CODEC(ZSTD(1)),
    cards_known_days Array(Nullable(Float32))
        COMMENT 'Days since the cards were first seen, at most 32; null where not told' CODEC(ZSTD(1)),
    merchants_count_30d Array(Nullable(Float32))
        COMMENT 'Payments of the merchants in 30 days; null where not told' CODEC(ZSTD(1)),
    actions Array(LowCardinality(String)) COMMENT 'approve, step_up, review or block' CODEC(ZSTD(1)),
    modes Array(LowCardinality(String)) COMMENT 'normal, rules_only or fallback' CODEC(ZSTD(1)),
    scores Array(Nullable(UInt16)) COMMENT 'Risk scores, 0 to 1000; null where no model scored' CODEC(ZSTD(1)),
    probabilities Array(Nullable(Float64))
        COMMENT 'Probabilities of fraud that the model said, 0 to 1; null where none did' CODEC(ZSTD(1)),
    model_versions Array(LowCardinality(String))
        COMMENT 'Models that scored, empty where rules alone decided' CODEC(ZSTD(1)),
    policy_versions Array(LowCardinality(String)) COMMENT 'Policies that decided' CODEC(ZSTD(1)),
    rates_versions Array(LowCardinality(String))
        COMMENT 'Rate tables that amounts were compared by, empty where there was none' CODEC(ZSTD(1)),
    code_versions Array(LowCardinality(String)) COMMENT 'Code that ran' CODEC(ZSTD(1)),
    read_from DateTime64(3, 'UTC') COMMENT 'When its payments were begun to be read: of several rows the latest counts'
)
ENGINE = ReplacingMergeTree(read_from)
PARTITION BY toYYYYMM(hour)
ORDER BY hour
COMMENT 'Answered payments by hour, each once, earlier builds included: read v_answered';

-- Which hours got rows since they were built. A repeat of an insert marks its hours again, which costs a build and
-- changes nothing.
CREATE TABLE IF NOT EXISTS hours_touched
(
    hour DateTime('UTC') COMMENT 'Hour of the event time',
    touched_at DateTime64(3, 'UTC') COMMENT 'When a payment of it was stored: the latest counts' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(touched_at)
ORDER BY hour
COMMENT 'When payments of each hour came, repeats included: read v_hours_touched';

CREATE MATERIALIZED VIEW IF NOT EXISTS predictions_to_hours_touched TO hours_touched
AS SELECT DISTINCT toStartOfHour(event_time) AS hour, now64(3, 'UTC') AS touched_at FROM predictions
COMMENT 'Marks the hours of what is stored';

-- The hours are told in one scalar, which is worked out once: none is then read twice or not at all, should a build end
-- meanwhile. An insert is marked before its rows can be read: on a server a build between the two must not count as
-- later, hence the minute.
CREATE OR REPLACE VIEW v_answered
(
    payment_key UInt128 COMMENT 'Hash of card and transaction id: what labels are joined by',
    transaction_id String COMMENT 'Id that the gateway gave',
    card String COMMENT 'Token of the card',
    merchant String COMMENT 'Token of the merchant',
    event_time DateTime64(3, 'UTC') COMMENT 'When the payment was attempted',
    decided_at DateTime64(3, 'UTC') COMMENT 'When the prediction was written to Kafka',
    amount_base_minor Int64 COMMENT 'Amount in minor units of the base currency; 0 where there was no rate',
    channel LowCardinality(String) COMMENT 'pos, ecommerce, moto, atm, recurring or unknown',
    issuer_country LowCardinality(String) COMMENT 'Country of the card issuer (ISO 3166 alpha-2), empty where not given',
    card_known_days Nullable(Float32) COMMENT 'Days since the card was first seen, at most 32; null where not told',
    merchant_count_30d Nullable(Float32) COMMENT 'Payments of the merchant in 30 days; null where not told',
    action LowCardinality(String) COMMENT 'approve, step_up, review or block',
    mode LowCardinality(String) COMMENT 'normal, rules_only or fallback',
    score Nullable(UInt16) COMMENT 'Risk score, 0 to 1000; null where no model scored',
    probability Nullable(Float64) COMMENT 'Probability of fraud that the model said, 0 to 1',
    model_version LowCardinality(String) COMMENT 'Model that scored, empty where rules alone decided',
    policy_version LowCardinality(String) COMMENT 'Policy that decided',
    rates_version LowCardinality(String) COMMENT 'Rate table that amounts were compared by, empty where there was none',
    code_version LowCardinality(String) COMMENT 'Code that ran'
)
AS WITH
    (
        SELECT (groupArrayIf(hour, built), groupArrayIf(hour, NOT built))
        FROM
        (
            SELECT t.hour AS hour, t.touched_at <= b.read_from - INTERVAL 1 MINUTE AS built
            FROM
            (
                SELECT hour, max(touched_at) AS touched_at
                FROM hours_touched
                WHERE hour >= toStartOfHour({from:DateTime64(3, 'UTC')}) AND hour < {to:DateTime64(3, 'UTC')}
                GROUP BY hour
            ) AS t
            LEFT JOIN (SELECT hour, max(read_from) AS read_from FROM payment_hours GROUP BY hour) AS b ON t.hour = b.hour
        )
    ) AS hours
SELECT
    payment_key, transaction_id, card, merchant, event_time, decided_at, amount_base_minor, channel, issuer_country,
    card_known_days, merchant_count_30d, action, mode, score, probability, model_version, policy_version, rates_version,
    code_version
FROM payment_hours FINAL
ARRAY JOIN
    payment_keys AS payment_key, transaction_ids AS transaction_id, cards AS card, merchants AS merchant,
    event_times AS event_time, decision_times AS decided_at, amounts_base_minor AS amount_base_minor,
    channels AS channel, issuer_countries AS issuer_country, cards_known_days AS card_known_days,
    merchants_count_30d AS merchant_count_30d, actions AS action, modes AS mode, scores AS score,
    probabilities AS probability, model_versions AS model_version, policy_versions AS policy_version,
    rates_versions AS rates_version, code_versions AS code_version
WHERE hour IN tupleElement(hours, 1)
    AND event_time >= {from:DateTime64(3, 'UTC')} AND event_time < {to:DateTime64(3, 'UTC')}
UNION ALL
SELECT
    reinterpretAsUInt128(sipHash128Reference(card, transaction_id)), transaction_id, card, merchant, event_time, decided_at,
    ifNull(amount_base_minor, 0), channel, issuer_country, card_known_days, merchant_count_30d, action, mode, score,
    probability, model_version, policy_version, rates_version, code_version
FROM predictions FINAL
WHERE toStartOfHour(event_time) IN tupleElement(hours, 2)
    AND event_time >= {from:DateTime64(3, 'UTC')} AND event_time < {to:DateTime64(3, 'UTC')} AND mode != 'history'
COMMENT 'Each payment that was answered, once. Parameters: from, to';
