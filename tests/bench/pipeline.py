"""A backlog through both hops on a real broker, and the pure core alone on the same events, both with a model."""

import shutil
import tempfile
import time
from bisect import bisect_left
from itertools import islice
from pathlib import Path
from typing import Any

from deploy.read_back import read_topic
from deploy.system import System
from producers.world import World, cases
from schemas.codec import encode
from schemas.fields import DAY_MS
from schemas.label import Label
from schemas.learning import ModelVersion
from schemas.recordings.stream import Stream
from schemas.settings import Settings
from schemas.topics import DECISIONS, PROFILED, TRANSACTIONS
from schemas.transaction import Transaction
from streams.app import DECIDING, stages_of
from streams.detector.backtest import Backtest
from streams.detector.decide import InForce
from streams.detector.scorer import scorer_of
from streams.detector.stage import EntityStage, Event, Record
from streams.detector.state import State
from streams.documents import shipped_policy, shipped_rates
from tests.signed import publish_champion

RATE_MIN = 1_500
RATIO_MIN = 0.25
START_MS = 1_700_000_000_000
EVENTS_PER_S = 200
BATCH = 200
TAUGHT = 6_000
"""Simulated payments whose labels the model has learned before anything is measured."""


def run(*, transactions: int = 200_000, workers: int = 1, seed: int = 1) -> dict[str, Any]:
    """Publish all, then start the workers; measure from the first decision's commit to the last one's.

    `whole_rate` counts from the card hop's first commit, and `ahead` is what that hop had written before the first
    decision: where it is not small, `rate` is that of the merchant hop alone.
    """
    model = taught(seed)
    data_dir = Path(tempfile.mkdtemp(prefix="fraud-pipeline-"))
    try:
        with System(data_dir, workers=workers) as system:
            flags = ["--rate", str(EVENTS_PER_S), "--seed", str(seed), "--start-ms", str(START_MS), "--flat-out"]
            system.run("producer", ["producers", "simulate", *flags, "--limit", str(transactions), "--json"])
            publish_champion(system, model)
            before = _core_seconds(system.settings, model, transactions // 4, seed)
            system.start_workers()
            drained = system.wait_until_drained(120 + transactions / 200)
            for worker in system.workers:
                worker.terminate()
            decided = read_topic(system.settings, DECISIONS.name)
            profiled = read_topic(system.settings, PROFILED.name)
        after = _core_seconds(system.settings, model, transactions // 4, seed)
    finally:
        shutil.rmtree(data_dir, ignore_errors=True)
    at_ms = sorted(message.timestamp()[1] for message in decided)
    rate = 1000 * (len(at_ms) - 1) / max(1, at_ms[-1] - at_ms[0])
    profiled_ms = sorted(message.timestamp()[1] for message in profiled)
    whole_rate = 1000 * len(at_ms) / max(1, at_ms[-1] - profiled_ms[0])
    by_the_model = sum(b'"mode":"normal"' in message.value() for message in decided)
    core_rate = (transactions // 4) / ((before + after) / 2)
    return {
        "transactions": transactions,
        "decisions": len(decided),
        "by_the_model": by_the_model,
        "workers": workers,
        "drained": drained,
        "rate": round(rate),
        "whole_rate": round(whole_rate),
        "ahead": bisect_left(profiled_ms, at_ms[0]),
        "core_rate": round(core_rate),
        "ratio": round(rate / core_rate, 3),
        "bounds": {
            "rate_min": RATE_MIN,
            "ratio_min": RATIO_MIN,
            "decisions": transactions,
            "by_the_model": transactions,
        },
        "holds": len(decided) == by_the_model == transactions and rate >= RATE_MIN and rate / core_rate >= RATIO_MIN,
    }


def taught(seed: int) -> ModelVersion:
    """Return a model that has learned enough to decide, from simulated payments and all their labels."""
    world = World(seed=seed, start_ms=START_MS - 30 * DAY_MS, rate=1, fraud_rate=0.05)
    backtest = Backtest(shipped_rates(), kept_one_in=1, snapshot_records=TAUGHT)
    for _, event in Stream(islice(cases(world), TAUGHT), labels_to_the_end=True):
        if isinstance(event, Transaction) and (features := backtest.features(event)) is not None:
            backtest.keep(event, backtest.predict(features).cells)
        elif isinstance(event, Label) and (example := backtest.report(event)):
            backtest.learn(example)
    return backtest.learner.snapshot(0)


def _core_seconds(settings: Settings, model: ModelVersion, transactions: int, seed: int) -> float:
    """Return how long both hops take in one process without Kafka: bytes in, bytes out, state encoded."""
    world = World(seed=seed, start_ms=START_MS, rate=EVENTS_PER_S)
    card_stage, merchant_stage = stages_of(
        settings, DECIDING, InForce(shipped_policy(), shipped_rates(), scorer_of(model))
    )
    assert isinstance(card_stage, EntityStage)
    assert isinstance(merchant_stage, EntityStage)
    partition_of = card_stage.context.partition_of
    payments = [case.transaction for case in islice(cases(world), transactions)]
    records = [
        Record(TRANSACTIONS.name, partition_of(key), number, payment.event_time_ms, key, encode(payment))
        for number, payment in enumerate(payments)
        for key in [payment.card.encode()]
    ]
    states = {stage.name: State(stage.kind) for stage in (card_stage, merchant_stage)}
    started = time.perf_counter()
    for record in records:
        event = card_stage.read(record)
        assert isinstance(event, Event)
        positions = {TRANSACTIONS.name: (record.partition, record.offset), "payments.labels.v1": (record.partition, 0)}
        for output in card_stage.step(states["card"], event, positions).outputs:
            assert output.key is not None
            hop = Record(PROFILED.name, partition_of(output.key), record.offset, 0, output.key, output.value)
            profiled = merchant_stage.read(hop)
            assert isinstance(profiled, Event)
            merchant_stage.step(states["merchant"], profiled, {PROFILED.name: (hop.partition, hop.offset)})
        if record.offset % BATCH == 0:
            for state in states.values():
                state.take_changed_pieces()
    return time.perf_counter() - started
