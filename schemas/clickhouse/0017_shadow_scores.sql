-- What challengers said of payments, beside what became of each payment.
CREATE TABLE IF NOT EXISTS shadow_scores
(
    transaction_id String COMMENT 'Id that the gateway gave the payment' CODEC(ZSTD(1)),
    card String COMMENT 'Token of the card' CODEC(ZSTD(1)),
    event_time DateTime64(3, 'UTC') COMMENT 'When the payment was attempted' CODEC(Delta, ZSTD(1)),
    challenger LowCardinality(String) COMMENT 'Which challenger, as the settings name it',
    records UInt64 COMMENT 'Training records that it had learned' CODEC(Delta, ZSTD(1)),
    training_offset UInt64 COMMENT 'First offset of fraud.training.v1 that it had not learned' CODEC(Delta, ZSTD(1)),
    log_odds Float64 COMMENT 'Log-odds of fraud that it gave' CODEC(ZSTD(1)),
    probability Float64 COMMENT 'Probability of fraud that it gave' CODEC(ZSTD(1)),
    score_us Float32 COMMENT 'What this score took, in microseconds' CODEC(ZSTD(1)),
    learn_us Float32 COMMENT 'What a training record has taken it, in the mean, in microseconds' CODEC(ZSTD(1)),
    champion_version String COMMENT 'The model that decided, empty where rules did' CODEC(ZSTD(1)),
    scored_at DateTime64(3, 'UTC') COMMENT 'When it said so' CODEC(Delta, ZSTD(1)),
    record_partition Int32 COMMENT 'Partition of the record in fraud.shadow-scores.v1',
    record_offset Int64 COMMENT 'Offset of the record in its partition' CODEC(Delta, ZSTD(1)),
    precedence UInt64 MATERIALIZED bitNot(toUInt64(record_offset))
        COMMENT 'Larger for a lower offset: of several records of one score the first counts' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(precedence)
ORDER BY (card, event_time, transaction_id, challenger)
COMMENT 'Scores of challengers as they came, repeats included: read v_shadow_scores';

CREATE OR REPLACE VIEW v_shadow_scores
AS SELECT
    s.transaction_id AS transaction_id,
    s.card AS card,
    s.event_time AS event_time,
    s.challenger AS challenger,
    s.records AS records,
    s.training_offset AS training_offset,
    s.log_odds AS log_odds,
    s.probability AS probability,
    s.score_us AS score_us,
    s.learn_us AS learn_us,
    s.champion_version AS champion_version,
    s.scored_at AS scored_at,
    s.record_partition AS record_partition,
    s.record_offset AS record_offset,
    l.probability AS champion_probability,
    l.verdict AS verdict,
    l.source AS source
FROM (SELECT * FROM shadow_scores FINAL) AS s
LEFT JOIN v_labelled AS l
    ON s.card = l.card AND s.transaction_id = l.transaction_id AND s.event_time = l.event_time
COMMENT 'Each score of a challenger, once, with what the champion said and the verdict that counts, empty where none does';
