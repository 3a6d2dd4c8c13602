"""Silence to labels: of payments of which nobody spoke until they matured, a sample is called `assumed_legitimate`.

A dispute comes weeks after its payment, so only a payment that is as old as disputes become is an example of an honest
one. How old it is, the newest stored payment says, and the wall clock only bounds it: a store that stood still matures
nothing. Everything is censored, and never an example, that was not authorised or was reversed, that we blocked, or of
which anybody said anything at all.

What is published are ordinary labels, the same whenever a step is made again; so the card stage tells those apart that
a run repeats which was killed before it had noted how far it was.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Protocol

from consumers.warehouse import Warehouse, WarehouseUnavailableError
from schemas.fields import DAY_MS
from schemas.label import Label
from schemas.sampling import weight_of

log = logging.getLogger(__name__)

REST_S = 10.0
STEP_MS_MIN, STEP_MS_MAX = 1_000, DAY_MS
PAYMENTS_MIN, PAYMENTS_MAX = 5_000, 50_000
"""Of so many payments a step is to be: time steps grow and shrink by it."""

BOUNDS = """
SELECT
    (SELECT toUnixTimestamp64Milli(max(up_to)) FROM matured) AS up_to_ms,
    (
        SELECT toUnixTimestamp64Milli(max(event_time)) FROM predictions
        WHERE event_time <= fromUnixTimestamp64Milli({now_ms:Int64}, 'UTC')
    ) AS newest_ms
"""

FIRST = """
SELECT count() AS payments, toUnixTimestamp64Milli(min(event_time)) AS first_ms FROM predictions
WHERE event_time >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
    AND event_time < fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC')
"""

MATURED = """
SELECT card, transaction_id, merchant, toUnixTimestamp64Milli(event_time) AS event_time_ms
FROM v_predictions
WHERE event_time >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
    AND event_time < fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC')
    AND (mode = 'history' OR action != 'block')
    AND (card, transaction_id) IN
    (
        SELECT card, transaction_id FROM outcomes
        WHERE kind = 'authorised' AND occurred_at >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC') - INTERVAL 1 DAY
            AND occurred_at < fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC') + INTERVAL 1 DAY
    )
    AND (card, transaction_id) NOT IN
    (
        SELECT card, transaction_id FROM outcomes
        WHERE kind IN ('declined_by_issuer', 'reversed', 'step_up_failed')
            AND occurred_at >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC') - INTERVAL 1 DAY
            AND occurred_at < fromUnixTimestamp64Milli({matured_ms:Int64}, 'UTC')
    )
    AND (card, transaction_id) NOT IN
    (
        SELECT card, transaction_id FROM labels
        WHERE occurred_at >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC') - INTERVAL 1 DAY
            AND occurred_at < fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC') + INTERVAL 1 DAY
    )
ORDER BY event_time, card, transaction_id
"""
"""An outcome or a label belongs to the payment of that card and id within a day; a reversal may come until maturity."""


class Labels(Protocol):
    """Where labels are published."""

    def publish(self, labels: Sequence[Label]) -> bool:
        """Return whether all of them are acknowledged: not where this process is to stop before."""


@dataclass(slots=True)
class Counters:
    """What one run did: payments that had matured in silence, and labels published of them."""

    matured: int = 0
    silence_published: int = 0

    def as_dict(self) -> dict[str, int]:
        """Return the counters by name."""
        return asdict(self)


@dataclass(slots=True)
class ClickhouseToLabels:
    """One run. `maturity_ms` is how old a payment must be; one in `kept_one_in` is labelled, as it will be learned."""

    warehouse: Warehouse
    labels: Labels
    stop: threading.Event
    wall_ms: Callable[[], int]
    maturity_ms: int
    kept_one_in: int
    counters: Counters = field(default_factory=Counters)
    _step_ms: int = field(init=False, default=STEP_MS_MIN)

    def run(self) -> Counters:
        """Label what matures until told to stop.

        Raises
        ------
        WarehouseError
            The store refused to answer in a way that waiting does not mend.
        """
        while not self.stop.is_set():
            try:
                moved = self.step()
            except WarehouseUnavailableError as error:
                log.warning("what has matured waits for the store: %s", error)
                moved = False
            if not moved:
                self.stop.wait(REST_S)
        return self.counters

    def step(self) -> bool:
        """Label what matured in the next stretch of event time; return whether there was one."""
        bounds = self.warehouse.query_columns(BOUNDS, {"now_ms": self.wall_ms()})
        up_to_ms, newest_ms = bounds["up_to_ms"][0] or 0, bounds["newest_ms"][0] or 0
        end_ms = newest_ms - self.maturity_ms
        if end_ms <= up_to_ms:
            return False
        left = self.warehouse.query_columns(FIRST, {"from_ms": up_to_ms, "to_ms": end_ms})
        if not left["payments"][0]:
            return False
        from_ms = max(up_to_ms, left["first_ms"][0])
        to_ms = min(from_ms + self._step_ms, end_ms)
        silent = self._silent(from_ms, to_ms)
        kept = [label for label in silent if weight_of(label, self.kept_one_in) is not None]
        if not self.labels.publish(kept):
            return False
        self.warehouse.insert_columns("matured", {"up_to": [to_ms]})
        self.counters.matured += len(silent)
        self.counters.silence_published += len(kept)
        if len(silent) < PAYMENTS_MIN:
            self._step_ms = min(2 * self._step_ms, STEP_MS_MAX)
        elif len(silent) > PAYMENTS_MAX:
            self._step_ms = max(self._step_ms // 2, STEP_MS_MIN)
        return True

    def _silent(self, from_ms: int, to_ms: int) -> list[Label]:
        """Return the labels of what was authorised and matured without a word, in order of time."""
        span = {"from_ms": from_ms, "to_ms": to_ms, "matured_ms": to_ms + self.maturity_ms}
        found = self.warehouse.query_columns(MATURED, span)
        return [
            Label(
                transaction_id=transaction_id,
                card=card,
                merchant=merchant,
                verdict="legitimate",
                source="assumed_legitimate",
                occurred_at_ms=event_time_ms,
                reported_at_ms=event_time_ms + self.maturity_ms,
            )
            for card, transaction_id, merchant, event_time_ms in zip(*found.values(), strict=True)
        ]
