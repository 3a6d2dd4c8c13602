-- Which features are missing
--
-- Question: On what share of the payments does each feature have no value?
-- Read: A share that jumps is a field that a gateway stopped sending, seldom a change of the payments.
-- Parameters: from, to: event time of the payments, UTC, from included
WITH (
    SELECT count() FROM v_predictions
    WHERE event_time >= {from:DateTime64(3, 'UTC')} AND event_time < {to:DateTime64(3, 'UTC')}
) AS payments
SELECT
    feature,
    payments AS of_payments,
    round(1 - count() / payments, 4) AS missing_share
FROM v_predictions
ARRAY JOIN mapKeys(features) AS feature
WHERE event_time >= {from:DateTime64(3, 'UTC')} AND event_time < {to:DateTime64(3, 'UTC')}
GROUP BY feature
ORDER BY missing_share DESC, feature
