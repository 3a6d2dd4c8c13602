"""The label join: each label has exactly one end, whatever kills, refuses or usurps the run that was to write it."""

import json
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.labels_to_training import LabelsToTraining
from consumers.waiting import Limits
from consumers.warehouse import WarehouseError
from schemas.label import Label
from schemas.sampling import weight_of
from schemas.topics import DEAD_LETTERS, LABELS_WAITING
from tests.pure.label_log import AT_MS, DAY_MS, TERMS, Fault, Killed, World, label

NOW_MS = AT_MS + 30 * DAY_MS
SOURCES = ("chargeback", "assumed_legitimate", "analyst", "assumed_legitimate")
VERDICTS = ("fraud", "legitimate", "legitimate", "legitimate", "fraud", "legitimate")


def mixed(number: int = 24) -> list[Label]:
    """Labels of every kind."""
    return [label(n, source=SOURCES[n % 4], verdict=VERDICTS[n % 6]) for n in range(number)]


def kept(labels: Sequence[Label]) -> set[str]:
    return {each.transaction_id for each in labels if weight_of(each, TERMS.legitimate_kept_one_in)}


def stored(labels: Sequence[Label], delay_ms: int = 0) -> dict[str, int]:
    """Every third prediction is stored later, by a delay."""
    return {each.transaction_id: NOW_MS + (delay_ms if n % 3 == 0 else 0) for n, each in enumerate(labels)}


def test_every_label_has_its_end_and_is_counted() -> None:
    labels = mixed()
    world = World(labels, stored(labels))
    counters = world.run().counters
    assert Counter(world.ids()) == Counter(kept(labels))
    assert counters.joined == len(kept(labels))
    assert counters.sampled_out == len(labels) - len(kept(labels))
    assert counters.sampled_out > 0
    assert (counters.dead_letters, counters.waiting, counters.requeued) == (0, 0, 0)


def test_a_record_holds_what_was_stored_and_where_it_came_from() -> None:
    kept_one = next(each for each in mixed(200) if each.source == "assumed_legitimate" and weight_of(each, 3) == 3.0)
    world = World([kept_one], stored([kept_one]))
    world.run()
    [write] = world.written
    assert (write.key, write.partition) == (kept_one.transaction_id.encode(), 0)
    assert json.loads(write.value or b"") == {
        **kept_one.model_dump(include={"transaction_id", "card", "merchant", "revision", "verdict", "source"}),
        **kept_one.model_dump(include={"occurred_at_ms", "reported_at_ms"}),
        "weight": 3.0,
        "features": {"card_count_1h": 3.0},
        "probability": 0.25,
        "model_version": "m-1",
        "positions": {"fraud.labels-waiting.v1": [0, 0], "fraud.predictions.v1": [0, 7]},
    }


def test_records_of_a_batch_are_in_order_of_their_report() -> None:
    labels = [label(n, reported_at_ms=AT_MS + DAY_MS + (n * 7 % 20) * 1_000) for n in range(20)]
    world = World(labels, stored(labels))
    world.run(limits=Limits(batch=100, held=300))
    reported = {each.transaction_id: each.reported_at_ms for each in labels}
    in_order = [reported[id_] for id_ in world.ids()]
    assert in_order == sorted(in_order)


def test_a_label_waits_for_its_prediction_and_does_not_spin() -> None:
    labels = [label(n) for n in range(6)]
    world = World(labels, stored(labels, 600_000))
    join = world.join(until_idle_ms=None)
    join.others_idle_ms = lambda: 0
    for _ in range(8_000):  # 800 s
        join._read()
        join._rested(join._step)
    assert Counter(world.ids()) == Counter(kept(labels))
    assert join.counters.joined == 6
    # Back-offs of 1, 2, 4 ... 60 s: of two labels each makes at most 16 moves in ten minutes.
    assert 2 * 10 <= join.counters.requeued <= 2 * 16


def test_a_label_that_waits_holds_back_no_other() -> None:
    labels = [label(n) for n in range(2)]
    world = World(labels, {"tx-1": NOW_MS}, partitions=1)
    join = world.join(until_idle_ms=None)
    for _ in range(600):
        join._read()
        join._rested(join._step)
    moves = join.counters.requeued
    world.stored_from_ms = {f"tx-{n}": NOW_MS for n in range(1, 5)}
    for number in range(2, 5):
        world.commit([], {})
        world._append(0, b"card", label(number).model_dump_json().encode(), ())
        before_ms = world.time_ms
        while f"tx-{number}" not in world.ids():
            join._read()
            join._rested(join._step)
            assert world.time_ms - before_ms <= 1_500
    assert join.counters.requeued <= moves + 3


def test_a_label_without_a_prediction_becomes_a_dead_letter_in_time() -> None:
    world = World([label(0)], {})
    counters = world.run().counters
    assert (counters.waiting, counters.dead_letters, world.written) == (1, 0, [])
    world.time_ms += TERMS.label_wait_ms_max
    counters = world.run().counters
    assert (counters.waiting, counters.dead_letters) == (0, 1)
    assert world.ids(DEAD_LETTERS.name) == ["tx-0"]
    headers = dict(world.written[0].headers)
    assert headers["__connect.errors.exception.class.name"] == b"label_without_prediction"
    assert headers["__connect.errors.topic"] == LABELS_WAITING.name.encode()
    assert headers["__connect.errors.stage"] == b"label-join"


def test_what_is_no_label_becomes_a_dead_letter_at_once() -> None:
    world = World([b"{", label(1), b'{"card": 3}'], {"tx-1": 0})
    counters = world.run().counters
    assert (counters.joined, counters.dead_letters) == (1, 2)
    reasons = [dict(write.headers).get("__connect.errors.exception.class.name") for write in world.written]
    assert Counter(reasons) == {b"not_json": 1, b"invalid": 1, None: 1}


def test_a_store_that_waiting_does_not_mend_ends_the_run() -> None:
    world = World([label(0)], {})
    join = world.join()
    join.warehouse.query_columns = lambda *_: (_ for _ in ()).throw(WarehouseError("no view"))  # type: ignore[method-assign]
    with pytest.raises(WarehouseError, match="no view"):
        join.run()
    assert world.committed == {}


@pytest.mark.parametrize("fault", ["killed before", "killed after", "aborted", "store is down", "usurped"])
def test_one_fault_at_any_call_changes_nothing(fault: Fault) -> None:
    """Law: wherever a single fault strikes, the training log holds the same set, each once."""
    labels = mixed()
    calm = World(labels, stored(labels, 3_000))
    calm.run()
    assert calm.calls > 40
    for call in range(1, calm.calls + 1):
        world = World(labels, stored(labels, 3_000), faults=[(call, fault)])
        world.run()
        assert Counter(world.ids()) == Counter(kept(labels)), f"{fault} at call {call}"


FAULTS = st.lists(
    st.tuples(
        st.integers(1, 60), st.sampled_from(["killed before", "killed after", "aborted", "store is down", "usurped"])
    ),
    max_size=12,
)


@settings(max_examples=150)
@given(faults=FAULTS, delay_ms=st.integers(0, 20_000), number=st.integers(0, 40), batch=st.integers(1, 30))
def test_any_faults_change_nothing(faults: list[tuple[int, Fault]], delay_ms: int, number: int, batch: int) -> None:
    """Law: however many faults, every label ends once: a record, or let go by sampling."""
    labels = mixed(number)
    at, script = 0, []
    for gap, fault in faults:
        at += gap
        script.append((at, fault))
    world = World(labels, stored(labels, delay_ms), faults=script)
    world.run(limits=Limits(batch=batch, held=30))
    while delay_ms and (left := kept(labels) - set(world.ids())):
        world.time_ms += 20_000  # who stores predictions was slower than the quiet time of the join
        world.faults.clear()
        world.run()
        assert left >= kept(labels) - set(world.ids())
    assert Counter(world.ids()) == Counter(kept(labels))


class CommitsFirst(LabelsToTraining):
    """The join with one mistake: positions and records are two transactions."""

    def _commit(self, batch, ends):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        self.log.begin()
        self.log.commit({each.record.partition: each.record.offset + 1 for each in batch})
        LabelsToTraining._commit(self, batch, ends)


def test_a_join_with_a_mistake_is_caught() -> None:
    """Law: the faults of this suite find a join that commits its positions before its records."""
    labels = [label(n) for n in range(9)]
    for call in range(1, 60):
        world = World(labels, stored(labels), faults=[(call, "killed before")])
        made = world.join
        while True:
            join = made()
            wrong = CommitsFirst(
                **{
                    name: getattr(join, name)
                    for name in ("log", "warehouse", "stop", "now_ms", "wall_ms", "terms", "queue")
                },
                until_idle_ms=2_000,
            )
            try:
                wrong.run()
            except Killed:
                continue
            break
        if Counter(world.ids()) != Counter(kept(labels)):
            return
    pytest.fail("it was not caught")
