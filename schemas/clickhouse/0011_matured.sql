-- How far silence was turned into labels: the largest time counts, and a smaller one is harmless.
CREATE TABLE IF NOT EXISTS matured
(
    up_to DateTime64(3, 'UTC') COMMENT 'Payments before this event time have matured, and a sample of the silent is labelled'
)
ENGINE = ReplacingMergeTree(up_to)
ORDER BY tuple()
COMMENT 'How far silence has been turned into labels: read the largest';
