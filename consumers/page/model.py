"""The model that decides now, the versions that were published, and how well they ranked what is labelled so far."""

from dataclasses import dataclass

import numpy as np

from consumers.page.query import Query, rows
from consumers.page.ranking import Ranking, ranking

NOW = """
SELECT model_version, policy_version, mode FROM predictions WHERE mode != 'history'
ORDER BY decided_at DESC, record_partition, record_offset LIMIT 1
"""

VERSIONS = """
SELECT version, records, frauds, toUnixTimestamp64Milli(learned_to) AS learned_to_ms,
    toUnixTimestamp64Milli(published_at) AS published_ms, count() OVER () AS versions
FROM v_models
ORDER BY published_ms DESC, records DESC
LIMIT 6
"""

# Those whose label came last, where there are very many.
SCORED = """
SELECT probability, verdict = 'fraud' AS fraud, model_version
FROM v_labelled
WHERE probability IS NOT NULL AND model_version != '' AND mode != 'history' AND verdict != 'service_dispute'
ORDER BY reported_at DESC
LIMIT 100000
"""


@dataclass(frozen=True, slots=True)
class Version:
    """A published model: what it had learned, and how it ranked the labelled payments that it scored itself."""

    version: str
    records: int
    frauds: int
    learned_to_ms: int | None
    published_ms: int
    quality: Ranking | None


@dataclass(frozen=True, slots=True)
class Model:
    """What decides now (`model_version` is empty where rules do), the newest versions, and the quality of all."""

    model_version: str
    policy_version: str
    mode: str
    versions_published: int
    versions: tuple[Version, ...]
    quality: Ranking


def model(query: Query) -> Model | None:
    """Ask for it; None where nothing was decided or published yet."""
    now, published = rows(query(NOW, None)), rows(query(VERSIONS, None))
    if not now and not published:
        return None
    scored = query(SCORED, None)
    scores = np.asarray(scored["probability"], dtype=np.float64)
    frauds = np.asarray(scored["fraud"], dtype=np.bool_)
    names = np.asarray(scored["model_version"], dtype=np.str_)
    versions = [
        Version(
            version=row["version"],
            records=row["records"],
            frauds=row["frauds"],
            learned_to_ms=row["learned_to_ms"],
            published_ms=row["published_ms"],
            quality=ranking(scores[own], frauds[own]) if (own := names == row["version"]).any() else None,
        )
        for row in published
    ]
    return Model(
        **(now[0] if now else {"model_version": "", "policy_version": "", "mode": ""}),
        versions_published=published[0]["versions"] if published else 0,
        versions=tuple(versions),
        quality=ranking(scores, frauds),
    )
