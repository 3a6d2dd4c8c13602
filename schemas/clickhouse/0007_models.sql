-- One row per model of fraud.models.v1: where it stands in the training log, without its coefficients, which stay in
-- Kafka under its version.
CREATE TABLE IF NOT EXISTS models
(
    version String COMMENT 'Name of the snapshot, which never changes' CODEC(ZSTD(1)),
    parent String COMMENT 'Version it was learned on from, empty for the first' CODEC(ZSTD(1)),
    training_offset UInt64 COMMENT 'First offset of fraud.training.v1 that it has not learned',
    records UInt64 COMMENT 'Training records learned, since the log began',
    frauds UInt64 COMMENT 'How many of them were fraud',
    learned_to Nullable(DateTime64(3, 'UTC')) COMMENT 'Report time of the newest label learned; null where none was',
    feature_schema String COMMENT 'Hash of the inputs it takes and of how they are coded' CODEC(ZSTD(1)),
    digest String COMMENT 'SHA-256 in hex over the whole model' CODEC(ZSTD(1)),
    published_at DateTime64(3, 'UTC') COMMENT 'When the model was written to Kafka' CODEC(Delta, ZSTD(1)),
    record_partition Int32 COMMENT 'Partition of the record in fraud.models.v1',
    record_offset Int64 COMMENT 'Offset of the record in its partition' CODEC(Delta, ZSTD(1)),
    precedence UInt64 MATERIALIZED bitNot(toUInt64(record_offset))
        COMMENT 'Larger for a lower offset: of several records of one version the first counts' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(precedence)
ORDER BY version
COMMENT 'Models as they came, repeats included: read v_models';

CREATE OR REPLACE VIEW v_models
AS SELECT * FROM models FINAL
COMMENT 'Each model that was published, once';
