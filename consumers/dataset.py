"""The training frame: a row a payment, with the features stored when it was decided and what was known of it.

Everything is as it was known at one time, `as_of`: a record that was written to Kafka later does not exist, nor does a
label that says it became known later. So of several sources the one counts that counted then, and a payment of which
nobody had spoken has no label, and says why (`censored`).

The statements read the tables, not the views: what a view shows once was chosen among all records there are now.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from schemas.fields import HOUR_MS
from schemas.label import SOURCES_BY_RANK, Label
from schemas.sampling import weight_of

ROWS_MAX = 200_000
"""Most payments that are held at once, where an hour has no more."""

RANKS = (SOURCES_BY_RANK[-1], "service_dispute", *reversed(SOURCES_BY_RANK[:-1]))
"""From who is believed least; a service dispute of any source stands right over silence, as in `v_verdicts`."""

CENSORED: Mapping[str, str] = {
    "": "it has a label",
    "service_dispute": "disputed for the goods: neither fraud nor proof of honesty",
    "blocked": "we blocked it, so nobody can know",
    "not_paid": "declined by the issuer, reversed, or its step-up failed",
    "immature": "younger than the time after which silence counts",
    "silent": "old enough, and nobody has spoken: no outcome says that it was authorised, or it is not in the sample",
}
"""Why a payment has no label, in the order in which the reasons are asked."""


class Asked(NamedTuple):
    """Payments from one time on and before another, as known at a third; ms since 1970.

    `maturity_ms` and `kept_one_in` are those of the deployment: after how long silence counts, and of how many silent
    payments one is labelled.
    """

    from_ms: int
    to_ms: int
    as_of_ms: int
    maturity_ms: int
    kept_one_in: int

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of the statements."""
        return {
            "from_ms": self.from_ms,
            "to_ms": self.to_ms,
            "as_of_ms": self.as_of_ms,
            "mature_ms": self.as_of_ms - self.maturity_ms,
            "ranks": list(RANKS),
        }


class Stored(NamedTuple):
    """A table that a frame is made from, its topic, and the column with the time at which a record was written."""

    topic: str
    table: str
    written: str


STORED = (
    Stored("fraud.predictions.v1", "predictions", "decided_at"),
    Stored("payments.labels.v1", "labels", "stored_at"),
    Stored("payments.outcomes.v1", "outcomes", "stored_at"),
    Stored("fraud.dead-letters.v1", "dead_letters", "sent_at"),
)

HOURS = """
SELECT toUnixTimestamp64Milli(toDateTime64(toStartOfHour(event_time), 3, 'UTC')) AS hour_ms, count() AS payments
FROM predictions
WHERE event_time >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
    AND event_time < fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC')
    AND decided_at <= fromUnixTimestamp64Milli({as_of_ms:Int64}, 'UTC')
GROUP BY hour_ms ORDER BY hour_ms
"""
FEATURE_NAMES = """
SELECT DISTINCT arrayJoin(mapKeys(features)) AS name
FROM predictions
WHERE event_time >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
    AND event_time < fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC')
    AND decided_at <= fromUnixTimestamp64Milli({as_of_ms:Int64}, 'UTC')
ORDER BY name
"""
POSITIONS = """
SELECT record_partition, max(record_offset) + 1 AS next
FROM {table:Identifier}
WHERE {written:Identifier} <= fromUnixTimestamp64Milli({as_of_ms:Int64}, 'UTC')
GROUP BY record_partition ORDER BY record_partition
"""
"""The next offset of each partition of a table, by what was written up to then."""

_FRAME = """
WITH
    fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC') AS since,
    fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC') AS until,
    fromUnixTimestamp64Milli({as_of_ms:Int64}, 'UTC') AS as_of,
    paid AS
    (
        SELECT * FROM predictions WHERE event_time >= since AND event_time < until AND decided_at <= as_of
        ORDER BY record_offset, record_partition LIMIT 1 BY card, event_time, transaction_id
    ),
    said AS
    (
        SELECT p.card AS card, p.event_time AS event_time, p.transaction_id AS transaction_id,
            l.source AS source, l.revision AS revision, l.verdict AS verdict, l.reported_at AS reported_at,
            l.fraud_type AS fraud_type, l.reason_code AS reason_code, l.record_offset AS place,
            indexOf({ranks:Array(String)}, l.source) AS rank
        FROM paid AS p INNER JOIN labels AS l ON p.card = l.card AND p.transaction_id = l.transaction_id
        WHERE l.occurred_at >= since - INTERVAL 1 DAY AND l.occurred_at < until + INTERVAL 1 DAY
            AND p.event_time BETWEEN l.occurred_at - INTERVAL 1 DAY AND l.occurred_at + INTERVAL 1 DAY
            AND l.reported_at <= as_of AND l.stored_at <= as_of
            AND (l.record_partition, l.record_offset) NOT IN
            (
                SELECT partition, offset FROM dead_letters
                WHERE endsWith(topic, 'payments.labels.v1') AND sent_at <= as_of
            )
    ),
    counting AS
    (
        SELECT *
        FROM (SELECT * FROM said ORDER BY revision DESC, place LIMIT 1 BY card, event_time, transaction_id, source)
        WHERE verdict != 'withdrawn'
        ORDER BY if(verdict = 'service_dispute', 2, rank) DESC, rank DESC LIMIT 1 BY card, event_time, transaction_id
    ),
    failed AS
    (
        SELECT DISTINCT
            p.card AS card, p.event_time AS event_time, p.transaction_id AS transaction_id, 1 AS not_paid
        FROM paid AS p INNER JOIN outcomes AS o ON p.card = o.card AND p.transaction_id = o.transaction_id
        WHERE o.kind IN ('declined_by_issuer', 'reversed', 'step_up_failed')
            AND o.occurred_at BETWEEN p.event_time - INTERVAL 1 DAY AND p.event_time + INTERVAL 30 DAY
            AND o.occurred_at <= as_of AND o.stored_at <= as_of
    )
SELECT
    p.transaction_id AS transaction_id, p.card AS card, p.merchant AS merchant, p.event_time AS event_time,
    p.decided_at AS decided_at, p.amount_minor AS amount_minor, p.currency AS currency, p.mcc AS mcc,
    p.channel AS channel, p.entry_mode AS entry_mode, p.mode AS mode, p.action AS action, p.score AS score,
    p.probability AS probability, p.propensity AS propensity, p.model_version AS model_version,
    p.policy_version AS policy_version, p.rates_version AS rates_version, p.code_version AS code_version,
    p.record_partition AS record_partition, p.record_offset AS record_offset,
    v.verdict AS verdict, v.source AS label_source, if(v.verdict = '', NULL, v.reported_at) AS label_reported_at,
    v.fraud_type AS label_fraud_type, v.reason_code AS label_reason_code,
    multiIf(v.verdict = 'fraud', 1, v.verdict = 'legitimate', 0, NULL) AS label,
    multiIf(
        v.verdict IN ('fraud', 'legitimate'), '', v.verdict = 'service_dispute', 'service_dispute',
        p.mode != 'history' AND p.action = 'block', 'blocked', f.not_paid = 1, 'not_paid',
        p.event_time > fromUnixTimestamp64Milli({mature_ms:Int64}, 'UTC'), 'immature', 'silent'
    ) AS censored
    /*features*/
FROM paid AS p
LEFT JOIN counting AS v ON p.card = v.card AND p.event_time = v.event_time AND p.transaction_id = v.transaction_id
LEFT JOIN failed AS f ON p.card = f.card AND p.event_time = f.event_time AND p.transaction_id = f.transaction_id
ORDER BY event_time, card, transaction_id
"""

TYPES: Mapping[str, str] = {
    **dict.fromkeys(("transaction_id", "card", "merchant"), "string"),
    **dict.fromkeys(("event_time", "decided_at"), "timestamp"),
    "amount_minor": "int64",
    **dict.fromkeys(("currency", "mcc", "channel", "entry_mode", "mode", "action"), "string"),
    "score": "int32",
    **dict.fromkeys(("probability", "propensity"), "float64"),
    **dict.fromkeys(("model_version", "policy_version", "rates_version", "code_version"), "string"),
    "record_partition": "int32",
    "record_offset": "int64",
    **dict.fromkeys(("verdict", "label_source"), "string"),
    "label_reported_at": "timestamp",
    **dict.fromkeys(("label_fraud_type", "label_reason_code"), "string"),
    "label": "int8",
    "censored": "string",
}
"""The columns before the features, in order; `weight` and the features, numbers, follow."""


def frame_sql(features: Sequence[str]) -> str:
    """Return the statement that reads a frame with these features; one that a payment did not have is null.

    Raises
    ------
    ValueError
        A name is none of a feature.
    """
    for name in features:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise ValueError(f"not the name of a feature: {name!r}")
    columns = "".join(
        f",\n    if(mapContains(p.features, '{name}'), p.features['{name}'], NULL) AS `{name}`" for name in features
    )
    return _FRAME.replace("/*features*/", columns)


def spans(hours: Sequence[tuple[int, int]], asked: Asked, rows_max: int = ROWS_MAX) -> Iterator[tuple[int, int]]:
    """Yield stretches of time, beginning and end in ms, of so many payments at most or of one hour.

    >>> asked = Asked(5, 9 * HOUR_MS, 0, 0, 1)
    >>> [(low, high / HOUR_MS) for low, high in spans([(0, 5), (HOUR_MS, 4), (7 * HOUR_MS, 2)], asked, 6)]
    [(5, 1.0), (3600000, 8.0)]
    """
    first, last, rows = -1, -1, 0
    for hour_ms, payments in hours:
        if first >= 0 and rows + payments > rows_max:
            yield max(first, asked.from_ms), last + HOUR_MS
            first, rows = -1, 0
        first = hour_ms if first < 0 else first
        last, rows = hour_ms, rows + payments
    if first >= 0:
        yield max(first, asked.from_ms), min(last + HOUR_MS, asked.to_ms)


def weights(columns: Mapping[str, Sequence[Any]], kept_one_in: int) -> list[float | None]:
    """Return for each row how many payments it stands for; None without a label.

    Of payments that are only assumed legitimate those of the sample stand for all, and the others for none: 0.

    >>> columns = {"card": ["card_a"] * 3, "transaction_id": ["tx-0", "tx-1", "tx-2"], "label": [0, 0, None],
    ...            "label_source": ["assumed_legitimate", "assumed_legitimate", ""]}
    >>> weights(columns, 3)
    [0.0, 3.0, None]
    """
    found: list[float | None] = []
    for card, name, label, source in zip(
        columns["card"], columns["transaction_id"], columns["label"], columns["label_source"], strict=True
    ):
        if label is None:
            found.append(None)
        else:
            said = Label.of_valid(transaction_id=name, card=card, source=source)
            found.append(weight_of(said, kept_one_in) or 0.0)
    return found
