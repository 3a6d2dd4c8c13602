-- One row per record of fraud.dead-letters.v1, to be looked at. The bytes themselves stay in Kafka, under
-- (record_partition, record_offset): replay from there, never from here.
CREATE TABLE IF NOT EXISTS dead_letters
(
    topic LowCardinality(String) COMMENT 'Topic that the refused record came from',
    partition Int32 COMMENT 'Its partition there',
    offset Int64 COMMENT 'Its offset there' CODEC(Delta, ZSTD(1)),
    stage LowCardinality(String) COMMENT 'Stage that refused it',
    reason LowCardinality(String) COMMENT 'Stable code of the refusal, such as not_json or key_mismatch',
    detail String COMMENT 'What was wrong, without the values that were sent' CODEC(ZSTD(1)),
    sent_at DateTime64(3, 'UTC') COMMENT 'Kafka timestamp of the refused record' CODEC(Delta, ZSTD(1)),
    key String COMMENT 'Key as text; bytes that are not UTF-8 stand as \\xNN' CODEC(ZSTD(1)),
    value String COMMENT 'Value as text, its first 64 kB; bytes that are not UTF-8 stand as \\xNN' CODEC(ZSTD(1)),
    value_bytes UInt64 COMMENT 'Size of the whole value',
    value_sha256 LowCardinality(String) COMMENT 'SHA-256 of the whole value in hex, empty where value is whole',
    headers Map(String, String) COMMENT 'Headers of the sender as text; of several with one name the last'
        CODEC(ZSTD(1)),
    record_partition Int32 COMMENT 'Partition of the record in fraud.dead-letters.v1',
    record_offset Int64 COMMENT 'Offset of the record in its partition' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(sent_at)
ORDER BY (reason, sent_at, record_partition, record_offset)
COMMENT 'Dead letters as they came, repeats included: read v_dead_letters';

CREATE OR REPLACE VIEW v_dead_letters
AS SELECT * FROM dead_letters FINAL
COMMENT 'Each record that could not be processed, once';
