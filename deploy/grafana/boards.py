"""What the dashboards show: one row a panel, with its question in SQL.

`$__timeFilter`, `$__timeInterval`, `$__fromTime` and `$__toTime` are macros of the ClickHouse data source: they stand
for the range of time that is looked at, and for a step of it that fits the panel's width. All payments are by their own
time, which is in the key of the tables, so that a panel reads the weeks that it shows and no more.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

Kind = Literal["timeseries", "stat", "table"]


class Panel(NamedTuple):
    """One panel: its unit is Grafana's name of one, `short` for plain numbers."""

    title: str
    kind: Kind
    unit: str
    description: str
    sql: str


FRAUD: tuple[Panel, ...] = (
    Panel(
        "Payments by action",
        "timeseries",
        "short",
        "What was answered",
        """
SELECT $__timeInterval(event_time) AS time, action, count() AS payments
FROM v_predictions
WHERE $__timeFilter(event_time) AND mode != 'history' GROUP BY time, action ORDER BY time, action""",
    ),
    Panel(
        "Known fraud by action",
        "timeseries",
        "short",
        "By the payment's time: the newest have no labels yet",
        """
SELECT $__timeInterval(event_time) AS time, action, count() AS frauds
FROM v_labelled
WHERE $__timeFilter(event_time) AND mode != 'history' AND verdict = 'fraud'
GROUP BY time, action
ORDER BY time, action""",
    ),
    Panel(
        "Acted on",
        "stat",
        "percentunit",
        "Share of the payments that were not approved",
        """
SELECT countIf(action != 'approve') / count() AS acted_on
FROM v_predictions
WHERE $__timeFilter(event_time) AND mode != 'history'""",
    ),
    Panel(
        "Known fraud",
        "stat",
        "percentunit",
        "Known frauds over payments: too low for the newest weeks",
        """
SELECT
    (SELECT count() FROM v_labelled WHERE $__timeFilter(event_time) AND verdict = 'fraud')
    / (SELECT count() FROM v_predictions WHERE $__timeFilter(event_time)) AS known_fraud""",
    ),
    Panel(
        "Money in known fraud",
        "timeseries",
        "short",
        "Minor units of the currency: acted on, and approved",
        """
SELECT
    $__timeInterval(event_time) AS time, currency,
    sumIf(amount_minor, action != 'approve') AS acted_on_minor,
    sumIf(amount_minor, action = 'approve') AS missed_minor
FROM v_labelled
WHERE $__timeFilter(event_time) AND mode != 'history' AND verdict = 'fraud'
GROUP BY time, currency
ORDER BY time, currency""",
    ),
    Panel(
        "Merchants with the most known fraud",
        "table",
        "short",
        "Of labelled payments",
        """
SELECT merchant, count() AS labelled, countIf(verdict = 'fraud') AS frauds, round(frauds / labelled, 4) AS share
FROM v_labelled
WHERE $__timeFilter(event_time) AND mode != 'history'
GROUP BY merchant HAVING frauds > 0
ORDER BY frauds DESC, merchant LIMIT 20""",
    ),
    Panel(
        "Newest blocks",
        "table",
        "short",
        "With the first reason",
        """
SELECT event_time, card, merchant, amount_minor, currency, score, reason_texts[1] AS reason
FROM v_predictions
WHERE $__timeFilter(event_time) AND mode != 'history' AND action = 'block'
ORDER BY event_time DESC, transaction_id LIMIT 20""",
    ),
)

DRIFT: tuple[Panel, ...] = (
    Panel(
        "Scores",
        "timeseries",
        "short",
        "Quantiles of the score, 0 to 1000",
        """
SELECT
    $__timeInterval(event_time) AS time,
    quantileExact(0.5)(score) AS p50, quantileExact(0.9)(score) AS p90, quantileExact(0.99)(score) AS p99
FROM v_predictions
WHERE $__timeFilter(event_time) AND mode != 'history' AND score IS NOT NULL GROUP BY time ORDER BY time""",
    ),
    Panel(
        "Mean probability",
        "timeseries",
        "percentunit",
        "What the model says, on average",
        """
SELECT $__timeInterval(event_time) AS time, avg(probability) AS mean_probability
FROM v_predictions
WHERE $__timeFilter(event_time) AND mode != 'history' AND probability IS NOT NULL GROUP BY time ORDER BY time""",
    ),
    Panel(
        "Features that moved",
        "table",
        "short",
        "Median of the second half of the range against the first",
        """
SELECT
    feature,
    quantileExactIf(0.5)(value, early) AS before,
    quantileExactIf(0.5)(value, NOT early) AS after,
    quantileExactIf(0.9)(value, early) - quantileExactIf(0.1)(value, early) AS width,
    round((after - before) / width, 3) AS moved
FROM
(
    SELECT
        tupleElement(each, 1) AS feature, tupleElement(each, 2) AS value,
        toUnixTimestamp(event_time) < (toUnixTimestamp($__fromTime) + toUnixTimestamp($__toTime)) / 2 AS early
    FROM v_predictions ARRAY JOIN arrayZip(mapKeys(features), mapValues(features)) AS each
    WHERE $__timeFilter(event_time) AND mode != 'history'
)
GROUP BY feature HAVING width > 0 ORDER BY abs(moved) DESC, feature LIMIT 30""",
    ),
    Panel(
        "Features that are missing",
        "table",
        "percentunit",
        "Share of the payments without a value",
        """
WITH (SELECT count()
FROM v_predictions
WHERE $__timeFilter(event_time) AND mode != 'history') AS payments
SELECT feature, 1 - count() / payments AS missing
FROM v_predictions ARRAY JOIN mapKeys(features) AS feature
WHERE $__timeFilter(event_time) AND mode != 'history'
GROUP BY feature ORDER BY missing DESC, feature LIMIT 30""",
    ),
    Panel(
        "Payments by channel",
        "timeseries",
        "short",
        "A channel that comes or goes",
        """
SELECT $__timeInterval(event_time) AS time, channel, count() AS payments
FROM v_predictions
WHERE $__timeFilter(event_time) AND mode != 'history' GROUP BY time, channel ORDER BY time, channel""",
    ),
    Panel(
        "Models that decide",
        "timeseries",
        "short",
        "Payments by model version; empty: rules alone",
        """
SELECT $__timeInterval(event_time) AS time, model_version, count() AS payments
FROM v_predictions
WHERE $__timeFilter(event_time) AND mode != 'history' GROUP BY time, model_version ORDER BY time, model_version""",
    ),
)

QUALITY: tuple[Panel, ...] = (
    Panel(
        "Recall and precision of acting",
        "timeseries",
        "percentunit",
        "Of labelled payments",
        """
SELECT
    $__timeInterval(event_time) AS time,
    countIf(verdict = 'fraud' AND action != 'approve') / countIf(verdict = 'fraud') AS recall,
    countIf(verdict = 'fraud' AND action != 'approve') / countIf(action != 'approve') AS precision
FROM v_labelled
WHERE $__timeFilter(event_time) AND mode != 'history' AND verdict IN ('fraud', 'legitimate')
GROUP BY time HAVING countIf(verdict = 'fraud') > 0 ORDER BY time""",
    ),
    Panel(
        "Brier score",
        "timeseries",
        "short",
        "Mean squared error of the probability; lower is better",
        """
SELECT $__timeInterval(event_time) AS time, avg(pow(probability - (verdict = 'fraud'), 2)) AS brier
FROM v_labelled
WHERE $__timeFilter(event_time) AND mode != 'history' AND verdict IN ('fraud', 'legitimate') AND probability IS NOT NULL
GROUP BY time
ORDER BY time""",
    ),
    Panel(
        "Calibration",
        "table",
        "short",
        "By half a power of ten of the probability: what was said, what was",
        """
SELECT
    floor(log10(greatest(probability, 1e-5)) * 2) / 2 AS log10_from, count() AS labelled,
    round(avg(probability), 5) AS said, round(countIf(verdict = 'fraud') / labelled, 5) AS was
FROM v_labelled
WHERE $__timeFilter(event_time) AND mode != 'history' AND verdict IN ('fraud', 'legitimate') AND probability IS NOT NULL
GROUP BY log10_from ORDER BY log10_from""",
    ),
    Panel(
        "Labels by source",
        "timeseries",
        "short",
        "By the time at which they became known",
        """
SELECT $__timeInterval(reported_at) AS time, source, count() AS labels
FROM v_labels WHERE $__timeFilter(reported_at) AND state NOT IN ('duplicate', 'refused')
GROUP BY time, source ORDER BY time, source""",
    ),
    Panel(
        "Label delay",
        "table",
        "short",
        "Days from the payment to the label",
        """
SELECT
    source, verdict, count() AS labels,
    round(quantileExact(0.5)(dateDiff('second', occurred_at, reported_at)) / 86400, 2) AS days_p50,
    round(quantileExact(0.9)(dateDiff('second', occurred_at, reported_at)) / 86400, 2) AS days_p90
FROM v_labels WHERE $__timeFilter(reported_at) GROUP BY source, verdict ORDER BY labels DESC, source, verdict""",
    ),
    Panel(
        "Training records",
        "timeseries",
        "short",
        "By the time at which they were written",
        """
SELECT $__timeInterval(joined_at) AS time, verdict, count() AS records
FROM v_training WHERE $__timeFilter(joined_at) GROUP BY time, verdict ORDER BY time, verdict""",
    ),
)

OPERATIONS: tuple[Panel, ...] = (
    Panel(
        "Decisions",
        "timeseries",
        "short",
        "Payments that were answered",
        """
SELECT $__timeInterval(event_time) AS time, count() AS decisions
FROM v_predictions
WHERE $__timeFilter(event_time) AND mode != 'history' GROUP BY time ORDER BY time""",
    ),
    Panel(
        "Latency",
        "timeseries",
        "ms",
        "From the payment's own time to the writing of its decision",
        """
SELECT
    $__timeInterval(event_time) AS time,
    quantileExact(0.5)(toUnixTimestamp64Milli(decided_at) - toUnixTimestamp64Milli(event_time)) AS p50,
    quantileExact(0.99)(toUnixTimestamp64Milli(decided_at) - toUnixTimestamp64Milli(event_time)) AS p99
FROM v_predictions
WHERE $__timeFilter(event_time) AND mode != 'history' GROUP BY time ORDER BY time""",
    ),
    Panel(
        "Newest stored decision",
        "stat",
        "s",
        "Seconds before the end of the range",
        """
SELECT dateDiff('second', max(decided_at), $__toTime) AS age FROM predictions WHERE $__timeFilter(event_time)""",
    ),
    Panel(
        "Not by a model",
        "stat",
        "percentunit",
        "Share of the answers by rules alone or as a fallback",
        """
SELECT countIf(mode IN ('rules_only', 'fallback')) / count() AS share
FROM v_decisions WHERE $__timeFilter(event_time) AND action != 'invalid'""",
    ),
    Panel(
        "Refused records",
        "timeseries",
        "short",
        "Dead letters by reason",
        """
SELECT $__timeInterval(sent_at) AS time, reason, count() AS letters
FROM v_dead_letters WHERE $__timeFilter(sent_at) GROUP BY time, reason ORDER BY time, reason""",
    ),
    Panel(
        "Alerts",
        "table",
        "short",
        "What a person should look at",
        """
SELECT raised_at, severity, kind, subject, text
FROM v_alerts WHERE $__timeFilter(raised_at) ORDER BY raised_at DESC, subject LIMIT 50""",
    ),
    Panel(
        "Commands",
        "table",
        "short",
        "Who changed which model decides",
        """
SELECT answered_at, author, kind, outcome, reason, version, mode
FROM v_audit WHERE $__timeFilter(answered_at) ORDER BY answered_at DESC, record_offset LIMIT 50""",
    ),
    Panel(
        "Models",
        "table",
        "short",
        "Snapshots that were cut",
        """
SELECT published_at, version, records, frauds, learned_to
FROM v_models WHERE $__timeFilter(published_at) ORDER BY published_at DESC, version LIMIT 50""",
    ),
)

BOARDS: Mapping[str, tuple[Panel, ...]] = {
    "fraud": FRAUD,
    "drift": DRIFT,
    "quality": QUALITY,
    "operations": OPERATIONS,
}
