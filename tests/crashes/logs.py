"""Logs of every topic that the store keeps, from a seed: what was said, said again, said otherwise, and refused."""

import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from random import Random
from types import SimpleNamespace
from typing import Any

from consumers.rows import SINKS, Record
from schemas.codec import encode
from schemas.dead_letter import DeadLetter, DeadLetterReason, Origin
from schemas.decision import Prediction
from schemas.fields import HOUR_MS, Message
from schemas.label import Label
from schemas.registry import Alert
from schemas.topics import (
    ALERTS,
    AUDIT,
    DEAD_LETTERS,
    DECISIONS,
    LABELS,
    LABELS_WAITING,
    MODELS,
    OUTCOMES,
    PREDICTIONS,
    SHADOW_SCORES,
    TRAINING,
    Topic,
)
from tests.contract.views_data import labels, outcomes, payments
from tests.contract.warehouse_rows import AT_MS, alert, audit, decision, model, shadow_score, training

PARTITIONS = 3
PAYMENTS = 60
AGAIN = 0.15
"""How many records are followed by another one of the same thing, which must not count."""
HOURS = (-1, 0, 1, 7, 25, 26, 47, 48)
"""Hours after the first that payments lie in: with few of them, few have to be built."""
RULES = ("latency", "store", "payments")

Place = tuple[str, int]
"""Topic and partition."""


class Logs:
    """The records of each partition, in order."""

    def __init__(self, seed: int, payments_of: int = PAYMENTS) -> None:
        self.records: dict[Place, list[Record]] = defaultdict(list)
        self._chance = chance = Random(seed)
        self._paid = [self._within_hours(each) for each in payments(chance, payments_of)]
        self._labels = labels(chance, self._paid, payments_of)
        self._answers()
        self._said()
        self._governed()

    def by_topic(self) -> Mapping[Topic, Sequence[Any]]:
        """Return the records as a client gives them, partition by partition."""
        return {
            sink.topic: [
                _as_read(record)
                for (topic, _), records in sorted(self.records.items())
                if topic == sink.topic.name
                for record in records
            ]
            for sink in SINKS
        }

    def _within_hours(self, made: Prediction) -> Prediction:
        at_ms = AT_MS + self._chance.choice(HOURS) * HOUR_MS + made.transaction.event_time_ms % HOUR_MS
        return made.model_copy(update={"transaction": made.transaction.model_copy(update={"event_time_ms": at_ms})})

    def _write(
        self, topic: Topic, by: str, at_ms: int, said: Message | bytes, headers: Sequence[tuple[str, bytes | None]] = ()
    ) -> Record:
        """Append a record to the partition of `by`: what is one thing lies in one partition."""
        partition = zlib.crc32(by.encode()) % topic.partitions(PARTITIONS)
        log = self.records[topic.name, partition]
        value = said if isinstance(said, bytes) else encode(said)
        log.append(Record(topic.name, partition, len(log), at_ms, by.encode(), value, tuple(headers)))
        return log[-1]

    def _again(self) -> bool:
        return self._chance.random() < AGAIN

    def _answers(self) -> None:
        """Write predictions, decisions and shadow scores: some again with another content, some after a fallback."""
        chance = self._chance
        for number, each in enumerate(self._paid):
            of, shop = each.transaction, each.transaction.merchant
            at_ms = of.event_time_ms + chance.randrange(1, 4_000)
            self._write(PREDICTIONS, shop, at_ms, each)
            if self._again():
                features = {**each.features, "count": 600}
                changed = each.model_copy(update={"action": "step_up", "score": 1, "features": features})
                self._write(PREDICTIONS, shop, at_ms + 70_000, changed)
            names: dict[str, Any] = {"transaction_id": of.transaction_id, "card": of.card}
            if each.mode != "history":
                answer = decision(**names, event_time_ms=of.event_time_ms, action=each.action, score=each.score)
                failed = answer.model_copy(update={"action": "review", "mode": "fallback", "score": None})
                answers = [answer, failed][: 1 + self._again()]
                for one in chance.sample(answers, len(answers)):
                    self._write(DECISIONS, shop, at_ms, one)
            for challenger in ("cells", "leaves")[: chance.randrange(3)]:
                for _ in range(1 + self._again()):
                    numbers = {"log_odds": chance.gauss(-3, 2), "score_us": chance.random() * 9, "records": number}
                    said = shadow_score(**names, event_time_ms=of.event_time_ms, challenger=challenger, **numbers)
                    self._write(SHADOW_SCORES, shop, at_ms + 500, said)
        for _ in range(8):
            card = chance.choice((None, "card_1"))
            self._write(DECISIONS, str(card), AT_MS, decision(action="invalid", card=card, event_time_ms=None))

    def _said(self) -> None:
        """Write labels, of which some are unreadable and some refused, outcomes, and what was learned."""
        chance = self._chance
        for at, each in enumerate(self._labels):
            written = self._write(LABELS, each.card, AT_MS + at, each)
            if chance.random() < 0.05:
                self._write(LABELS, each.card, AT_MS + at, b'{"card": ')
            if chance.random() < 0.1:
                self._letter(written.topic, written.partition, written.offset, each, "card", "invalid")
            elif chance.random() < 0.1:
                self._letter(LABELS_WAITING.name, 0, at, each, "label-join", "label_without_prediction")
            elif each.verdict in {"fraud", "legitimate"} and chance.random() < 0.5:
                self._learned(each, AT_MS + at)
        for at, done in enumerate(outcomes(chance, self._paid)):
            for _ in range(1 + self._again()):
                self._write(OUTCOMES, done.card, AT_MS + at, done)

    def _learned(self, each: Label, at_ms: int) -> None:
        names = {"transaction_id": each.transaction_id, "card": each.card, "source": each.source}
        for weight in (3.0, 1.0)[: 1 + self._again()]:
            learned = training(
                each.revision,
                **names,
                verdict=each.verdict,
                weight=weight,
                occurred_at_ms=each.occurred_at_ms,
                reported_at_ms=each.reported_at_ms,
            )
            self._write(TRAINING, each.card, at_ms, learned)

    def _letter(self, topic: str, partition: int, offset: int, of: Label, stage: str, reason: DeadLetterReason) -> None:
        key, value = of.card.encode(), encode(of)
        origin = Origin(topic=topic, partition=partition, offset=offset, timestamp_ms=AT_MS, key=key, value=value)
        _, content, headers = DeadLetter(origin=origin, stage=stage, reason=reason, detail="why").to_record()
        self._write(DEAD_LETTERS, of.card, AT_MS + offset, content or b"", headers)

    def _governed(self) -> None:
        """Write models, answers to commands, and alerts of rules that fire, are over, and fire again."""
        for number in range(8):
            for records in (number, 99)[: 1 + number % 2]:
                self._write(MODELS, "model", AT_MS + number, model(f"m-{number}", records=records))
            became: dict[str, Any] = {"outcome": "done", "reason": None} if number % 2 else {"outcome": "refused"}
            told = audit(**became, control_id=f"c-{number}", control_offset=number, mode="follow")
            self._write(AUDIT, "command", AT_MS + number * HOUR_MS, told)
        for number in range(27):
            at_ms = AT_MS + number * HOUR_MS
            kind, state = RULES[number % 3], ("firing", "cleared")[number // 3 % 2]
            fired_ms = at_ms - 3 * HOUR_MS * (state == "cleared")
            self._alert(kind, state, fired_ms, at_ms)
            for text in ("first", "second")[: 1 + self._again()]:
                self._write(ALERTS, "alert", at_ms, alert(number).model_copy(update={"text": text}))

    def _alert(self, kind: str, state: str, fired_ms: int, at_ms: int) -> None:
        for value in (0.5, 0.75)[: 1 + self._again()]:
            self._write(
                ALERTS,
                "alert",
                at_ms,
                Alert.model_validate(
                    {
                        "alert_id": f"{kind}-{fired_ms}-{state}",
                        "kind": kind,
                        "severity": "warning",
                        "subject": kind,
                        "text": "it is so",
                        "at_ms": at_ms,
                        "state": state,
                        "fired_at_ms": fired_ms,
                        "value": value,
                    }
                ),
            )


def _as_read(record: Record) -> Any:
    """Return a record with the methods of the client's message."""
    return SimpleNamespace(
        key=lambda: record.key,
        value=lambda: record.value,
        headers=lambda: list(record.headers),
        timestamp=lambda: (1, record.timestamp_ms),
        partition=lambda: record.partition,
        offset=lambda: record.offset,
    )
