"""What is published comes in force: the last sound document of each topic, then each as it comes."""

import threading
import time
from typing import Any, ClassVar

import pytest
from confluent_kafka import KafkaError, TopicPartition

from schemas.codec import encode
from schemas.learning import PolicyVersion, RateTable
from schemas.settings import Settings
from schemas.topics import MODELS, POLICIES, RATES
from streams import published
from streams.detector.learner import Learner
from streams.detector.scorer import Scorer
from streams.documents import shipped_policy, shipped_rates
from streams.published import Document, Published

PREFIX = "t."


class _Message:
    def __init__(self, topic: str, offset: int, value: bytes | None, error: KafkaError | None = None) -> None:
        self._told = topic, offset, value, error

    def topic(self) -> str:
        return self._told[0]

    def offset(self) -> int:
        return self._told[1]

    def value(self) -> bytes | None:
        return self._told[2]

    def error(self) -> KafkaError | None:
        return self._told[3]


class _Consumer:
    """Confluent's consumer on logs in lists. `None` in a log is a transaction's marker, which is never delivered."""

    logs: ClassVar[dict[str, list[bytes | None]]] = {}
    read: ClassVar[list[tuple[str, int]]] = []

    def __init__(self, _config: dict[str, Any]) -> None:
        self._next: dict[str, int] = {}
        self._ended: set[str] = set()

    def get_watermark_offsets(self, at: TopicPartition, timeout: float) -> tuple[int, int]:
        assert timeout > 0
        return 0, len(self.logs[at.topic])

    def assign(self, partitions: list[TopicPartition]) -> None:
        self._next = {at.topic: at.offset for at in partitions}
        self._ended = set()

    def poll(self, _timeout: float) -> _Message | None:
        for topic, start in self._next.items():
            for offset in range(start, len(self.logs[topic])):
                self._next[topic] = offset + 1
                self._ended.discard(topic)
                value = self.logs[topic][offset]
                if value is not None:
                    self.read.append((topic, offset))
                    return _Message(topic, offset, value)
            if topic not in self._ended:
                self._ended.add(topic)
                error = KafkaError(KafkaError._PARTITION_EOF)
                return _Message(topic, self._next[topic], None, error)
        time.sleep(0.001)
        return None

    def close(self) -> None:
        """Let nothing go."""


@pytest.fixture(autouse=True)
def logs(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[bytes | None]]:
    """Give the logs of the three topics, empty."""
    _Consumer.logs, _Consumer.read = {PREFIX + topic.name: [] for topic in (MODELS, POLICIES, RATES)}, []
    monkeypatch.setattr(published, "Consumer", _Consumer)
    return {name.removeprefix(PREFIX): log for name, log in _Consumer.logs.items()}


class _InForce:
    """What was put in force, in its order."""

    def __init__(self) -> None:
        self.documents: list[Document] = []
        self._came = threading.Condition()

    def put(self, document: Document) -> None:
        with self._came:
            self.documents.append(document)
            self._came.notify_all()

    def versions(self, kind: type[Document]) -> list[str]:
        return [document.version for document in self.documents if isinstance(document, kind)]

    def wait_for(self, version: str) -> None:
        with self._came:
            assert self._came.wait_for(lambda: any(each.version == version for each in self.documents), timeout=10)


def _started() -> tuple[Published, _InForce]:
    in_force = _InForce()
    settings = Settings.model_construct(kafka_bootstrap="nowhere:1", application_id="test", topic_prefix=PREFIX)
    following = Published(settings, in_force.put)
    following.start()
    return following, in_force


def _model(examples: int) -> tuple[str, bytes]:
    learner = Learner()
    for number in range(examples):
        learner.learn_example({"payment_hour": number % 24}, is_fraud=number % 2 == 0)
    model = learner.snapshot(examples)
    return model.version, encode(model)


def _policy(version: str, **changes: Any) -> bytes:
    return encode(shipped_policy().model_copy(update={"version": version, **changes}))


def test_nothing_published_puts_nothing_in_force() -> None:
    """Law: where nothing was published a worker starts with what is shipped."""
    following, in_force = _started()
    following.close()
    assert in_force.documents == []


def test_last_sound_document_is_in_force(logs: dict[str, list[bytes | None]]) -> None:
    """Law: of each topic the last record counts, and one that is not sound is passed over, and counted."""
    old, new = _model(4), _model(8)
    unknown = shipped_policy().rules[0].model_copy(update={"feature": "wind"})
    logs[MODELS.name] += [old[1], None, new[1], None, new[1][:-2], None]
    logs[POLICIES.name] += [_policy("p-1"), _policy("p-2"), b"{", _policy("p-3", rules=(unknown,))]
    logs[RATES.name] += [encode(shipped_rates().model_copy(update={"version": "r-7"})), b""]
    following, in_force = _started()
    following.close()
    assert in_force.versions(Scorer)[-1] == new[0]
    assert in_force.versions(PolicyVersion) == ["p-1", "p-2"]
    assert in_force.versions(RateTable) == ["r-7"]
    assert following.refused == 4


def test_later_documents_follow(logs: dict[str, list[bytes | None]]) -> None:
    """Law: what is published later comes in force while the worker runs; what is refused leaves the one before."""
    following, in_force = _started()
    version, model = _model(6)
    logs[POLICIES.name] += [b"{", _policy("p-9")]
    in_force.wait_for("p-9")
    logs[MODELS.name].append(model)
    in_force.wait_for(version)
    following.close()
    assert following.refused == 1
    assert len(in_force.documents) == 2


@pytest.mark.parametrize("rubbish", [0, 3, 8, 9, 64, 200])
def test_models_are_read_from_the_end(rubbish: int, logs: dict[str, list[bytes | None]]) -> None:
    """Law: of many models only those near the end are read; where nothing there can be used, from further back."""
    version, model = _model(6)
    logs[MODELS.name] += [_model(4)[1]] * 300 + [model] + [b"{"] * rubbish
    following, in_force = _started()
    following.close()
    assert in_force.versions(Scorer)[-1] == version
    # What was looked at on the way back is looked at again, and each way is eight times as long.
    assert len(_Consumer.read) <= 16 + 10 * rubbish


def test_each_document_is_put_in_force_once(logs: dict[str, list[bytes | None]]) -> None:
    """Law: between what is read at the start and what is followed nothing is lost, and nothing comes twice."""
    logs[POLICIES.name].append(_policy("p-1"))
    logs[MODELS.name].append(_model(4)[1])
    following, in_force = _started()
    logs[POLICIES.name].append(_policy("p-2"))
    in_force.wait_for("p-2")
    following.close()
    assert in_force.versions(PolicyVersion) == ["p-1", "p-2"]
    assert len(in_force.versions(Scorer)) == 1
