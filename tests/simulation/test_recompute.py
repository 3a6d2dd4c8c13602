"""What was decided under kills, stalls and fences can be made again from the logs, and a change shows where it must."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.codec import encode
from schemas.dead_letter import REPLAYED_FROM, DeadLetter
from schemas.fields import DAY_MS
from schemas.history import is_history
from schemas.topics import (
    DEAD_LETTERS,
    DECISIONS,
    DUPLICATES,
    LABELS_WAITING,
    PREDICTIONS,
    PROFILED,
    TOPICS,
    TRANSACTIONS,
    Topic,
)
from streams.archive import read_archive, write_archive
from streams.detector.learning_stage import LearningStage
from streams.detector.stage import Record
from streams.documents import shipped_policy, shipped_rates
from streams.recompute.compare import Found, Kind, Scope
from streams.recompute.documents import Documents
from streams.recompute.logs import DeletedError, Logs
from streams.recompute.run import Asked, Recomputation, Stages
from streams.recompute.told import figures_of, told
from tests.planted import (
    MemoryLogs,
    PlantedLogs,
    accepted_labels,
    all_of,
    depending_on,
    labels_differing,
    other_verdict,
)
from tests.simulation import world
from tests.simulation.broker import Broker
from tests.simulation.scheduler import Run
from tests.simulation.workers import Protocol

SEEDS = range(1, 13)
COMPARED = (PROFILED, LABELS_WAITING, DUPLICATES, PREDICTIONS, DECISIONS, DEAD_LETTERS)
"""All that both stages write, beside their state."""


class BrokerLogs:
    """What readers of committed records see of a simulated broker."""

    def __init__(self, broker: Broker, partitions: int) -> None:
        self.broker = broker
        self._partitions = partitions

    def partitions(self, topic: Topic) -> int:
        return topic.partitions(self._partitions)

    def bounds(self, topic: Topic, partition: int) -> tuple[int, int]:
        return 0, len(self.broker.partition(topic, partition).log)

    def stable(self, topic: Topic, partition: int) -> int:
        return self.broker.partition(topic, partition).stable

    def read(self, topic: Topic, partition: int, start: int = 0) -> Iterator[Record]:
        held = self.broker.partition(topic, partition)
        # A reader that wants all there is waits until what was decided is marked.
        for index in reversed(range(len(self.broker.undelivered_markers))):
            if self.broker.undelivered_markers[index][0] is held:
                self.broker.deliver_marker(index)
        held.replicate()
        for stored in held.read(start, len(held.log) + 1)[0]:
            yield Record(
                topic.name, partition, stored.offset, stored.timestamp_ms, stored.key, stored.value, stored.headers
            )


def decided(seed: int) -> tuple[BrokerLogs, int]:
    """Return the logs of a run under faults, and its number of partitions."""
    run = Run(seed, Protocol())
    assert run.violations() == []
    return BrokerLogs(run.broker, run.partitions), run.partitions


def recomputed(logs: Logs, partitions: int, asked: Asked | None = None) -> Found:
    card, merchant = world.stages(partitions)
    stages = Stages(card, merchant, LearningStage(card.context))
    documents = Documents(logs, (shipped_policy(), shipped_rates()))
    return Recomputation(logs, stages, documents, asked or Asked()).run()


def copied(logs: BrokerLogs) -> MemoryLogs:
    records = {
        (topic.name, partition): list(logs.read(topic, partition))
        for topic in TOPICS
        for partition in range(logs.partitions(topic))
    }
    return MemoryLogs(records, logs.partitions(TRANSACTIONS))


@pytest.mark.parametrize("seed", SEEDS)
def test_what_was_decided_is_made_again_to_the_byte(seed: int) -> None:
    """Law: every record of every output is compared, and all are equal; so are positions, counters and sizes."""
    logs, partitions = decided(seed)
    found = recomputed(logs, partitions)
    assert found.holds, found.differences
    for topic in COMPARED:
        # What was replayed from a dead letter was written by whoever replayed it.
        written = [record for record in all_of(logs, topic) if topic is DEAD_LETTERS or not _is_replayed(record)]
        assert found.equal[topic.name] == len(written)
    assert found.equal["positions and counters"] == 2 * partitions


@pytest.mark.parametrize("seed", SEEDS)
def test_one_changed_label_changes_what_depends_on_it(seed: int) -> None:
    """Law: the decisions that come out differently are those whose features differ by the oracle, and no other."""
    logs, partitions = decided(seed)
    for place, label in accepted_labels(logs).items():
        found = recomputed(PlantedLogs(logs, {place: encode(other_verdict(label))}), partitions)
        wrong = sum(number for (topic, _), number in found.wrong.items() if topic == LABELS_WAITING.name)
        assert wrong == labels_differing(logs, label)
        assert found.decisions == depending_on(logs, label)


def test_some_label_matters() -> None:
    """The law above is not about nothing."""
    changed = 0
    for seed in SEEDS:
        logs, _ = decided(seed)
        changed += sum(bool(depending_on(logs, label)) for label in accepted_labels(logs).values())
    assert changed > 5


@pytest.mark.parametrize("topic", [DECISIONS, DUPLICATES, DEAD_LETTERS, LABELS_WAITING], ids=lambda topic: topic.name)
@pytest.mark.parametrize("seed", SEEDS[:6])
def test_what_is_added_or_taken_away_is_found(seed: int, topic: Topic) -> None:
    """Law: a record that is gone is missing, one that nothing led to is extra, one that was altered differs."""
    logs, partitions = decided(seed)
    copy = copied(logs)
    whole = dict(copy.records)
    for key, held in whole.items():
        if key[0] != topic.name or not held:
            continue
        first, last = held[0], held[-1]
        cases: dict[Kind, list[Record]] = {
            "missing": held[1:],
            "extra": [*held, last._replace(offset=last.offset + 1)],
            "differs": [first._replace(value=(first.value or b"") + b" "), *held[1:]],
        }
        for kind, changed in cases.items():
            copy.records = {**whole, key: changed}
            assert dict(recomputed(copy, partitions).wrong) == {(topic.name, kind): 1}


def test_histories_repeats_and_failures_are_among_it() -> None:
    """The laws here are not about nothing: there is each kind of record, and dead letters that were replayed."""
    seen: Counter[str] = Counter()
    for seed in SEEDS:
        logs, _ = decided(seed)
        seen["repeats"] += len(all_of(logs, DUPLICATES))
        seen["histories"] += sum(b'"mode":"history"' in (each.value or b"") for each in all_of(logs, PREDICTIONS))
        seen["replayed"] += sum(map(_is_replayed, all_of(logs, PROFILED)))
        for record in all_of(logs, DEAD_LETTERS):
            letter = DeadLetter.from_record(record.key, record.value, record.headers, record.timestamp_ms)
            seen[f"{letter.stage} {letter.reason}"] += 1
            seen["histories refused"] += is_history(letter.origin.headers)
    wanted = ("repeats", "histories", "replayed", "histories refused", "card core_exception", "merchant core_exception")
    assert [what for what in wanted if not seen[what]] == []


@pytest.mark.parametrize("seed", SEEDS)
def test_repeats_whose_markers_are_gone_are_not_missed(seed: int) -> None:
    """Law: markers are kept for less long than payments; those that retention has deleted are not compared."""
    logs, partitions = decided(seed)
    copy = copied(logs)
    held = {partition: list(logs.read(DUPLICATES, partition)) for partition in range(partitions)}
    for partition, records in held.items():
        for kept, record in enumerate([*records, None], start=-len(records)):
            copy.begins = {(DUPLICATES.name, partition): record.offset if record else 2**40}
            found = recomputed(copy, partitions)
            assert found.holds, found.differences
            others = sum(len(each) for number, each in held.items() if number != partition)
            assert found.equal[DUPLICATES.name] == others - kept


@pytest.mark.parametrize("seed", SEEDS[:10])
def test_a_range_and_one_transaction_compare_only_that(seed: int) -> None:
    """Law: what lies outside is neither equal nor wrong; one transaction brings its records, both sides."""
    logs, partitions = decided(seed)
    half_ms = world.START_MS + 10 * DAY_MS
    early, late, whole = (
        recomputed(logs, partitions, Asked(scope)) for scope in (Scope(to_ms=half_ms), Scope(from_ms=half_ms), Scope())
    )
    name = PREDICTIONS.name
    assert early.holds
    assert late.holds
    assert early.equal[name] + late.equal[name] == whole.equal[name]
    for record in all_of(logs, PREDICTIONS)[:2]:
        transaction_id = _id_in(record)
        one = recomputed(logs, partitions, Asked(Scope(transaction_id=transaction_id)))
        assert one.holds, one.differences
        answered = set() if b'"mode":"history"' in (record.value or b"") else {DECISIONS.name}
        assert {kept["topic"] for kept in one.kept} >= {PREDICTIONS.name} | answered


def _is_replayed(record: Record) -> bool:
    return REPLAYED_FROM in dict(record.headers)


def _id_in(record: Record) -> str:
    return (record.value or b"").split(b'"transaction_id":"')[1].split(b'"')[0].decode()


@pytest.mark.parametrize("seed", SEEDS[:10])
def test_an_archived_state_is_a_beginning(seed: int, tmp_path: Path) -> None:
    """Law: from a state that was archived in the middle all that came after is the same, though its inputs are gone."""
    run = Run(seed, Protocol())
    for _ in range(150):
        run.act()
    logs = BrokerLogs(run.broker, run.partitions)
    write_archive(logs, run.stages, tmp_path / "state", "simulated")
    assert run.violations() == []
    starts = read_archive(tmp_path / "state")
    found = recomputed(logs, run.partitions, Asked(starts=starts))
    assert found.holds, found.differences
    copy = copied(logs)
    for (_, partition), start in starts.items():
        copy.begins |= {(topic, partition): at for topic, at in start.position.next.items()}
    assert recomputed(copy, run.partitions, Asked(starts=starts)).equal == found.equal
    if any(copy.begins.values()):
        with pytest.raises(DeletedError, match="--state DIR"):
            recomputed(copy, run.partitions)


def test_a_state_that_was_altered_is_refused(tmp_path: Path) -> None:
    """Law: a file that is not what the manifest says is no beginning."""
    logs, partitions = decided(1)
    write_archive(logs, world.stages(partitions), tmp_path / "state", "simulated")
    file = tmp_path / "state" / "card-0.jsonl.gz"
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(ValueError, match="not what the manifest says"):
        read_archive(tmp_path / "state")


def test_who_decided_is_told_and_whether_it_matters() -> None:
    """Law: other code than this is named with what it decided; that it says the same, or that it does not."""
    logs, partitions = decided(1)
    same = figures_of(recomputed(logs, partitions), code_here="newer", libraries_here={})
    number = len(all_of(logs, PREDICTIONS))
    assert same["notes"] == [f"decided by other code than newer: {number} by simulated; and this code says the same"]
    held = next(held for (topic, _), held in copied(logs).records.items() if topic == DECISIONS.name and held)
    values = {(DECISIONS.name, held[0].partition, held[0].offset): b"{}"}
    other = figures_of(recomputed(PlantedLogs(logs, values), partitions), code_here="newer", libraries_here={})
    assert other["notes"][0].endswith("which may be why results differ")
    assert told(other).endswith("different: 2 decisions")
