"""Fraud caught and missed, by the payment's own time, as far as labels have come in.

Caught is a payment labelled fraud that was not simply approved; a false alarm is one labelled legitimate that was not.
Service disputes are neither. Payments whose label has not come are not counted at all.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from consumers.page.query import Query, rows, share

DAYS_MAX = 90
DAY_MS = 86_400_000
POINTS_MAX = 60
BUCKETS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 28_800, 86_400, 172_800)

# Neither a repeat nor another revision of a label moves these, so the table may be asked, in one column's time.
RANGE = """
SELECT count() AS labels, toUnixTimestamp64Milli(min(occurred_at)) AS first_ms,
    toUnixTimestamp64Milli(max(occurred_at)) AS last_ms
FROM labels
"""

BUCKETS = """
SELECT intDiv(toUnixTimestamp64Milli(event_time), {bucket_ms:Int64}) AS bucket, currency, verdict,
    action IN ('block', 'review', 'step_up') AS acted, count() AS payments, sum(amount_minor) AS minor
FROM v_labelled
WHERE mode != 'history' AND event_time >= fromUnixTimestamp64Milli({since_ms:Int64})
GROUP BY bucket, currency, verdict, acted
"""


@dataclass(slots=True)
class Money:
    """Amounts in minor units of one currency."""

    caught: int = 0
    missed: int = 0
    false_alarms: int = 0


@dataclass(slots=True)
class Caught:
    """What became of labelled payments, by bucket of event time. Numbers are of payments."""

    bucket_ms: int
    starts_ms: tuple[int, ...]
    caught: Counter[int] = field(default_factory=Counter)
    missed: Counter[int] = field(default_factory=Counter)
    false_alarms: Counter[int] = field(default_factory=Counter)
    passed: int = 0
    disputes: int = 0
    money: dict[str, Money] = field(default_factory=lambda: defaultdict(Money))

    @property
    def frauds(self) -> int:
        return self.caught.total() + self.missed.total()

    @property
    def caught_share(self) -> float | None:
        """What part of the known frauds was caught (recall)."""
        return share(self.caught.total(), self.frauds)

    @property
    def right_share(self) -> float | None:
        """What part of the labelled payments that were acted on was fraud (precision)."""
        return share(self.caught.total(), self.caught.total() + self.false_alarms.total())

    @property
    def legitimate(self) -> int:
        return self.false_alarms.total() + self.passed

    @property
    def labelled(self) -> int:
        return self.frauds + self.legitimate + self.disputes

    def add(self, row: dict[str, Any]) -> None:
        """Count the payments of one group."""
        at_ms, number, money = row["bucket"] * self.bucket_ms, row["payments"], self.money[row["currency"]]
        if row["verdict"] == "service_dispute":
            self.disputes += number
        elif row["verdict"] == "fraud" and row["acted"]:
            self.caught[at_ms] += number
            money.caught += row["minor"]
        elif row["verdict"] == "fraud":
            self.missed[at_ms] += number
            money.missed += row["minor"]
        elif row["acted"]:
            self.false_alarms[at_ms] += number
            money.false_alarms += row["minor"]
        else:
            self.passed += number

    def chart(self) -> dict[str, Any]:
        """Return what the chart draws: times in seconds, payments by bucket, and the share caught in per cent."""
        shares = [share(100 * self.caught[at], self.caught[at] + self.missed[at]) for at in self.starts_ms]
        return {
            "t": [at / 1_000 for at in self.starts_ms],
            "step": self.bucket_ms / 1_000,
            "caught": [self.caught[at] for at in self.starts_ms],
            "missed": [self.missed[at] for at in self.starts_ms],
            "false_alarms": [self.false_alarms[at] for at in self.starts_ms],
            "share": shares,
        }


def bucket_ms_for(span_ms: int) -> int:
    """Return the shortest bucket that makes at most sixty points of a span.

    >>> [bucket_ms_for(span_s * 1_000) // 1_000 for span_s in (10, 90, 3_600, 86_400, 90 * 86_400)]
    [1, 2, 60, 1800, 172800]
    """
    return next((size * 1_000 for size in BUCKETS_S if span_ms <= size * 1_000 * POINTS_MAX), BUCKETS_S[-1] * 1_000)


def caught(query: Query) -> Caught | None:
    """Ask what became of the labelled payments of the last 90 days that have any; None where there is no label."""
    known = rows(query(RANGE, None))[0]
    if not known["labels"]:
        return None
    since_ms = max(known["first_ms"], known["last_ms"] - DAYS_MAX * DAY_MS)
    bucket_ms = bucket_ms_for(known["last_ms"] - since_ms)
    first, last = since_ms // bucket_ms, known["last_ms"] // bucket_ms
    answer = Caught(bucket_ms, tuple(bucket * bucket_ms for bucket in range(first, last + 1)))
    for row in rows(query(BUCKETS, {"bucket_ms": bucket_ms, "since_ms": since_ms})):
        answer.add(row)
    return answer
