"""Panels of the dashboards `fraud` and `drift`: what was paid and decided."""

from deploy.grafana.panel import Panel

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
