"""The model rebuilt from a long training log: how long it takes, and that what was taken back has taught nothing."""

import time
from collections.abc import Iterator
from random import Random
from typing import Any

from schemas.codec import decode, encode
from schemas.learning import TrainingRecord
from streams.detector.encode import INPUTS
from streams.detector.features import FEATURES
from streams.detector.learner import Learner
from streams.detector.rebuild import rebuilt

SECONDS_MAX = 60.0
SNAPSHOT_BYTES_MAX = 1_000_000
START_MS = 1_600_000_000_000
FRAUD_RATE = 0.03
REVERSED_ONE_IN = 500


def run(*, records: int = 500_000, seed: int = 1) -> dict[str, Any]:
    """Rebuild from so many records as the log holds them; compare with one that was never told what was taken back."""
    log = [encode(record) for record in _records(records, seed)]
    started = time.perf_counter()
    model = rebuilt(map(_read, log)).snapshot(len(log))
    seconds = time.perf_counter() - started
    last = {(record.card, record.transaction_id): record.revision for record in map(_read, log)}
    never = Learner()
    for record in map(_read, log):
        if last[record.card, record.transaction_id] == record.revision:
            never.learn(record)
    equal = never.snapshot(len(log)) == model
    snapshot_bytes = len(encode(model))
    bounds = {"seconds_max": SECONDS_MAX, "snapshot_bytes_max": SNAPSHOT_BYTES_MAX, "equal": True}
    return {
        "records": len(log),
        "taken_back": len(log) - model.records,
        "learned": model.records,
        "equal": equal,
        "seconds": round(seconds, 1),
        "microseconds_a_record": round(1e6 * seconds / len(log), 1),
        "snapshot_bytes": snapshot_bytes,
        "bounds": bounds,
        "holds": equal and seconds <= SECONDS_MAX and snapshot_bytes <= SNAPSHOT_BYTES_MAX and model.records < len(log),
    }


def _read(value: bytes) -> TrainingRecord:
    record = decode(TrainingRecord, value)
    assert isinstance(record, TrainingRecord)
    return record


def _records(number: int, seed: int) -> Iterator[TrainingRecord]:
    """Give records with every feature there is, where some of fraud can be told; a few are taken back later."""
    chance, waiting = Random(seed), list[TrainingRecord]()
    grids = {each.feature: each.grid.fine for each in INPUTS}
    for at in range(number):
        if waiting and at - int(waiting[0].transaction_id[3:]) > number // 10:
            wrong = waiting.pop(0)
            verdict = "legitimate" if wrong.verdict == "fraud" else "fraud"
            yield wrong.model_copy(update={"revision": 1, "verdict": verdict, "reported_at_ms": START_MS + at})
            continue
        is_fraud = chance.random() < FRAUD_RATE
        features = {
            each.name: float(chance.choice(grids.get(each.name, (0.0, 1.0))))
            * (1.5 if is_fraud and not at % 3 else 1.0)
            for each in FEATURES
        }
        record = TrainingRecord(
            transaction_id=f"tx-{at}",
            card=f"card_{chance.randrange(50_000)}",
            merchant=f"mer_{chance.randrange(5_000)}",
            revision=0,
            source="chargeback" if is_fraud else "assumed_legitimate",
            verdict="fraud" if is_fraud else "legitimate",
            weight=1.0 if is_fraud else 3.0,
            features=features,
            occurred_at_ms=START_MS,
            reported_at_ms=START_MS + at,
            positions={"fraud.predictions.v1": (0, at)},
        )
        if at % REVERSED_ONE_IN == 7:
            waiting.append(record)
        yield record
