"""What is being decided: how many a second, how fast, and what; over the last ten minutes of decisions.

Time is when a decision was written to Kafka. The window ends a little before the newest decision, because the sink
stores once a second; where nothing has come for a while it ends with the newest one, and the page says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from consumers.page.query import ACTIONS, Query, number, rows, share

WINDOW_MS = 600_000
SETTLED_MS = 1_000
"""So much before the newest decision every other one is stored as well: partitions take turns."""

STORED_MS = 4_000
"""So long ago is the end of the window at the most, however few decisions there are."""

STALE_MS = 10_000
NOW_MS = 10_000
MINUTE_MS = 60_000
LATENCY_MS_MAX = 3_600_000
"""A replayed payment happened long ago: beyond this the difference says how old the recording is."""

NEWEST = "SELECT count() AS decisions, toUnixTimestamp64Milli(max(decided_at)) AS newest_ms FROM decisions"
"""A record that is stored twice does not change the maximum, so the table may be asked, in one column's time."""

FIRST = """
SELECT toUnixTimestamp64Milli(min(decided_at)) AS first_ms FROM decisions
WHERE decided_at >= fromUnixTimestamp64Milli({since_ms:Int64})
"""

# Latency is null, and counts in no quantile, where a refused record did not say its time.
BUCKETS = """
SELECT
    intDiv(at_ms - {since_ms:Int64}, {bucket_ms:Int64}) AS bucket,
    countIf(action = 'block') AS block,
    countIf(action = 'review') AS review,
    countIf(action = 'step_up') AS step_up,
    countIf(action = 'approve') AS approve,
    countIf(action = 'invalid') AS invalid,
    quantilesExact(0.5, 0.99)(at_ms - toUnixTimestamp64Milli(event_time)) AS latency
FROM
(
    SELECT action, event_time, toUnixTimestamp64Milli(decided_at) AS at_ms FROM decisions
    WHERE decided_at >= fromUnixTimestamp64Milli({since_ms:Int64})
        AND decided_at < fromUnixTimestamp64Milli({until_ms:Int64})
    LIMIT 1 BY record_partition, record_offset
)
GROUP BY bucket
"""
NO_DECISIONS: Mapping[str, Any] = {**dict.fromkeys(ACTIONS, 0), "latency": (None, None)}

TOTALS = "SELECT action, count() AS decisions FROM v_decisions GROUP BY action"


@dataclass(frozen=True, slots=True)
class Freshness:
    """The newest decision there is, and how old it is. A clock behind the writer's makes no negative age."""

    asked_ms: int
    newest_ms: int | None

    @property
    def age_s(self) -> float | None:
        return None if self.newest_ms is None else max(0, self.asked_ms - self.newest_ms) / 1_000

    @property
    def stale(self) -> bool:
        """Whether nothing new has come for ten seconds."""
        return self.age_s is not None and self.age_s * 1_000 > STALE_MS


@dataclass(frozen=True, slots=True)
class Stream:
    """Decisions of the window, by bucket and action. Latency is None where it says nothing; rates are per second."""

    fresh: Freshness
    bucket_ms: int
    starts_ms: tuple[int, ...]
    counts: dict[str, tuple[int, ...]]
    p50_ms: tuple[float | None, ...]
    p99_ms: tuple[float | None, ...]
    rate_now: float
    last_p50_ms: float | None
    last_p99_ms: float | None

    @property
    def span_s(self) -> float:
        return len(self.starts_ms) * self.bucket_ms / 1_000

    @property
    def sums(self) -> dict[str, int]:
        return {action: sum(counts) for action, counts in self.counts.items()}

    @property
    def decisions(self) -> int:
        return sum(self.sums.values())

    @property
    def rate_mean(self) -> float | None:
        return share(self.decisions, self.span_s)

    @property
    def live(self) -> bool:
        """Whether payments are decided as they happen, so that latency means something."""
        return self.last_p50_ms is not None and -MINUTE_MS < self.last_p50_ms <= LATENCY_MS_MAX

    def chart(self) -> dict[str, Any]:
        """Return what the charts draw: times in seconds, decisions per second in all and by action, milliseconds."""
        seconds = self.bucket_ms / 1_000
        rates = {action: [n / seconds for n in counts] for action, counts in self.counts.items()}
        totals = [sum(bucket) for bucket in zip(*rates.values(), strict=True)]
        latencies = {"p50": self.p50_ms, "p99": self.p99_ms} if self.live else {}
        return {
            "t": [start / 1_000 for start in self.starts_ms],
            "step": seconds,
            "all": totals,
            **rates,
            **latencies,
        }


def freshness(query: Query, now_ms: int) -> Freshness:
    """Ask for the newest decision."""
    newest = rows(query(NEWEST, None))[0]
    return Freshness(now_ms, newest["newest_ms"] if newest["decisions"] else None)


def stream(query: Query, now_ms: int) -> Stream | None:
    """Ask for the window, or return None where nothing was ever decided."""
    fresh = freshness(query, now_ms)
    if fresh.newest_ms is None:
        return None
    end_ms = fresh.newest_ms + 1 if fresh.stale else max(fresh.newest_ms - SETTLED_MS, now_ms - STORED_MS)
    first_ms = rows(query(FIRST, {"since_ms": end_ms - WINDOW_MS}))[0]["first_ms"]
    span_ms = end_ms - first_ms
    bucket_ms = 1_000 if span_ms <= 120_000 else 2_000 if span_ms <= 300_000 else 5_000
    # Whole buckets only, because part of one would look like a dip; they stay where they are while the window moves on.
    until_ms = end_ms if fresh.stale else end_ms // bucket_ms * bucket_ms
    number_shown = min(max(1, -(-(until_ms - first_ms) // bucket_ms)), WINDOW_MS // bucket_ms)
    since_ms = until_ms - number_shown * bucket_ms
    buckets = _buckets(query, since_ms, until_ms, bucket_ms)
    now_from_ms = max(end_ms - NOW_MS, min(first_ms, end_ms - 1_000))
    [now] = _buckets(query, now_from_ms, end_ms, end_ms - now_from_ms)
    [last] = _buckets(query, end_ms - MINUTE_MS, end_ms, MINUTE_MS)
    return Stream(
        fresh=fresh,
        bucket_ms=bucket_ms,
        starts_ms=tuple(range(since_ms, until_ms, bucket_ms)),
        counts={action: tuple(row[action] for row in buckets) for action in ACTIONS},
        p50_ms=tuple(number(row["latency"][0]) for row in buckets),
        p99_ms=tuple(number(row["latency"][1]) for row in buckets),
        rate_now=0.0 if fresh.stale else sum(now[action] for action in ACTIONS) * 1_000 / (end_ms - now_from_ms),
        last_p50_ms=number(last["latency"][0]),
        last_p99_ms=number(last["latency"][1]),
    )


def _buckets(query: Query, since_ms: int, until_ms: int, bucket_ms: int) -> list[Mapping[str, Any]]:
    asked = {"since_ms": since_ms, "until_ms": until_ms, "bucket_ms": bucket_ms}
    found = {row["bucket"]: row for row in rows(query(BUCKETS, asked))}
    return [found.get(bucket, NO_DECISIONS) for bucket in range((until_ms - since_ms) // bucket_ms)]


def totals(query: Query) -> dict[str, int]:
    """Ask how many decisions of each action there are in the store."""
    counted = query(TOTALS, None)
    return dict(zip(counted["action"], counted["decisions"], strict=True))
