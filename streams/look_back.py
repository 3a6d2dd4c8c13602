"""Topics of the registry read from their ends: models are large and there are many, and the last ones count. Pure.

Kafka is behind the port `Logs`.
"""

from collections.abc import Iterator
from contextlib import suppress
from itertools import takewhile

from schemas.learning import PolicyVersion
from schemas.registry import Alias
from schemas.topics import ALIASES, MODELS, POLICIES, Topic
from streams.detector.admission import Admission, NotAdmittedError
from streams.detector.stage import Record
from streams.recompute.logs import Logs

MODELS_BACK = 8
"""Records and markers at the end of the models' topic that are looked at first."""
ALIASES_BACK = 256
FURTHER = 8
"""How much longer each further look is."""


def between(logs: Logs, topic: Topic, start: int, end: int) -> Iterator[Record]:
    """Give the records of a topic of one partition between two offsets."""
    return takewhile(lambda record: record.offset < end, logs.read(topic, 0, start))


def backwards(logs: Logs, topic: Topic, back: int, end: int | None = None) -> Iterator[Iterator[Record]]:
    """Give the records at the end of a topic, then those before them, then more of those before, to its beginning."""
    begin, end_now = logs.bounds(topic, 0)
    end = end_now if end is None else end
    while end > begin:
        start = max(begin, end - back)
        yield between(logs, topic, start, end)
        end, back = start, back * FURTHER


def find(logs: Logs, version: str, offset: int | None = None) -> Iterator[Record]:
    """Give the records under a version in the models' topic, the last first; with an offset the one there."""
    key = version.encode()
    if offset is not None:
        record = next(iter(logs.read(MODELS, 0, offset)), None)
        yield from [record] if record and record.offset == offset and record.key == key else []
        return
    for records in backwards(logs, MODELS, MODELS_BACK):
        yield from reversed([each for each in records if each.key == key])


def last_alias(logs: Logs, admission: Admission, end: int | None = None) -> tuple[Alias, Record] | None:
    """Return the newest alias that is believed, of those before an offset, and its record; None where there is none."""
    for records in backwards(logs, ALIASES, ALIASES_BACK, end):
        believed: list[tuple[Alias, Record]] = []
        for record in records:
            with suppress(NotAdmittedError):
                believed.append((admission.alias(record), record))
        if believed:
            return max(believed, key=lambda each: each[0].sequence)
    return None


def last_policy(logs: Logs, admission: Admission) -> PolicyVersion | None:
    """Return the policy that was signed last of those that are believed; None where none was published."""
    found: tuple[int, PolicyVersion] | None = None
    for record in logs.read(POLICIES, 0):
        with suppress(NotAdmittedError):
            signed, policy = admission.document(record)
            if isinstance(policy, PolicyVersion) and (found is None or signed.at_ms > found[0]):
                found = signed.at_ms, policy
    return found[1] if found else None
