"""`python -m streams shadow`: challengers score what was decided, learn what is learned, and decide nothing.

Predictions and training records are taken in the order of their records' timestamps, so that a payment is scored before
its label is learned; where a backlog brings them otherwise, `training_offset` in each score tells. What is written is
written before positions are committed: a killed run says some scores again. A slow challenger makes all of them late,
and nobody else: positions are those of a group of its own, and Kafka keeps predictions for months.
"""

import importlib
import json
import logging
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer

from schemas.codec import decode, encode
from schemas.connection import connection, said, writing
from schemas.decision import Prediction
from schemas.key_files import KeyFileError, signer_of
from schemas.learning import ModelVersion, TrainingRecord
from schemas.settings import Settings
from schemas.signing import Signer
from schemas.topics import MODELS, PREDICTIONS, SHADOW_SCORES, TRAINING, Topic
from streams.code_version import code_version
from streams.detector.challengers import TABLE, Challenger, OfAnyKind
from streams.detector.scorer import made_by
from streams.detector.shadowing import Shadow
from streams.detector.stage import Record
from streams.kafka_logs import KafkaLogs, ReadError, record_of
from streams.stopping import stop_on_signals

logger = logging.getLogger(__name__)

READER = "shadow"
RECORDS_MAX = 500
WAIT_S = 0.5
FLUSH_S = 30.0
REFUSED = frozenset({KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED})
TRAINING_LOOK_S = 1.0
"""How often the training log is looked at again once it was read to its end."""


class ShadowError(Exception):
    """A challenger cannot be made, or Kafka does not take what they say."""


def challengers_of(settings: Settings) -> dict[str, Challenger]:
    """Return the challengers that the settings name.

    Raises
    ------
    ShadowError
        There is none of a name, its class is not allowed, or it cannot be made.
    """
    allowed = settings.shadow_classes.split(",")
    found: dict[str, Challenger] = {}
    for each in settings.shadow_models.split(","):
        name, _, path = each.partition("=")
        if path:
            if path not in allowed:
                raise ShadowError(f"{path} may not be loaded: FRAUD_SHADOW_CLASSES does not name it")
            found[name] = OfAnyKind(_made(path))
        elif name in TABLE:
            found[name] = TABLE[name].make(settings.snapshot_records)
        else:
            raise ShadowError(f"FRAUD_SHADOW_MODELS: there is no {name}, only {', '.join(TABLE)}")
    return found


def _made(path: str) -> object:
    module, _, factory = path.partition(":")
    try:
        model: object = getattr(importlib.import_module(module), factory)()
    except Exception as error:  # noqa: BLE001 - whoever wrote it
        raise ShadowError(f"{path} cannot be made: {type(error).__name__}: {error}") from None
    if not all(callable(getattr(model, method, None)) for method in ("learn_one", "predict_proba_one")):
        raise ShadowError(f"{path} has no learn_one and predict_proba_one")
    return model


class _Training:
    """The training log as it grows, from some records before its end."""

    def __init__(self, logs: KafkaLogs, records_back: int) -> None:
        begin, end = logs.bounds(TRAINING, 0)
        self._logs = logs
        self._next = max(begin, end - records_back)
        self._ahead: Record | None = None
        self._records: Iterator[Record] = iter(())
        self._looked_s = 0.0

    def up_to(self, timestamp_ms: float) -> Iterator[Record]:
        """Give what was written up to a time."""
        while (record := self._peek()) is not None and record.timestamp_ms <= timestamp_ms:
            self._ahead = None
            yield record

    def _peek(self) -> Record | None:
        if self._ahead is None:
            self._ahead = next(self._records, None)
        if self._ahead is None and time.monotonic() >= self._looked_s + TRAINING_LOOK_S:
            self._looked_s = time.monotonic()
            self._records = self._logs.read(TRAINING, 0, self._next)
            self._ahead = next(self._records, None)
        if self._ahead is not None:
            self._next = self._ahead.offset + 1
        return self._ahead


class ShadowRun:
    """One run: its clients, its challengers, and what was done."""

    def __init__(self, settings: Settings, shadow: Shadow, logs: KafkaLogs, signer: Signer | None) -> None:
        self._settings, self._shadow = settings, shadow
        self._training = _Training(logs, settings.shadow_records_back)
        self._signer = signer
        self._failed: list[KafkaError] = []
        self._producer = Producer(
            {
                **writing(settings),
                "message.max.bytes": MODELS.value_bytes_max,
                "compression.type": "lz4",
                "linger.ms": 20,
            }
        )
        self._consumer = Consumer(
            {
                **connection(settings),
                "group.id": settings.consumer_group(READER),
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "max.poll.interval.ms": 900_000,
            }
        )
        self._ended = set[int]()
        self._consumer.subscribe(
            [settings.topic_prefix + PREDICTIONS.name], on_assign=lambda _consumer, _ours: self._ended.clear()
        )
        self.counters: Counter[str] = Counter()
        self.stopping = False

    def run(self) -> None:
        """Go on until told to stop."""
        while not self.stopping:
            records = [*self._taken(self._consumer.consume(RECORDS_MAX, WAIT_S))]
            for record in sorted(records, key=lambda each: each.timestamp_ms):
                self._learn(record.timestamp_ms)
                if self.stopping:
                    return  # what was not scored is not committed, and is read again
                self._score(record)
            # Not before all that was decided is scored: at the start a whole backlog may be on its way.
            ours = {each.partition for each in self._consumer.assignment()}
            if ours and ours <= self._ended:
                self._learn(float("inf"))
            self._settle()

    def _taken(self, messages: Iterable[Message]) -> Iterator[Record]:
        for message in messages:
            error = message.error()
            if error is None:
                self._ended.discard(message.partition() or 0)
                yield record_of(PREDICTIONS, message)
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the client's public name for it
                self._ended.add(message.partition() or 0)
            elif error.fatal() or error.code() in REFUSED:
                raise KafkaException(error)
            else:
                logger.warning("reading predictions: %s", error)

    def _learn(self, timestamp_ms: float) -> None:
        for record in self._training.up_to(timestamp_ms):
            example = decode(TrainingRecord, record.value)
            if not isinstance(example, TrainingRecord):
                self.counters["unreadable"] += 1
                continue
            self.counters["learned"] += 1
            for model in self._shadow.learn(record.offset, example):
                self._publish(model)
            if self.stopping:
                return

    def _publish(self, model: ModelVersion) -> None:
        if self._signer is None:
            return
        named = made_by(model, code_version())
        key, value = named.version.encode(), encode(named)
        self._produce(MODELS, key, value, 0, [*self._signer.headers(MODELS, key, value)])
        self.counters["snapshots"] += 1

    def _score(self, record: Record) -> None:
        prediction = decode(Prediction, record.value)
        if not isinstance(prediction, Prediction):
            self.counters["unreadable"] += 1
            return
        failed = set(self._shadow.failed)
        for score in self._shadow.score(prediction):
            self._produce(SHADOW_SCORES, score.card.encode(), encode(score), record.partition)
            self.counters["scores"] += 1
        for name in set(self._shadow.failed) - failed:
            logger.error("challenger %s is left out: %s", name, self._shadow.failed[name])

    def _produce(
        self,
        topic: Topic,
        key: bytes,
        value: bytes,
        partition: int,
        headers: list[tuple[str, str | bytes | None]] | None = None,
    ) -> None:
        name = self._settings.topic_prefix + topic.name
        while True:
            try:
                self._producer.produce(
                    name, value, key, partition=partition, headers=headers or [], on_delivery=self._delivered
                )
            except BufferError:
                self._producer.poll(WAIT_S)
            else:
                return

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._failed.append(error)

    def _settle(self) -> None:
        """Wait until all that was said is written, and only then say that it was read."""
        if self._producer.flush(FLUSH_S) or self._failed:
            raise ShadowError(self._failed[0].str() if self._failed else f"no answer within {FLUSH_S:.0f} s")
        with suppress(KafkaException):  # nothing was read, or a rebalance gave it to another: it is said again
            self._consumer.commit(asynchronous=False)

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()


def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; say what was done. Return the exit status: 0 stopped, 1 Kafka, 2 a challenger."""
    try:
        shadow = Shadow(
            challengers_of(settings), snapshot_records=settings.snapshot_records, now_ns=time.perf_counter_ns
        )
        # Without a key their scores are written, and nothing that could be promoted.
        signer = signer_of(settings) if settings.signing_key_file else None
    except (ShadowError, KeyFileError) as error:
        sys.stderr.write(f"shadow: {error}\n")
        return 2
    try:
        with closing(KafkaLogs(settings, READER)) as logs, closing(ShadowRun(settings, shadow, logs, signer)) as going:
            stop_on_signals(going)
            going.run()
    except (KafkaException, ReadError, ShadowError) as error:
        sys.stderr.write(f"shadow: {said(error)}\n")
        return 1
    sys.stdout.write(json.dumps({**going.counters, "failed": shadow.failed}) + "\n")
    return 0
