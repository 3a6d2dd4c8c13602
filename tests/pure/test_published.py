"""What is published is read: what is there when a worker starts, then each record as it comes."""

import threading
import time
from typing import Any, ClassVar

import pytest
from confluent_kafka import KafkaError, TopicPartition

from schemas.learning import ModelVersion, PolicyVersion, RateTable
from schemas.registry import Alert
from schemas.settings import Settings
from schemas.topics import ALIASES, MODELS, POLICIES, RATES, Topic
from streams import published
from streams.detector.admission import CHAMPION
from streams.detector.following import Document
from streams.detector.learner import Learner
from streams.detector.scorer import Scorer
from streams.detector.stage import Record
from streams.documents import shipped_policy, shipped_rates
from streams.published import Published
from tests.planted import MemoryLogs
from tests.signed import TRUSTED, alias_of, record_of

PREFIX = "t."


class _Message:
    def __init__(self, record: Record, error: KafkaError | None = None) -> None:
        self._record, self._error = record, error

    def topic(self) -> str:
        return PREFIX + self._record.topic

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._record.offset

    def timestamp(self) -> tuple[int, int]:
        return 1, self._record.timestamp_ms

    def key(self) -> bytes | None:
        return self._record.key

    def value(self) -> bytes | None:
        return self._record.value

    def headers(self) -> list[tuple[str, bytes | None]]:
        return list(self._record.headers)

    def error(self) -> KafkaError | None:
        return self._error


class _Consumer:
    """Confluent's consumer on the logs of the test."""

    logs: ClassVar[MemoryLogs]

    def __init__(self, _config: dict[str, Any]) -> None:
        self._next: dict[str, int] = {}

    def assign(self, partitions: list[TopicPartition]) -> None:
        self._next = {at.topic.removeprefix(PREFIX): at.offset for at in partitions}

    def poll(self, _timeout: float) -> _Message | None:
        for topic, start in self._next.items():
            for record in self.logs.records[topic, 0]:
                if record.offset >= start:
                    self._next[topic] = record.offset + 1
                    return _Message(record)
        time.sleep(0.001)
        return None

    def close(self) -> None:
        """Let nothing go."""


class _Logs(MemoryLogs):
    """The topics, and which records were read before the consumer follows."""

    def __init__(self) -> None:
        super().__init__({(topic.name, 0): [] for topic in (MODELS, ALIASES, POLICIES, RATES)}, 1)

    def write(self, topic: Topic, name: str, message: Any, at_ms: int = 0) -> None:
        log = self.records[topic.name, 0]
        # Offsets have gaps, as markers of transactions leave them.
        log.append(record_of(topic, 2 * len(log), name, message, at_ms=at_ms))

    def cut(self, model: ModelVersion, sequence: int) -> None:
        self.write(MODELS, model.version, model)
        self.write(ALIASES, CHAMPION, alias_of(model.version, sequence))

    def close(self) -> None:
        """Let nothing go."""


@pytest.fixture(autouse=True)
def logs(monkeypatch: pytest.MonkeyPatch) -> _Logs:
    """Give the four topics, empty."""
    logs = _Consumer.logs = _Logs()
    monkeypatch.setattr(published, "Consumer", _Consumer)
    monkeypatch.setattr(published, "KafkaLogs", lambda *_: logs)
    return logs


class _InForce:
    """What was put in force, in its order."""

    def __init__(self) -> None:
        self.documents: list[Document] = []
        self.alerts: list[Alert] = []
        self._came = threading.Condition()

    def put(self, document: Document) -> None:
        with self._came:
            self.documents.append(document)
            self._came.notify_all()

    def versions(self, kind: type[Document]) -> list[str]:
        return [document.version for document in self.documents if isinstance(document, kind)]

    def wait_for(self, version: str) -> None:
        with self._came:
            assert self._came.wait_for(lambda: any(each.version == version for each in self.documents), timeout=60)


def _started() -> tuple[Published, _InForce]:
    in_force = _InForce()
    settings = Settings.model_construct(kafka_bootstrap="nowhere:1", application_id="test", topic_prefix=PREFIX)
    following = Published(settings, TRUSTED, in_force.put, in_force.alerts.append)
    following.start()
    return following, in_force


def _models(number: int) -> list[ModelVersion]:
    learner, models = Learner(), []
    for at in range(number):
        learner.learn_example({"payment_hour": at % 24}, is_fraud=at % 2 == 0)
        models.append(learner.snapshot(at + 1))
    return models


def _policy(version: str, **changes: Any) -> PolicyVersion:
    return shipped_policy().model_copy(update={"version": version, **changes})


def test_nothing_published_puts_nothing_in_force() -> None:
    """Law: where nothing was published a worker starts with what is shipped."""
    following, in_force = _started()
    following.close()
    assert (in_force.documents, in_force.alerts) == ([], [])


def test_last_sound_document_is_in_force(logs: _Logs) -> None:
    """Law: of each topic the last record counts, and one that is not sound is passed over, and told."""
    unknown = shipped_policy().rules[0].model_copy(update={"feature": "wind"})
    for at, policy in enumerate((_policy("p-1"), _policy("p-2"), b"{", _policy("p-3", rules=(unknown,)))):
        name = policy.version if isinstance(policy, PolicyVersion) else "p-x"
        logs.write(POLICIES, name, policy, at_ms=at)
    logs.write(RATES, "r-7", shipped_rates().model_copy(update={"version": "r-7"}))
    logs.write(RATES, "r-8", b"")
    old, new = _models(2)
    logs.cut(old, 1)
    logs.cut(new, 2)
    logs.write(MODELS, "m-x", b"{")
    following, in_force = _started()
    following.close()
    assert in_force.versions(Scorer)[-1] == new.version
    assert in_force.versions(PolicyVersion) == ["p-1", "p-2"]
    assert in_force.versions(RateTable) == ["r-7"]
    assert following.following.refused == len(in_force.alerts) == 4


def test_later_documents_follow(logs: _Logs) -> None:
    """Law: what is published later comes in force while the worker runs; what is refused leaves the one before."""
    following, in_force = _started()
    logs.write(POLICIES, "p-8", b"{", at_ms=1)
    logs.write(POLICIES, "p-9", _policy("p-9"), at_ms=2)
    in_force.wait_for("p-9")
    (model,) = _models(1)
    logs.cut(model, 1)
    in_force.wait_for(model.version)
    following.close()
    assert following.following.refused == 1
    assert len(in_force.documents) == 2


@pytest.mark.parametrize("later", [0, 3, 8, 30])
def test_a_champion_far_from_the_end_is_found(later: int, logs: _Logs) -> None:
    """Law: who starts while an old snapshot is pinned has it in force, however many were cut since."""
    first, *others = _models(later + 1)
    logs.cut(first, 1)
    for model in others:
        logs.write(MODELS, model.version, model)
    pinned = alias_of(first.version, 2, mode="pinned", changed_by="c-1", model_offset=0)
    logs.write(ALIASES, CHAMPION, pinned)
    following, in_force = _started()
    following.close()
    assert in_force.versions(Scorer) == [first.version]


def test_each_document_is_put_in_force_once(logs: _Logs) -> None:
    """Law: between what is read at the start and what is followed nothing is lost, and nothing comes twice."""
    logs.write(POLICIES, "p-1", _policy("p-1"), at_ms=1)
    (model,) = _models(1)
    logs.cut(model, 1)
    following, in_force = _started()
    logs.write(POLICIES, "p-2", _policy("p-2"), at_ms=2)
    in_force.wait_for("p-2")
    following.close()
    assert in_force.versions(PolicyVersion) == ["p-1", "p-2"]
    assert len(in_force.versions(Scorer)) == 1
    assert in_force.alerts == []
