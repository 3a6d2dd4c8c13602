"""A backlog through both hops on a real broker, and the pure core alone on the same events."""

import shutil
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

from deploy.system import System, read_topic
from producers.world import World, cases
from schemas.codec import encode
from schemas.settings import Settings
from schemas.topics import DECISIONS, PROFILED, TRANSACTIONS
from streams.app import stages_of
from streams.detector.stage import Event, Record
from streams.detector.state import State

RATE_MIN = 1_500
RATIO_MIN = 0.25
START_MS = 1_700_000_000_000
EVENTS_PER_S = 200
BATCH = 200


def run(*, transactions: int = 200_000, workers: int = 1, seed: int = 1) -> dict[str, Any]:
    """Publish all, then start the workers; measure from the first decision's commit to the last one's."""
    data_dir = Path(tempfile.mkdtemp(prefix="fraud-pipeline-"))
    try:
        with System(data_dir, workers=workers) as system:
            flags = ["--rate", str(EVENTS_PER_S), "--seed", str(seed), "--start-ms", str(START_MS), "--flat-out"]
            system.run("producer", ["producers", "simulate", *flags, "--limit", str(transactions), "--json"])
            before = _core_seconds(system.settings, transactions // 4, seed)
            system.start_workers()
            drained = system.wait_until_drained(120 + transactions / 200)
            for worker in system.workers:
                worker.terminate()
            decided = read_topic(system.broker.bootstrap, DECISIONS.name)
        after = _core_seconds(system.settings, transactions // 4, seed)
    finally:
        shutil.rmtree(data_dir, ignore_errors=True)
    at_ms = sorted(message.timestamp()[1] for message in decided)
    rate = 1000 * (len(at_ms) - 1) / max(1, at_ms[-1] - at_ms[0])
    core_rate = (transactions // 4) / ((before + after) / 2)
    return {
        "transactions": transactions,
        "decisions": len(decided),
        "workers": workers,
        "drained": drained,
        "rate": round(rate),
        "core_rate": round(core_rate),
        "ratio": round(rate / core_rate, 3),
        "bounds": {"rate_min": RATE_MIN, "ratio_min": RATIO_MIN, "decisions": transactions},
        "holds": len(decided) == transactions and rate >= RATE_MIN and rate / core_rate >= RATIO_MIN,
    }


def _core_seconds(settings: Settings, transactions: int, seed: int) -> float:
    """Return how long both hops take in one process without Kafka: bytes in, bytes out, state encoded."""
    world = World(seed=seed, start_ms=START_MS, rate=EVENTS_PER_S)
    card_stage, merchant_stage = stages_of(settings)
    partition_of = card_stage.context.partition_of
    payments = [payment for payment, _ in islice(cases(world), transactions)]
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
