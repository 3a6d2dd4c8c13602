"""What the store holds and how fresh it is, and the records that could not be processed."""

from dataclasses import dataclass
from typing import Any

from consumers.page.query import Query, rows

_OF_PREDICTIONS = "SELECT count() AS n, toUnixTimestamp64Milli(max(decided_at)) AS newest_ms FROM v_predictions"
CONTENTS = (
    ("predictions", f"{_OF_PREDICTIONS} WHERE mode != 'history'"),
    ("history", f"{_OF_PREDICTIONS} WHERE mode = 'history'"),
    ("decisions", "SELECT count() AS n, toUnixTimestamp64Milli(max(decided_at)) AS newest_ms FROM v_decisions"),
    ("labels", "SELECT count() AS n, toUnixTimestamp64Milli(max(stored_at)) AS newest_ms FROM v_verdicts"),
    ("models", "SELECT count() AS n, toUnixTimestamp64Milli(max(published_at)) AS newest_ms FROM v_models"),
    ("dead letters", "SELECT count() AS n, toUnixTimestamp64Milli(max(sent_at)) AS newest_ms FROM v_dead_letters"),
)
"""What is counted, and the time at which its newest was written to Kafka. History has predictions alone."""

REASONS = """
SELECT reason, stage, count() AS letters, toUnixTimestamp64Milli(max(sent_at)) AS newest_ms
FROM v_dead_letters GROUP BY reason, stage ORDER BY letters DESC, reason, stage LIMIT 6
"""

LETTERS = """
SELECT toUnixTimestamp64Milli(sent_at) AS sent_ms, topic, partition, offset, reason, detail
FROM v_dead_letters ORDER BY sent_at DESC, record_partition, record_offset LIMIT 3
"""


@dataclass(frozen=True, slots=True)
class Content:
    """How many of a kind there are, repeats counted once, and when the newest was written; None of nothing."""

    name: str
    number: int
    newest_ms: int | None


@dataclass(frozen=True, slots=True)
class Stored:
    """The contents of the store. Dead letters are by reason, most frequent first, and the newest one by one."""

    asked_ms: int
    contents: tuple[Content, ...]
    reasons: tuple[dict[str, Any], ...]
    letters: tuple[dict[str, Any], ...]

    @property
    def dead_letters(self) -> int:
        return self.contents[-1].number


def stored(query: Query, now_ms: int) -> Stored:
    """Ask for it."""
    contents = []
    for name, sql in CONTENTS:
        row = rows(query(sql, None))[0]
        contents.append(Content(name, row["n"], row["newest_ms"] if row["n"] else None))
    return Stored(now_ms, tuple(contents), tuple(rows(query(REASONS, None))), tuple(rows(query(LETTERS, None))))
