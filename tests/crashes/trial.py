"""One trial: records stored once and in order, the same by sinks that die, and where the views tell them apart."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from consumers.topics_to_clickhouse import TopicsToClickhouse
from consumers.warehouse import Warehouse
from tests.crashes.logs import Logs
from tests.crashes.mistakes import MISTAKES
from tests.crashes.shown import differing, replacing, shown, store_once, tables, views, without_final
from tests.crashes.sink import Group, build_all, settle
from tests.stored import ZEROES, StoreAudit, audit_store

FEW_PAYMENTS = 30
"""Enough for a mistake to show."""
LARGE = ("v_decisions", "v_labels", "v_outcomes")
"""Views of so many rows that a mistake hits one of them."""
SEEDS_MAX = 5
"""Within so many a mistake must show."""


class Trial(NamedTuple):
    """What happened; what the views show otherwise than of records stored once, while all that was stored lies as it
    came; and what they show otherwise than pandas works out, when the engine has merged it.
    """

    seen: Counter[str]
    views: int
    rows: int
    differing: list[str]
    audit: StoreAudit


def tried(store: Warehouse, seed: int) -> Trial:
    """Return what came of a store in which sinks and builds died as the seed will have it."""
    logs, every = Logs(seed), views(store)
    with _unmerged(store):
        group = Group(logs, store, seed, TopicsToClickhouse)
        store_once(logs, store)
        build_all(store)
        clean = shown(store, every)
        empty(store)
        group.run()
        build_all(store)
        different = differing(clean, shown(store, every))
        settle(store)
        different += differing(clean, shown(store, every))
    for table in tables(store):
        store.execute(f"OPTIMIZE TABLE {table} FINAL")
    audit = audit_store(logs.by_topic(), store)
    empty(store)
    return Trial(group.seen, len(every), sum(map(len, clean.values())), different, audit)


def seeds_until_noticed(store: Warehouse, sink: type[TopicsToClickhouse]) -> int | None:
    """Return how many seeds it took until rows were missing, repeated or different, or None where none did."""
    for seed in range(1, SEEDS_MAX + 1):
        logs = Logs(seed, FEW_PAYMENTS)
        Group(logs, store, seed, sink).run()
        found = audit_store(logs.by_topic(), store, LARGE)
        empty(store)
        if any(getattr(found, figure) for figure in ZEROES):
            return seed
    return None


def mistakes_noticed(store: Warehouse) -> dict[str, int | None]:
    """Return for each sink with a mistake how many seeds it took to notice it."""
    return {sink.__name__: seeds_until_noticed(store, sink) for sink in MISTAKES}


def unnoticed_without_final(store: Warehouse) -> dict[str, bool]:
    """Return for each view that hides repeats by FINAL whether it shows the same without, where all is stored twice."""
    logs = Logs(1, FEW_PAYMENTS)
    with _unmerged(store):
        store_once(logs, store)
        build_all(store)
        hiding = {view: sql for view, sql in views(store).items() if without_final(sql)}
        once = {view: shown(store, {view: sql}) for view, sql in hiding.items()}
        store_once(logs, store)
        build_all(store)
        unnoticed = {}
        for view, sql in hiding.items():
            store.execute(without_final(sql) or "")
            unnoticed[view] = not differing(once[view], shown(store, {view: sql}))
            store.execute(replacing(sql))
    empty(store)
    return unnoticed


def empty(store: Warehouse) -> None:
    """Take everything out of the store but its tables."""
    for table in tables(store):
        store.execute(f"TRUNCATE TABLE {table}")


@contextmanager
def _unmerged(store: Warehouse) -> Iterator[None]:
    """Let repeats lie as they came: an engine that has merged them in time proves nothing of the views."""
    store.execute("SYSTEM STOP MERGES")
    yield
    store.execute("SYSTEM START MERGES")
