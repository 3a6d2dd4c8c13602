-- What was decided beside what is known of it. Views of this file and of those after it take parameters:
--
--     SELECT * FROM v_money_daily(from = '2026-11-01', to = '2026-11-08', known_at = now64(3), ...)
--
-- `from` (included) and `to` (not) bound the event time of the payments, in UTC, and with it what is read; only labels
-- that had been reported by `known_at` count. A view without `known_at` needs no labels.

-- Who is believed over whom is as in v_verdicts, which knows one verdict for an id: here each use of an id has its own.
-- Repeats need no FINAL: the latest revision, and of it the lowest offset, is the same with them.
--
-- A label is one number, and the largest counts, for that takes a fifth of the time of a comparison of tuples. Its bits
-- from the lowest: 46 of reported_at, 46 of occurred_at, 4 of the verdict; above them, of the labels of one source, 64 of
-- the offset, turned round, and 32 of the revision; of what the sources say, 4 of its own rank and 4 of the source's.
CREATE OR REPLACE VIEW v_verdicts_known
(
    payment_key UInt128 COMMENT 'Hash of card and transaction id, as in v_answered',
    card String COMMENT 'Token of the card',
    transaction_id String COMMENT 'Id that the gateway gave the payment',
    verdict LowCardinality(String) COMMENT 'fraud, legitimate or service_dispute: the one that counted at known_at',
    source LowCardinality(String) COMMENT 'Whose verdict it is',
    occurred_at DateTime64(3, 'UTC') COMMENT 'When the payment was attempted, as the label says',
    reported_at DateTime64(3, 'UTC') COMMENT 'When the verdict became known'
)
AS WITH
    ['assumed_legitimate', 'service_dispute', 'customer', 'analyst', 'issuer_report', 'chargeback'] AS sources,
    ['fraud', 'legitimate', 'service_dispute', 'withdrawn'] AS verdicts
SELECT
    payment_key,
    any(a_card) AS card,
    any(an_id) AS transaction_id,
    verdicts[toUInt8(bitAnd(bitShiftRight(max(believed), 92), 15))] AS verdict,
    sources[toUInt8(bitAnd(bitShiftRight(max(believed), 96), 15))] AS source,
    fromUnixTimestamp64Milli(toInt64(bitAnd(bitShiftRight(max(believed), 46), 0x3FFFFFFFFFFF)), 'UTC') AS occurred_at,
    fromUnixTimestamp64Milli(toInt64(bitAnd(max(believed), 0x3FFFFFFFFFFF)), 'UTC') AS reported_at
FROM
(
    SELECT
        payment_key,
        any(card) AS a_card,
        any(transaction_id) AS an_id,
        max
        (
            bitShiftLeft(bitOr(bitShiftLeft(toUInt256(revision), 64), bitNot(toUInt64(record_offset))), 96)
            + bitShiftLeft(toUInt128(indexOf(verdicts, verdict)), 92)
            + bitShiftLeft(toUInt128(toUnixTimestamp64Milli(occurred_at)), 46)
            + toUInt64(toUnixTimestamp64Milli(reported_at))
        ) AS latest,
        toUInt8(bitAnd(bitShiftRight(latest, 92), 15)) AS verdict_number,
        indexOf(sources, source) AS rank,
        bitShiftLeft(toUInt128(16 * if(verdict_number = indexOf(verdicts, 'service_dispute'), 2, rank) + rank), 96)
            + bitAnd(toUInt128(latest), bitShiftLeft(toUInt128(1), 96) - 1) AS believed
    FROM
    (
        SELECT
            reinterpretAsUInt128(sipHash128Reference(card, transaction_id)) AS payment_key, card, transaction_id, source,
            verdict, revision, occurred_at, reported_at, record_offset
        FROM labels
        WHERE occurred_at >= {from:DateTime64(3, 'UTC')} - INTERVAL 1 DAY
            AND occurred_at < {to:DateTime64(3, 'UTC')} + INTERVAL 1 DAY
            AND reported_at <= {known_at:DateTime64(3, 'UTC')}
            AND (record_partition, record_offset) NOT IN
            (
                SELECT partition, offset FROM dead_letters WHERE endsWith(topic, 'payments.labels.v1')
            )
    )
    GROUP BY payment_key, source
)
WHERE verdict_number != indexOf(verdicts, 'withdrawn')
GROUP BY payment_key
COMMENT 'The verdict of each payment between from and to, as known at known_at. Parameters: from, to, known_at';

CREATE OR REPLACE VIEW v_truth
(
    transaction_id String COMMENT 'Id that the gateway gave',
    card String COMMENT 'Token of the card',
    merchant String COMMENT 'Token of the merchant',
    event_time DateTime64(3, 'UTC') COMMENT 'When the payment was attempted',
    decided_at DateTime64(3, 'UTC') COMMENT 'When the prediction was written to Kafka',
    amount_base_minor Int64 COMMENT 'Amount in minor units of the base currency; 0 where there was no rate',
    channel LowCardinality(String) COMMENT 'pos, ecommerce, moto, atm, recurring or unknown',
    issuer_country LowCardinality(String) COMMENT 'Country of the card issuer (ISO 3166 alpha-2), empty where not given',
    card_known_days Nullable(Float32) COMMENT 'Days since the card was first seen, at most 32; null where not told',
    merchant_count_30d Nullable(Float32) COMMENT 'Payments of the merchant in 30 days; null where not told',
    action LowCardinality(String) COMMENT 'approve, step_up, review or block',
    mode LowCardinality(String) COMMENT 'normal, rules_only or fallback',
    score Nullable(UInt16) COMMENT 'Risk score, 0 to 1000; null where no model scored',
    probability Nullable(Float64) COMMENT 'Probability of fraud that the model said, 0 to 1',
    model_version LowCardinality(String) COMMENT 'Model that scored, empty where rules alone decided',
    policy_version LowCardinality(String) COMMENT 'Policy that decided',
    verdict LowCardinality(String) COMMENT 'fraud, legitimate or service_dispute; empty where nobody had spoken',
    source LowCardinality(String) COMMENT 'Whose verdict it is, empty where nobody had spoken',
    reported_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When the verdict became known; null where nobody had spoken'
)
AS SELECT
    transaction_id, card, merchant, event_time, decided_at, amount_base_minor, channel, issuer_country,
    card_known_days, merchant_count_30d, action, mode, score, probability, model_version, policy_version,
    if(near, said, '') AS verdict,
    if(near, said_by, '') AS source,
    if(near, said_at, NULL) AS reported_at
FROM
(
    SELECT
        p.transaction_id AS transaction_id, p.card AS card, p.merchant AS merchant, p.event_time AS event_time,
        p.decided_at AS decided_at, p.amount_base_minor AS amount_base_minor, p.channel AS channel,
        p.issuer_country AS issuer_country, p.card_known_days AS card_known_days,
        p.merchant_count_30d AS merchant_count_30d, p.action AS action, p.mode AS mode, p.score AS score,
        p.probability AS probability, p.model_version AS model_version, p.policy_version AS policy_version,
        l.verdict AS said, l.source AS said_by, l.reported_at AS said_at,
        l.verdict != '' AND p.event_time BETWEEN l.occurred_at - INTERVAL 1 DAY AND l.occurred_at + INTERVAL 1 DAY AS near
    FROM v_answered(from = {from:DateTime64(3, 'UTC')}, to = {to:DateTime64(3, 'UTC')}) AS p
    LEFT ANY JOIN v_verdicts_known
    (
        from = {from:DateTime64(3, 'UTC')}, to = {to:DateTime64(3, 'UTC')}, known_at = {known_at:DateTime64(3, 'UTC')}
    ) AS l ON p.payment_key = l.payment_key
)
COMMENT 'Each payment that was answered, with the verdict as known at known_at. Parameters: from, to, known_at';

CREATE OR REPLACE VIEW v_money_daily
(
    day Date COMMENT 'Day of the payments, UTC',
    payments UInt64 COMMENT 'Payments answered',
    amount_minor Int64 COMMENT 'Their amounts; all amounts here are in minor units of the base currency',
    labelled UInt64 COMMENT 'Payments of which fraud or legitimate was known',
    frauds UInt64 COMMENT 'Payments known to be fraud',
    fraud_minor Int64 COMMENT 'Amount of them',
    blocked_fraud_minor Int64 COMMENT 'Amount of known fraud that was blocked',
    challenged_fraud_minor Int64 COMMENT 'Amount of known fraud that was sent to review or step-up',
    missed_fraud_minor Int64 COMMENT 'Amount of known fraud that was approved',
    blocked UInt64 COMMENT 'Payments blocked',
    blocked_unlabelled UInt64 COMMENT 'Blocked payments of which nobody has spoken: most never are, for nothing was paid',
    false_declines UInt64 COMMENT 'Blocked payments known to be legitimate',
    false_declines_minor Int64 COMMENT 'Amount of them',
    reviews UInt64 COMMENT 'Payments sent to review',
    step_ups UInt64 COMMENT 'Payments sent to step-up authentication',
    net_minor Float64
        COMMENT 'Blocked less missed fraud, less decline_cost times false_declines_minor, less review_cost_minor a review'
)
AS SELECT
    day,
    sum(number) AS payments,
    sum(minor) AS amount_minor,
    sumIf(number, verdict IN ('fraud', 'legitimate')) AS labelled,
    sumIf(number, verdict = 'fraud') AS frauds,
    sumIf(minor, verdict = 'fraud') AS fraud_minor,
    sumIf(minor, verdict = 'fraud' AND action = 'block') AS blocked_fraud_minor,
    sumIf(minor, verdict = 'fraud' AND action IN ('review', 'step_up')) AS challenged_fraud_minor,
    sumIf(minor, verdict = 'fraud' AND action = 'approve') AS missed_fraud_minor,
    sumIf(number, action = 'block') AS blocked,
    sumIf(number, action = 'block' AND verdict = '') AS blocked_unlabelled,
    sumIf(number, action = 'block' AND verdict = 'legitimate') AS false_declines,
    sumIf(minor, action = 'block' AND verdict = 'legitimate') AS false_declines_minor,
    sumIf(number, action = 'review') AS reviews,
    sumIf(number, action = 'step_up') AS step_ups,
    blocked_fraud_minor - missed_fraud_minor - {decline_cost:Float64} * false_declines_minor
        - {review_cost_minor:Float64} * reviews AS net_minor
FROM
(
    SELECT toDate(event_time) AS day, verdict, action, count() AS number, sum(amount_base_minor) AS minor
    FROM v_truth
    (
        from = {from:DateTime64(3, 'UTC')}, to = {to:DateTime64(3, 'UTC')}, known_at = {known_at:DateTime64(3, 'UTC')}
    )
    GROUP BY day, verdict, action
)
GROUP BY day
ORDER BY day
COMMENT 'Money by day. Parameters: from, to, known_at; decline_cost: what part of an honest amount a false decline costs; review_cost_minor: what a review costs';

CREATE OR REPLACE VIEW v_threshold_sweep
(
    threshold UInt16 COMMENT 'Candidate: scores from here on would be blocked, whatever rules say',
    blocked UInt64 COMMENT 'Scored payments that would be blocked',
    blocked_share Float64 COMMENT 'As a share of the scored payments',
    frauds_caught UInt64 COMMENT 'Known frauds among them',
    recall Float64 COMMENT 'As a share of the known frauds that were scored; NaN where there are none',
    precision Float64 COMMENT 'Frauds among the labelled ones that would be blocked; NaN where there are none',
    false_positives UInt64 COMMENT 'Payments among them known to be legitimate',
    unlabelled UInt64 COMMENT 'Payments among them of which nobody has spoken',
    fraud_caught_minor Int64 COMMENT 'Amount of frauds_caught, in minor units of the base currency',
    fraud_missed_minor Int64 COMMENT 'Amount of the known fraud below the threshold',
    false_positives_minor Int64 COMMENT 'Amount of false_positives',
    net_minor Float64 COMMENT 'fraud_caught_minor less fraud_missed_minor, less decline_cost times false_positives_minor'
)
AS SELECT
    threshold,
    sumIf(number, points >= threshold) AS blocked,
    blocked / sum(number) AS blocked_share,
    sumIf(number, points >= threshold AND verdict = 'fraud') AS frauds_caught,
    frauds_caught / sumIf(number, verdict = 'fraud') AS recall,
    frauds_caught / (frauds_caught + false_positives) AS precision,
    sumIf(number, points >= threshold AND verdict = 'legitimate') AS false_positives,
    sumIf(number, points >= threshold AND verdict = '') AS unlabelled,
    sumIf(minor, points >= threshold AND verdict = 'fraud') AS fraud_caught_minor,
    sumIf(minor, points < threshold AND verdict = 'fraud') AS fraud_missed_minor,
    sumIf(minor, points >= threshold AND verdict = 'legitimate') AS false_positives_minor,
    fraud_caught_minor - fraud_missed_minor - {decline_cost:Float64} * false_positives_minor AS net_minor
FROM
(
    SELECT assumeNotNull(score) AS points, verdict, count() AS number, sum(amount_base_minor) AS minor
    FROM v_truth
    (
        from = {from:DateTime64(3, 'UTC')}, to = {to:DateTime64(3, 'UTC')}, known_at = {known_at:DateTime64(3, 'UTC')}
    )
    WHERE score IS NOT NULL
    GROUP BY points, verdict
)
ARRAY JOIN range(0, 1001, 10) AS threshold
GROUP BY threshold
ORDER BY threshold
COMMENT 'What each threshold would have done. Parameters: from, to, known_at, decline_cost as in v_money_daily';

CREATE OR REPLACE VIEW v_reviews
(
    day Date COMMENT 'Day of the payments, UTC',
    reviews UInt64 COMMENT 'Payments sent to review',
    acted_on UInt64 COMMENT 'Those of which an analyst had spoken by known_at',
    acted_share Float64 COMMENT 'acted_on over reviews',
    frauds UInt64 COMMENT 'Those in which the analyst found fraud',
    hours_p50 Nullable(Float64) COMMENT 'Hours from the decision to the first word of an analyst, median; null where there is none',
    hours_p90 Nullable(Float64) COMMENT 'The same, 90 % quantile',
    open_hours_max Nullable(Float64) COMMENT 'Hours by which the oldest of the others waits; null where none does'
)
AS SELECT
    toDate(p.event_time) AS day,
    count() AS reviews,
    countIf(a.words > 0) AS acted_on,
    acted_on / reviews AS acted_share,
    countIf(a.verdict = 'fraud') AS frauds,
    quantileExactOrNullIf(0.5)(greatest(0, toFloat64(a.first_at) - toFloat64(p.decided_at)) / 3600, a.words > 0) AS hours_p50,
    quantileExactOrNullIf(0.9)(greatest(0, toFloat64(a.first_at) - toFloat64(p.decided_at)) / 3600, a.words > 0) AS hours_p90,
    maxOrNullIf(greatest(0, toFloat64({known_at:DateTime64(3, 'UTC')}) - toFloat64(p.decided_at)) / 3600, a.words = 0) AS open_hours_max
FROM
(
    SELECT payment_key, event_time, decided_at
    FROM v_answered(from = {from:DateTime64(3, 'UTC')}, to = {to:DateTime64(3, 'UTC')})
    WHERE action = 'review'
) AS p
LEFT JOIN
(
    SELECT
        reinterpretAsUInt128(sipHash128Reference(card, transaction_id)) AS payment_key,
        count() AS words, min(reported_at) AS first_at, argMax(verdict, (revision, -record_offset)) AS verdict
    FROM labels
    WHERE source = 'analyst' AND reported_at <= {known_at:DateTime64(3, 'UTC')}
        AND occurred_at >= {from:DateTime64(3, 'UTC')} - INTERVAL 1 DAY
        AND occurred_at < {to:DateTime64(3, 'UTC')} + INTERVAL 1 DAY
        AND (record_partition, record_offset) NOT IN
        (
            SELECT partition, offset FROM dead_letters WHERE endsWith(topic, 'payments.labels.v1')
        )
    GROUP BY payment_key
) AS a ON p.payment_key = a.payment_key
GROUP BY day
ORDER BY day
COMMENT 'What analysts did about reviews, and how soon. Parameters: from, to, known_at';

-- Schemes count reports and not payments: a fraud that was reported and then charged back counts twice (Visa Acquirer
-- Monitoring Program, TC40 and TC15 over TC05), in the month of the report. Basis points of fraud are of the payments of
-- the month, whenever they were reported.
CREATE OR REPLACE VIEW v_merchant_fraud
(
    merchant String COMMENT 'Token of the merchant',
    month Date COMMENT 'First day of the month, UTC',
    approved UInt64 COMMENT 'Payments of the month that were not blocked',
    approved_minor Int64 COMMENT 'Amount of them, in minor units of the base currency',
    fraud_minor Int64 COMMENT 'Amount of known fraud among them',
    fraud_bp Float64 COMMENT 'fraud_minor over approved_minor in basis points (1 in 10,000); NaN where nothing was approved',
    settled UInt64 COMMENT 'Payments captured in the month, by their outcomes',
    fraud_reports UInt64 COMMENT 'Payments that issuers reported as fraud in the month (as TC40)',
    fraud_disputes UInt64 COMMENT 'Payments charged back as fraud in the month (as TC15)',
    other_disputes UInt64 COMMENT 'Payments charged back for other reasons in the month (as TC15)',
    chargeback_ratio Float64 COMMENT 'Disputes of both kinds over settled; inf or NaN where nothing was settled',
    scheme_ratio Float64 COMMENT 'Fraud reports and disputes of both kinds over settled: the ratio of the Visa program'
)
AS SELECT
    merchant,
    month,
    sum(of_approved) AS approved,
    sum(of_approved_minor) AS approved_minor,
    sum(of_fraud_minor) AS fraud_minor,
    10000 * fraud_minor / approved_minor AS fraud_bp,
    sum(of_settled) AS settled,
    sum(of_reports) AS fraud_reports,
    sum(of_fraud_disputes) AS fraud_disputes,
    sum(of_other_disputes) AS other_disputes,
    (fraud_disputes + other_disputes) / settled AS chargeback_ratio,
    (fraud_reports + fraud_disputes + other_disputes) / settled AS scheme_ratio
FROM
(
    SELECT
        merchant, toStartOfMonth(event_time) AS month, count() AS of_approved,
        sum(amount_base_minor) AS of_approved_minor, 0 AS of_fraud_minor,
        0 AS of_settled, 0 AS of_reports, 0 AS of_fraud_disputes, 0 AS of_other_disputes
    FROM v_answered(from = {from:DateTime64(3, 'UTC')}, to = {to:DateTime64(3, 'UTC')})
    WHERE action != 'block'
    GROUP BY merchant, month
    UNION ALL
    SELECT merchant, toStartOfMonth(event_time) AS month, 0, 0, sum(amount_base_minor), 0, 0, 0, 0
    FROM v_truth
    (
        from = {from:DateTime64(3, 'UTC')}, to = {to:DateTime64(3, 'UTC')}, known_at = {known_at:DateTime64(3, 'UTC')}
    )
    WHERE action != 'block' AND verdict = 'fraud'
    GROUP BY merchant, month
    UNION ALL
    SELECT
        merchant, toStartOfMonth(captured_at) AS month, 0, 0, 0, count(), 0, 0, 0
    FROM
    (
        SELECT merchant, min(occurred_at) AS captured_at
        FROM outcomes
        WHERE kind = 'captured' AND occurred_at >= {from:DateTime64(3, 'UTC')} AND occurred_at < {to:DateTime64(3, 'UTC')}
        GROUP BY card, transaction_id, merchant
    )
    GROUP BY merchant, month
    UNION ALL
    SELECT
        merchant, toStartOfMonth(first_at) AS month, 0, 0, 0, 0,
        countIf(source = 'issuer_report' AND verdict = 'fraud'),
        countIf(source = 'chargeback' AND verdict = 'fraud'),
        countIf(source = 'chargeback' AND verdict = 'service_dispute')
    FROM
    (
        SELECT
            merchant, source, min(reported_at) AS first_at, argMin(verdict, (revision, record_offset)) AS verdict
        FROM labels
        WHERE source IN ('issuer_report', 'chargeback')
            AND (record_partition, record_offset) NOT IN
            (
                SELECT partition, offset FROM dead_letters WHERE endsWith(topic, 'payments.labels.v1')
            )
        GROUP BY card, transaction_id, merchant, source
        HAVING first_at >= {from:DateTime64(3, 'UTC')} AND first_at < {to:DateTime64(3, 'UTC')}
            AND first_at <= {known_at:DateTime64(3, 'UTC')}
    )
    GROUP BY merchant, month
)
GROUP BY merchant, month
ORDER BY merchant, month
COMMENT 'Fraud by merchant and month, as schemes count it. A won dispute stays counted. Parameters: from, to (of payments, captures and reports), known_at';

-- Where each payment lies: rows of `predictions` lie by time, and who asks for one payment often knows its id alone.
CREATE TABLE IF NOT EXISTS transaction_ids
(
    transaction_id String COMMENT 'Id that the gateway gave' CODEC(ZSTD(1)),
    card String COMMENT 'Token of the card' CODEC(ZSTD(1)),
    event_time DateTime64(3, 'UTC') COMMENT 'When the payment was attempted' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
ORDER BY (transaction_id, card, event_time)
COMMENT 'Where each payment lies, repeats included: read v_transaction';

CREATE MATERIALIZED VIEW IF NOT EXISTS predictions_to_transaction_ids TO transaction_ids
AS SELECT transaction_id, card, event_time FROM predictions
COMMENT 'Notes where each payment lies as it is stored';

CREATE OR REPLACE VIEW v_transaction
(
    transaction_id String COMMENT 'Id that the gateway gave; cards do not share theirs, so several may have one',
    card String COMMENT 'Token of the card',
    merchant String COMMENT 'Token of the merchant',
    event_time DateTime64(3, 'UTC') COMMENT 'When the payment was attempted',
    decided_at DateTime64(3, 'UTC') COMMENT 'When the prediction was written to Kafka',
    amount_minor Int64 COMMENT 'Amount in minor units of the currency',
    currency LowCardinality(String) COMMENT 'ISO 4217 alphabetic code',
    action LowCardinality(String) COMMENT 'approve, step_up, review or block',
    mode LowCardinality(String) COMMENT 'normal, rules_only, fallback or history',
    score Nullable(UInt16) COMMENT 'Risk score, 0 to 1000; null where no model scored',
    probability Nullable(Float64) COMMENT 'Probability of fraud that the model said, 0 to 1',
    rule_hits Array(LowCardinality(String)) COMMENT 'Names of the rules that fired',
    reason_texts Array(String) COMMENT 'Sentences of the reasons, most important first',
    features Map(LowCardinality(String), Float64) COMMENT 'Feature name to the value that was used',
    model_version LowCardinality(String) COMMENT 'Model that scored, empty where rules alone decided',
    policy_version LowCardinality(String) COMMENT 'Policy that decided',
    record_partition Int32 COMMENT 'Partition of the record in fraud.predictions.v1',
    record_offset Int64 COMMENT 'Offset of the record in its partition'
)
AS SELECT
    transaction_id, card, merchant, event_time, decided_at, amount_minor, currency, action, mode, score, probability,
    rule_hits, reason_texts, features, model_version, policy_version, record_partition, record_offset
FROM predictions FINAL
WHERE (toStartOfHour(event_time), card, transaction_id) IN
(
    SELECT toStartOfHour(event_time), card, transaction_id
    FROM transaction_ids
    WHERE transaction_id = {transaction_id:String}
)
COMMENT 'One payment with all it was decided from, by its id alone. Parameter: transaction_id';
