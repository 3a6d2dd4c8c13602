"""Panels of the dashboards `quality` and `operations`: what decisions were worth, and how the parts do."""

from deploy.grafana.panel import Panel

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
