-- How good the models were, as far as labels told, and for whom.
--
-- Where only a sample of the silent payments is labelled (FRAUD_LEGITIMATE_KEPT_ONE_IN), each of them stands for
-- `silence_weight` payments; where all are, pass 1. A service dispute is neither fraud nor legitimate and not counted.
CREATE OR REPLACE VIEW v_quality
(
    model_version LowCardinality(String) COMMENT 'Model that scored',
    scored UInt64 COMMENT 'Payments it scored',
    labelled UInt64 COMMENT 'Those of them known to be fraud or legitimate',
    frauds UInt64 COMMENT 'Those known to be fraud',
    auc Float64 COMMENT 'Area under the ROC curve, 0 to 1; NaN where there is only one kind of label',
    average_precision Float64 COMMENT 'Precision at each fraud, averaged over frauds; equal probabilities count together',
    card_precision_100 Nullable(Float64)
        COMMENT 'Share of the 100 riskiest cards of a day with a known fraud that day, mean of days; of each day the 10,000 riskiest payments are looked at',
    acted_recall Float64 COMMENT 'Known frauds that were not simply approved, as a share of all',
    acted_precision Float64 COMMENT 'Known frauds among the labelled payments that were not simply approved',
    log_loss Float64 COMMENT 'Mean of -log of the probability given to what was true, probabilities kept 1e-15 from 0 and 1',
    brier Float64 COMMENT 'Mean squared difference of probability and truth',
    expected_frauds Float64 COMMENT 'Sum of the probabilities of the labelled payments',
    calibration Float64 COMMENT 'expected_frauds over frauds: 1 is right, more is too cautious'
)
AS WITH
    probabilities AS
    (
        SELECT
            model_version, p,
            count() AS k,
            countIf(fraud) AS k_found,
            sumIf(w, fraud) AS found,
            sumIf(w, NOT fraud) AS others,
            sumIf(w, fraud AND acted) AS found_acted,
            sumIf(w, acted) AS all_acted
        FROM
        (
            SELECT
                model_version, assumeNotNull(probability) AS p, verdict = 'fraud' AS fraud, action != 'approve' AS acted,
                if(source = 'assumed_legitimate', {silence_weight:Float64}, 1.) AS w
            FROM v_truth
            (
                from = {from:DateTime64(3, 'UTC')}, to = {to:DateTime64(3, 'UTC')},
                known_at = {known_at:DateTime64(3, 'UTC')}
            )
            WHERE probability IS NOT NULL AND verdict IN ('fraud', 'legitimate')
        )
        GROUP BY model_version, p
    ),
    ranked AS
    (
        SELECT
            *,
            least(greatest(p, 1e-15), 1 - 1e-15) AS kept,
            sum(found) OVER (PARTITION BY model_version ORDER BY p DESC) AS found_from,
            sum(others) OVER (PARTITION BY model_version ORDER BY p DESC) AS others_from,
            sum(others) OVER (PARTITION BY model_version) AS others_in_all
        FROM probabilities
    ),
    fit AS
    (
        SELECT
            model_version,
            sum(k) AS labelled,
            sum(k_found) AS frauds,
            sum(found) AS all_found,
            sum(found) + sum(others) AS weight,
            sum(found * (others_in_all - others_from + others / 2)) / (sum(found) * sum(others)) AS auc,
            sum(found * found_from / (found_from + others_from)) / all_found AS average_precision,
            sum(found_acted) / all_found AS acted_recall,
            sum(found_acted) / sum(all_acted) AS acted_precision,
            -sum(found * log(kept) + others * log(1 - kept)) / weight AS log_loss,
            sum(found * (1 - p) * (1 - p) + others * p * p) / weight AS brier,
            sum((found + others) * p) AS expected_frauds,
            expected_frauds / all_found AS calibration
        FROM ranked
        GROUP BY model_version
    ),
    -- A scalar is worked out once, however often it is asked.
    (
        SELECT groupArray((model_version, day, scored, edge))
        FROM
        (
            SELECT
                model_version, toDate(event_time) AS day, count() AS scored,
                groupArraySorted(10000)(-assumeNotNull(probability))[-1] AS edge
            FROM v_answered(from = {from:DateTime64(3, 'UTC')}, to = {to:DateTime64(3, 'UTC')})
            WHERE probability IS NOT NULL
            GROUP BY model_version, day
        )
    ) AS told,
    days AS
    (
        SELECT of.1 AS model_version, of.2 AS day, of.3 AS scored, of.4 AS edge
        FROM (SELECT arrayJoin(told) AS of)
    ),
    riskiest AS
    (
        SELECT
            a.payment_key AS payment_key, a.card AS card, a.event_time AS event_time, a.model_version AS model_version,
            d.day AS day, -assumeNotNull(a.probability) AS place
        FROM v_answered(from = {from:DateTime64(3, 'UTC')}, to = {to:DateTime64(3, 'UTC')}) AS a
        INNER JOIN days AS d ON a.model_version = d.model_version AND toDate(a.event_time) = d.day
        WHERE a.probability >= -d.edge
        ORDER BY place, card, a.transaction_id, event_time
        LIMIT 10000 BY model_version, day
    ),
    cards AS
    (
        SELECT
            r.model_version AS model_version, r.day AS day, r.card AS card, min(r.place) AS first,
            max
            (
                l.verdict = 'fraud'
                AND r.event_time BETWEEN l.occurred_at - INTERVAL 1 DAY AND l.occurred_at + INTERVAL 1 DAY
            ) AS defrauded
        FROM riskiest AS r
        LEFT ANY JOIN v_verdicts_known
        (
            from = {from:DateTime64(3, 'UTC')}, to = {to:DateTime64(3, 'UTC')},
            known_at = {known_at:DateTime64(3, 'UTC')}
        ) AS l ON r.payment_key = l.payment_key
        GROUP BY model_version, day, card
        ORDER BY first, card
        LIMIT 100 BY model_version, day
    )
SELECT
    s.model_version AS model_version,
    s.scored AS scored,
    f.labelled AS labelled,
    f.frauds AS frauds,
    if(f.labelled = 0, nan, f.auc) AS auc,
    if(f.labelled = 0, nan, f.average_precision) AS average_precision,
    c.precision AS card_precision_100,
    if(f.labelled = 0, nan, f.acted_recall) AS acted_recall,
    if(f.labelled = 0, nan, f.acted_precision) AS acted_precision,
    if(f.labelled = 0, nan, f.log_loss) AS log_loss,
    if(f.labelled = 0, nan, f.brier) AS brier,
    f.expected_frauds AS expected_frauds,
    if(f.labelled = 0, nan, f.calibration) AS calibration
FROM (SELECT model_version, sum(scored) AS scored FROM days GROUP BY model_version) AS s
LEFT JOIN fit AS f ON s.model_version = f.model_version
LEFT JOIN
(
    SELECT model_version, avg(share) AS precision
    FROM (SELECT model_version, day, sum(defrauded) / 100 AS share FROM cards GROUP BY model_version, day)
    GROUP BY model_version
) AS c ON s.model_version = c.model_version
ORDER BY scored DESC
COMMENT 'Quality by model, of the labels known at known_at. Parameters: from, to, known_at, silence_weight';

-- Intervals are Wilson's, with z = 1.959964 for 95 % (Wilson, Probable Inference, 1927).
CREATE OR REPLACE VIEW v_disparity
(
    dimension LowCardinality(String) COMMENT 'issuer_country, channel, card_age or merchant_size',
    segment String COMMENT 'Value: card_age in days known, merchant_size in payments of 30 days; empty where not given',
    payments UInt64 COMMENT 'Payments answered',
    declined UInt64 COMMENT 'Those blocked',
    decline_rate Float64 COMMENT 'declined over payments',
    decline_rate_low Float64 COMMENT 'Lower end of its 95 % interval',
    decline_rate_high Float64 COMMENT 'Upper end',
    decline_rate_gap Float64 COMMENT 'Largest less smallest decline_rate of the dimension: demographic parity difference',
    honest UInt64 COMMENT 'Payments known to be legitimate',
    honest_declined UInt64 COMMENT 'Those of them that were blocked',
    false_positive_rate Float64 COMMENT 'honest_declined over honest; NaN where there are none',
    false_positive_rate_low Float64 COMMENT 'Lower end of its 95 % interval',
    false_positive_rate_high Float64 COMMENT 'Upper end',
    false_positive_rate_gap Float64 COMMENT 'Largest less smallest false_positive_rate of the dimension'
)
AS WITH
    1.959964 AS z,
    (k, n) -> (k / n + z * z / (2 * n)) / (1 + z * z / n) AS middle,
    (k, n) -> z / (1 + z * z / n) * sqrt(k / n * (1 - k / n) / n + z * z / (4 * n * n)) AS reach,
    -- Of nothing there is no interval. What greatest and least make of NaN changes when the engine compiles them.
    (k, n) -> if(n = 0, nan, greatest(0, middle(k, n) - reach(k, n))) AS low,
    (k, n) -> if(n = 0, nan, least(1, middle(k, n) + reach(k, n))) AS high
SELECT
    dimension,
    segment,
    sum(number) AS payments,
    sumIf(number, action = 'block') AS declined,
    declined / payments AS decline_rate,
    low(declined, payments) AS decline_rate_low,
    high(declined, payments) AS decline_rate_high,
    max(declined / payments) OVER (PARTITION BY dimension) - min(declined / payments) OVER (PARTITION BY dimension)
        AS decline_rate_gap,
    sumIf(number, verdict = 'legitimate') AS honest,
    sumIf(number, verdict = 'legitimate' AND action = 'block') AS honest_declined,
    honest_declined / honest AS false_positive_rate,
    low(honest_declined, honest) AS false_positive_rate_low,
    high(honest_declined, honest) AS false_positive_rate_high,
    maxIf(honest_declined / honest, honest > 0) OVER (PARTITION BY dimension)
        - minIf(honest_declined / honest, honest > 0) OVER (PARTITION BY dimension) AS false_positive_rate_gap
FROM
(
    SELECT
        issuer_country, channel,
        multiIf
        (
            card_known_days IS NULL, 1, card_known_days < 1, 2, card_known_days < 7, 3, card_known_days < 30, 4, 5
        ) AS age,
        multiIf
        (
            merchant_count_30d IS NULL, 1, merchant_count_30d < 100, 2, merchant_count_30d < 1000, 3,
            merchant_count_30d < 10000, 4, 5
        ) AS size,
        verdict, action, count() AS number
    FROM v_truth
    (
        from = {from:DateTime64(3, 'UTC')}, to = {to:DateTime64(3, 'UTC')}, known_at = {known_at:DateTime64(3, 'UTC')}
    )
    GROUP BY issuer_country, channel, age, size, verdict, action
)
ARRAY JOIN
    ['issuer_country', 'channel', 'card_age', 'merchant_size'] AS dimension,
    [
        toString(issuer_country),
        toString(channel),
        ['', '0', '1 to 6', '7 to 29', '30 and more'][age],
        ['', 'under 100', '100 to 999', '1,000 to 9,999', '10,000 and more'][size]
    ] AS segment
GROUP BY dimension, segment
ORDER BY dimension, payments DESC
COMMENT 'Whom we decline, and wrongly, by segment. Parameters: from, to, known_at';

-- By the minute in which payments were attempted; the clock of a sender that is wrong shows here.
CREATE OR REPLACE VIEW v_latency
(
    minute DateTime('UTC') COMMENT 'Minute of the payments, by their own time',
    payments UInt64 COMMENT 'Payments of that minute that were answered',
    per_second Float64 COMMENT 'Payments a second in the mean of the minute',
    latency_p50_ms Int64 COMMENT 'Milliseconds from the payment to the writing of its decision, median',
    latency_p99_ms Int64 COMMENT 'The same, 99 % quantile',
    latency_max_ms Int64 COMMENT 'The same, at most'
)
AS SELECT
    minute,
    count() AS payments,
    payments / 60 AS per_second,
    quantilesExact(0.5, 0.99)(latency_ms)[1] AS latency_p50_ms,
    quantilesExact(0.5, 0.99)(latency_ms)[2] AS latency_p99_ms,
    max(latency_ms) AS latency_max_ms
FROM
(
    SELECT
        toStartOfMinute(event_time) AS minute,
        toUnixTimestamp64Milli(decided_at) - toUnixTimestamp64Milli(event_time) AS latency_ms
    FROM v_answered(from = {from:DateTime64(3, 'UTC')}, to = {to:DateTime64(3, 'UTC')})
)
GROUP BY minute
ORDER BY minute
COMMENT 'Latency and throughput by minute. Parameters: from, to';

-- Labels that are still to come cut the long delays off. So the curve is built from its end: of the frauds known by age d
-- among payments that were d days old at least, what share came in the last day (Kaplan and Meier's estimate in reversed
-- time; Lagakos, Barraj and De Gruttola, 1988).
CREATE OR REPLACE VIEW v_maturity
(
    days UInt16 COMMENT 'Age of a payment in whole days',
    reported UInt64 COMMENT 'Frauds that became known at that age',
    known UInt64 COMMENT 'Frauds known by that age, of payments that were so old at known_at',
    share Float64 COMMENT 'What share of the frauds that ever become known is known by that age, 0 to 1; 1 at the oldest seen'
)
AS WITH
    frauds AS
    (
        SELECT
            intDiv(greatest(0, toUnixTimestamp64Milli(reported_at) - toUnixTimestamp64Milli(occurred_at)), 86400000)
                AS delay,
            intDiv(toUnixTimestamp64Milli({known_at:DateTime64(3, 'UTC')}) - toUnixTimestamp64Milli(occurred_at), 86400000)
                AS age,
            count() AS number
        FROM v_verdicts_known
        (
            from = {from:DateTime64(3, 'UTC')}, to = {to:DateTime64(3, 'UTC')},
            known_at = {known_at:DateTime64(3, 'UTC')}
        )
        WHERE verdict = 'fraud' AND occurred_at >= {from:DateTime64(3, 'UTC')} AND occurred_at < {to:DateTime64(3, 'UTC')}
        GROUP BY delay, age
    ),
    steps AS
    (
        SELECT
            toUInt16(day) AS days,
            sumIf(number, delay = day) AS reported,
            sumIf(number, delay <= day AND age >= day) AS known
        FROM frauds
        ARRAY JOIN range(toUInt64((SELECT max(delay) + 1 FROM frauds))) AS day
        GROUP BY days, day
    )
SELECT
    days,
    reported,
    known,
    if
    (
        countIf(reported >= known) OVER later > 0, 0,
        exp(sumIf(log(1 - reported / known), reported < known) OVER later)
    ) AS share
FROM steps
WINDOW later AS (ORDER BY days DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
ORDER BY days
COMMENT 'How much of the fraud is known after so many days. Parameters: from, to (of payments), known_at';

CREATE OR REPLACE VIEW v_in_force
(
    from_time DateTime('UTC') COMMENT 'Minute of the first decision made so, by when it was written',
    to_time DateTime('UTC') COMMENT 'Minute of the last decision of that stretch',
    model_version LowCardinality(String) COMMENT 'Model that scored most decisions of each minute, empty for rules alone',
    policy_version LowCardinality(String) COMMENT 'Policy that decided with it',
    rates_version LowCardinality(String) COMMENT 'Rate table that amounts were compared by',
    code_version LowCardinality(String) COMMENT 'Code that ran',
    decisions UInt64 COMMENT 'Decisions of the stretch that were made so',
    champion_mode LowCardinality(String) COMMENT 'follow or pinned, by the last command before its end; empty where there was none',
    commanded_by LowCardinality(String) COMMENT 'Who gave that command, empty where nobody did',
    command_id String COMMENT 'That command in v_audit, empty where there was none'
)
AS WITH
    minutes AS
    (
        SELECT
            toStartOfMinute(decided_at) AS minute, model_version, policy_version, rates_version, code_version,
            count() AS decisions
        FROM v_answered(from = {from:DateTime64(3, 'UTC')}, to = {to:DateTime64(3, 'UTC')})
        GROUP BY ALL
        ORDER BY decisions DESC, model_version, policy_version, rates_version, code_version
        LIMIT 1 BY minute
    ),
    stretches AS
    (
        SELECT
            *,
            row_number() OVER (ORDER BY minute)
                - row_number() OVER (PARTITION BY model_version, policy_version, rates_version, code_version ORDER BY minute)
                AS stretch
        FROM minutes
    ),
    joined AS
    (
        SELECT
            min(minute) AS from_time, max(minute) AS to_time, model_version, policy_version, rates_version, code_version,
            sum(decisions) AS made, toDateTime64(max(minute) + 60, 3, 'UTC') AS end, 1 AS one
        FROM stretches
        GROUP BY model_version, policy_version, rates_version, code_version, stretch
    )
SELECT
    j.from_time AS from_time, j.to_time AS to_time, j.model_version AS model_version, j.policy_version AS policy_version,
    j.rates_version AS rates_version, j.code_version AS code_version, j.made AS decisions,
    a.mode AS champion_mode, a.author AS commanded_by, a.control_id AS command_id
FROM joined AS j
ASOF LEFT JOIN (SELECT 1 AS one, answered_at, mode, author, control_id FROM v_audit WHERE outcome = 'done') AS a
    ON j.one = a.one AND j.end > a.answered_at
ORDER BY from_time
COMMENT 'Which model and policy decided when, and by whose command. Parameters: from, to (of payments)';
