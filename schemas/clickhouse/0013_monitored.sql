-- Alerts of the monitors: one row when a rule begins to fire and one when it is over. Those of others have no state.
ALTER TABLE alerts
    ADD COLUMN IF NOT EXISTS state LowCardinality(String)
        COMMENT 'firing or cleared, of a monitor; empty for what tells of one record or model' AFTER raised_at,
    ADD COLUMN IF NOT EXISTS fired_at Nullable(DateTime64(3, 'UTC'))
        COMMENT 'When the rule began to fire, the same in both rows; null where there is no rule' AFTER state,
    ADD COLUMN IF NOT EXISTS value Nullable(Float64) COMMENT 'What was measured' AFTER fired_at,
    ADD COLUMN IF NOT EXISTS bound Nullable(Float64) COMMENT 'What it was measured against' AFTER value,
    ADD COLUMN IF NOT EXISTS cause LowCardinality(String)
        COMMENT 'What most likely led to it, such as input_mix or broken_field; empty where none was looked for' AFTER bound,
    ADD COLUMN IF NOT EXISTS action LowCardinality(String) COMMENT 'retrain, or empty' AFTER cause,
    ADD COLUMN IF NOT EXISTS runbook String COMMENT 'Where it says what to do, empty where nowhere' AFTER action;

CREATE OR REPLACE VIEW v_alerts
AS SELECT * FROM alerts FINAL
COMMENT 'Each alert, once, however many processes raised it';

CREATE OR REPLACE VIEW v_alerts_firing
AS SELECT * FROM alerts FINAL
WHERE state = 'firing' AND (kind, fired_at) NOT IN (SELECT kind, fired_at FROM alerts WHERE state = 'cleared')
COMMENT 'Each alert of a monitor that is not over';

-- The monitors ask every minute for what was decided lately: parts without it need not be read.
ALTER TABLE predictions ADD INDEX IF NOT EXISTS by_decided decided_at TYPE minmax GRANULARITY 1;
