-- One row per record of fraud.audit.v1 and of fraud.alerts.v1: who changed which model decides, and what a person
-- should look at.
CREATE TABLE IF NOT EXISTS audit
(
    control_id String COMMENT 'The command; where it could not be believed, offset- and its place' CODEC(ZSTD(1)),
    control_offset UInt64 COMMENT 'Offset of the command in fraud.controls.v1' CODEC(Delta, ZSTD(1)),
    author LowCardinality(String) COMMENT 'Whose key signed it, empty where nobody is known',
    key_id LowCardinality(String) COMMENT 'The key, empty where nobody is known',
    kind LowCardinality(String) COMMENT 'What was asked for: promote, roll_back, follow; empty where it was not read',
    arguments Map(String, String) COMMENT 'With which arguments' CODEC(ZSTD(1)),
    outcome LowCardinality(String) COMMENT 'done or refused',
    reason LowCardinality(String) COMMENT 'Stable code of the refusal, empty where it was done',
    text String COMMENT 'What is told to people' CODEC(ZSTD(1)),
    version String COMMENT 'Model in force after it, empty where there was none' CODEC(ZSTD(1)),
    mode LowCardinality(String) COMMENT 'follow or pinned, after it',
    sequence UInt64 COMMENT 'Of the alias record that was written with it',
    commanded_at DateTime64(3, 'UTC') COMMENT 'When the command was written' CODEC(Delta, ZSTD(1)),
    answered_at DateTime64(3, 'UTC') COMMENT 'When it was answered' CODEC(Delta, ZSTD(1)),
    record_partition Int32 COMMENT 'Partition of the record in fraud.audit.v1',
    record_offset Int64 COMMENT 'Offset of the record in its partition' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
ORDER BY (record_partition, record_offset)
COMMENT 'Answers to commands as they came, repeats included: read v_audit';

CREATE OR REPLACE VIEW v_audit
AS SELECT * FROM audit FINAL
COMMENT 'Each command to the model registry, with what became of it, once';

CREATE TABLE IF NOT EXISTS alerts
(
    alert_id String COMMENT 'Hash of kind and subject: the same for all who see the same' CODEC(ZSTD(1)),
    kind LowCardinality(String) COMMENT 'Stable code, such as forged, replayed or collapsed',
    severity LowCardinality(String) COMMENT 'critical: only an intruder can have caused it; or warning',
    subject String COMMENT 'A record as topic:partition:offset, or a model' CODEC(ZSTD(1)),
    text String COMMENT 'What is told to people' CODEC(ZSTD(1)),
    raised_at DateTime64(3, 'UTC') COMMENT 'When it happened' CODEC(Delta, ZSTD(1)),
    record_partition Int32 COMMENT 'Partition of the record in fraud.alerts.v1',
    record_offset Int64 COMMENT 'Offset of the record in its partition' CODEC(Delta, ZSTD(1)),
    precedence UInt64 MATERIALIZED bitNot(toUInt64(record_offset))
        COMMENT 'Larger for a lower offset: of several records of one alert the first counts' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(precedence)
ORDER BY alert_id
COMMENT 'Alerts as they came, repeats included: read v_alerts';

CREATE OR REPLACE VIEW v_alerts
AS SELECT * FROM alerts FINAL
COMMENT 'Each alert, once, however many processes raised it';
