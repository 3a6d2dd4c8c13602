"""A worker started on a large state: time to its first decision, memory a card, what compaction leaves of the log."""

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from deploy.meter import Meter
from deploy.read_back import each_record
from deploy.system import System
from schemas.codec import decode, encode
from schemas.connection import connection
from schemas.decision import Prediction
from schemas.topics import CARD_STATE, PREDICTIONS, TRANSACTIONS
from schemas.transaction import Transaction
from streams.detector.profile import CARD
from tests.bench.state_log import fill, lives, log_bytes, resident_bytes

FIRST_DECISION_S_MAX = 45
BYTES_A_CARD_MAX = 1_500
LOG_OVER_LIVE_MAX = 3
PAYMENTS_EACH = 10
ASKED = 200
"""Cards that pay while the worker starts: what is decided of them shows that their state was restored."""
READY_S_MAX = 300
COMPACT_S_MAX = 120
SHORT = {"segment.ms": "3000", "max.compaction.lag.ms": "5000"}
"""For the time of the benchmark: what takes minutes by the table of topics takes seconds."""


def run(*, cards: int = 1_000_000, rounds: int = 2) -> dict[str, Any]:
    """Write the state of so many cards so many times over, let it be compacted, and start a worker on it."""
    data_dir = Path(tempfile.mkdtemp(prefix="fraud-cold-start-"))
    try:
        with System(data_dir, workers=1) as system:
            empty_bytes = _resident_when_empty(system)
            _shorten(system)
            now_ms = time.time_ns() // 1_000_000
            names = [f"card_{number:08x}" for number in range(cards)]
            pieces = lives(CARD, payments=PAYMENTS_EACH, until_ms=now_ms)
            filled = fill(system.settings, CARD_STATE, names, pieces, rounds=rounds)
            written = log_bytes(system.broker.data_dir, CARD_STATE.name)
            compacted = _compacted(system)
            held = sum(
                len(each.key()) + len(each.value() or b"") for each in each_record(system.settings, CARD_STATE.name)
            )
            first_s, decided_s, resident, most = _started(system, names, now_ms)
            told = [
                line
                for line in system.workers[-1].log_path.read_text().splitlines()
                if "restor" in line or "opened" in line
            ]
            counts = _counts(system)
    finally:
        shutil.rmtree(data_dir, ignore_errors=True)
    a_card = (resident - empty_bytes) / cards
    over_live = held / filled.live_bytes
    asked = min(ASKED, cards)
    return {
        "cards": cards,
        "records_written": filled.records,
        "live_bytes_a_card": round(filled.live_bytes / cards),
        "log_bytes_written": written,
        "log_bytes_compacted": compacted,
        "log_bytes_unpacked": held,
        "log_over_live": round(over_live, 2),
        "first_decision_s": round(first_s, 1),
        "all_asked_decided_s": round(decided_s, 1),
        "resident_bytes_empty": empty_bytes,
        "resident_bytes": resident,
        "resident_bytes_most": most,
        "bytes_a_card": round(a_card),
        "asked": asked,
        "asked_with_their_history": sum(count == PAYMENTS_EACH + 1 for count in counts),
        "told": [line.partition("] ")[2] for line in told][-6:],
        "bounds": {
            "first_decision_s": FIRST_DECISION_S_MAX,
            "bytes_a_card": BYTES_A_CARD_MAX,
            "log_over_live": LOG_OVER_LIVE_MAX,
            "asked_with_their_history": asked,
        },
        "holds": first_s <= FIRST_DECISION_S_MAX
        and a_card <= BYTES_A_CARD_MAX
        and over_live <= LOG_OVER_LIVE_MAX
        and counts == [PAYMENTS_EACH + 1] * asked,
    }


def _resident_when_empty(system: System) -> int:
    system.start_workers()
    assert system.wait_until_ready(READY_S_MAX)
    worker = system.workers[-1]
    assert worker.pid
    size = resident_bytes(worker.pid)
    worker.terminate()
    return size


def _shorten(system: System) -> None:
    admin = AdminClient(connection(system.settings))
    entries = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in SHORT.items()]
    for future in admin.incremental_alter_configs(
        [ConfigResource(ResourceType.TOPIC, CARD_STATE.name, incremental_configs=entries)]
    ).values():
        future.result(30)


def _compacted(system: System) -> int:
    """Wait until the log shrinks no more, and return its bytes. Each partition gets a record that ends its segment."""
    producer = Producer(connection(system.settings))
    deadline, sizes = time.monotonic() + COMPACT_S_MAX, [0] * 5
    while time.monotonic() < deadline and not (sizes[-1] and max(sizes[-5:]) <= 1.01 * min(sizes[-5:])):
        time.sleep(4)
        for partition in range(system.settings.partitions):
            producer.produce(CARD_STATE.name, None, b"card_nobody/p/0", partition)
        producer.flush(30)
        sizes.append(log_bytes(system.broker.data_dir, CARD_STATE.name))
    return sizes[-1]


def _started(system: System, names: list[str], now_ms: int) -> tuple[float, float, int, int]:
    """Return seconds to the first decision and to the last, and the worker's memory then and at most."""
    meter = Meter(system.settings)
    producer = Producer({**connection(system.settings), "partitioner": "murmur2_random"})
    asked = names[:: max(1, len(names) // ASKED)][:ASKED]
    for number, card in enumerate(asked):
        payment = Transaction(
            transaction_id=f"asked-{number}",
            card=card,
            merchant="mer_b",
            amount_minor=1_000,
            currency="EUR",
            event_time_ms=now_ms + number,
        )
        producer.produce(TRANSACTIONS.name, encode(payment), card.encode())
    assert producer.flush(30) == 0
    started = time.monotonic()
    system.start_workers()
    first_s = 0.0
    while meter.decided < len(asked) and time.monotonic() < started + READY_S_MAX:
        time.sleep(0.02)
        if meter.decided and not first_s:
            first_s = time.monotonic() - started
    decided_s = time.monotonic() - started
    meter.close()
    worker = system.workers[-1]
    assert worker.pid
    return first_s or float("inf"), decided_s, resident_bytes(worker.pid), resident_bytes(worker.pid, "VmHWM")


def _counts(system: System) -> list[int]:
    predictions = [decode(Prediction, each.value()) for each in each_record(system.settings, PREDICTIONS.name)]
    return [int(each.features.get("card_count_30d", 0)) for each in predictions if isinstance(each, Prediction)]
