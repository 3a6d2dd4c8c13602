"""Payments and what was said of them, drawn by chance, and a plain reading of what was known of them at a time."""

from random import Random
from typing import Any, NamedTuple

from consumers.column import Row
from consumers.dataset import RANKS
from consumers.rows import Record
from consumers.warehouse import Warehouse
from schemas.codec import encode
from schemas.dead_letter import DeadLetter, Origin
from schemas.decision import Prediction
from schemas.fields import DAY_MS, Message
from schemas.label import SOURCES_BY_RANK, Label, Outcome
from schemas.sampling import weight_of
from tests.contract.warehouse_rows import AT_MS, SINK, insert, label, outcome, prediction

MATURITY_MS = 30 * DAY_MS


class Told(NamedTuple):
    """A record, and when it was written to Kafka."""

    table: str
    message: Message
    at_ms: int
    offset: int

    def row(self) -> Row:
        record = Record(SINK[self.table].topic.name, 2, self.offset, self.at_ms, b"card_a", encode(self.message))
        made = SINK[self.table].to_row(record)
        assert isinstance(made, tuple), made
        return made


def history(seed: int) -> list[Told]:
    """Return payments, and whatever was said of them, in the order of writing."""
    chance = Random(seed)
    told: list[tuple[int, str, Message]] = []
    for number in range(90):
        paid_ms = AT_MS + chance.randrange(100 * DAY_MS)
        name = f"tx-{number}"
        action, mode = chance.choice(("approve", "review", "block")), chance.choice(("normal", "history"))
        features = {"card_count_1h": number, "merchant_pace": 0.5} | ({"card_amount_rank": 0.25} if number % 2 else {})
        made = prediction(name, event_time_ms=paid_ms, action=action, mode=mode, features=features)
        decided_ms = paid_ms + chance.choice((5, 10 * DAY_MS))
        told += [(decided_ms + again * DAY_MS, "predictions", made) for again in range(chance.choice((1, 1, 2)))]
        for _ in range(chance.choice((0, 0, 1, 3))):
            reported_ms = paid_ms + chance.randrange(60 * DAY_MS)
            said = label(
                chance.randrange(3),
                transaction_id=name,
                occurred_at_ms=paid_ms + chance.choice((0, 1, -60_000)),
                reported_at_ms=reported_ms,
                source=chance.choice(SOURCES_BY_RANK),
                verdict=chance.choice(("fraud", "legitimate", "service_dispute", "withdrawn")),
            )
            told.append((reported_ms + chance.choice((-20, 0, 20)) * DAY_MS, "labels", said))
        if chance.random() < 0.4:
            kind = chance.choice(("authorised", "reversed", "declined_by_issuer"))
            at_ms = paid_ms + chance.randrange(40 * DAY_MS)
            stored_ms = at_ms + chance.choice((5, 20 * DAY_MS))
            told.append((stored_ms, "outcomes", outcome(transaction_id=name, kind=kind, occurred_at_ms=at_ms)))
    # Reversed before any time that is asked for, and told after all of them.
    made = prediction("tx-reversed", event_time_ms=AT_MS, features={"card_count_1h": 3, "merchant_pace": 0.5})
    back = outcome(transaction_id="tx-reversed", kind="reversed", occurred_at_ms=AT_MS + DAY_MS)
    told += [(AT_MS, "predictions", made), (AT_MS + 450 * DAY_MS, "outcomes", back)]
    told.sort(key=lambda each: each[0])
    return [Told(table, message, at_ms, offset) for offset, (at_ms, table, message) in enumerate(told)]


def refusal_of(told: Told) -> Row:
    origin = Origin(
        topic="payments.labels.v1", partition=2, offset=told.offset, timestamp_ms=told.at_ms, key=b"k", value=b"{}"
    )
    letter = DeadLetter(origin=origin, stage="card", reason="from_the_future", detail="")
    key, value, headers = letter.to_record()
    made = SINK["dead_letters"].to_row(Record("d", 0, told.offset, told.at_ms, key, value, tuple(headers)))
    assert isinstance(made, tuple)
    return made


def store(warehouse: Warehouse, told: list[Told]) -> None:
    for table in ("predictions", "labels", "outcomes"):
        if rows := [each.row() for each in told if each.table == table]:
            insert(warehouse, table, *rows)


def predictions_of(told: list[Told]) -> list[Prediction]:
    return [each.message for each in told if isinstance(each.message, Prediction)]


def expected(told: list[Told], refused: set[int], as_of_ms: int) -> dict[str, tuple[Any, ...]]:
    """Return label, source, weight and what censors it of each payment, read record by record."""
    known = [each for each in told if each.at_ms <= as_of_ms]
    found: dict[str, tuple[Any, ...]] = {}
    for paid in predictions_of(known):
        name, at_ms = paid.transaction.transaction_id, paid.transaction.event_time_ms
        latest: dict[str, Label] = {}
        for each in known:
            said = each.message
            if not isinstance(said, Label) or said.transaction_id != name or each.offset in refused:
                continue
            before = latest.get(said.source)
            if said.reported_at_ms <= as_of_ms and (before is None or said.revision > before.revision):
                latest[said.source] = said
        standing = [said for said in latest.values() if said.verdict != "withdrawn"]

        def rank(said: Label) -> tuple[int, int]:
            own = RANKS.index(said.source)
            return (1 if said.verdict == "service_dispute" else own, own)

        counting = max(standing, key=rank, default=None)
        failed = any(
            isinstance(each.message, Outcome)
            and each.message.transaction_id == name
            and each.message.kind in {"reversed", "declined_by_issuer"}
            and each.message.occurred_at_ms <= at_ms + 30 * DAY_MS
            for each in known
        )
        verdict = counting.verdict if counting else ""
        reasons = (
            (verdict in {"fraud", "legitimate"}, ""),
            (verdict == "service_dispute", "service_dispute"),
            (paid.action == "block" and paid.mode != "history", "blocked"),
            (failed, "not_paid"),
            (at_ms > as_of_ms - MATURITY_MS, "immature"),
            (True, "silent"),
        )
        censored = next(reason for holds, reason in reasons if holds)
        truth = {"fraud": 1, "legitimate": 0}.get(verdict)
        weight = None if truth is None or counting is None else weight_of(counting, 3) or 0.0
        found[name] = (truth, counting.source if counting else "", weight, censored)
    return found
