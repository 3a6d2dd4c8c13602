"""The store to alerts: at intervals every rule that is due looks at the store, and what it changes is written to Kafka.

Each change is written once. What fires is read from the topic at the start and after every write that failed, so a
restart repeats nothing, and an alert that ended meanwhile is cleared. A store or a broker that is down delays a look.
Of two processes that look the later one writes, and the other rests for a while, in case that one is gone then.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Protocol

from confluent_kafka import KafkaException

from consumers.kafka_alerts import taken_over
from consumers.kafka_scan import ScanError
from consumers.monitors.board import Board
from consumers.warehouse import Warehouse, WarehouseError, WarehouseUnavailableError
from schemas.connection import said
from schemas.registry import Alert

log = logging.getLogger(__name__)

ROUNDS_AT_REST = 10
"""Rounds that are left out when another process has taken over."""


class Alerts(Protocol):
    """What is needed of `KafkaAlerts`."""

    firing: dict[str, Alert]

    def write(self, alert: Alert) -> None: ...
    def close(self) -> None: ...


@dataclass(slots=True)
class Counters:
    """What one run did."""

    looks: int = 0
    looks_failed: int = 0
    alerts_fired: int = 0
    alerts_cleared: int = 0

    def as_dict(self) -> dict[str, int]:
        """Return the counters by name."""
        return asdict(self)


@dataclass(slots=True)
class ClickhouseToAlerts:
    """One run. `open_alerts` opens the topic for writing, `interval_s` is the time between two rounds."""

    warehouse: Warehouse
    open_alerts: Callable[[], Alerts]
    stop: threading.Event
    wall_ms: Callable[[], int]
    interval_s: float
    board: Board = field(default_factory=Board)
    counters: Counters = field(default_factory=Counters)
    _alerts: Alerts | None = field(init=False, default=None)
    _resting: int = field(init=False, default=0)

    def run(self) -> Counters:
        """Look until told to stop, first after one interval."""
        try:
            while not self.stop.wait(self.interval_s):
                self.round()
        finally:
            if self._alerts:
                self._alerts.close()
        return self.counters

    def round(self) -> None:
        """Let every rule that is due look once."""
        if self._resting:
            self._resting -= 1
            return
        try:
            alerts = self._opened()
            for rule in self.board.due(self.wall_ms()):
                if self.stop.is_set():
                    return
                self.counters.looks += 1
                try:
                    alert = self.board.judge(rule, self.warehouse.query_columns, self.wall_ms())
                except WarehouseUnavailableError as error:
                    self.counters.looks_failed += 1
                    log.warning("%s waits for the store: %s", rule.name, error)
                    return
                except WarehouseError as error:  # one rule that cannot be asked is no reason to ask no other
                    self.counters.looks_failed += 1
                    log.error("%s cannot be looked at: %s", rule.name, error)  # noqa: TRY400 - one line tells it
                    continue
                if alert:
                    alerts.write(alert)
                    self._note(alert)
        except (KafkaException, ScanError) as error:
            if isinstance(error, KafkaException) and taken_over(error):
                self._resting = ROUNDS_AT_REST
                log.warning("another process writes alerts: this one rests for %d rounds", ROUNDS_AT_REST)
            else:
                log.warning("alerts wait for Kafka: %s", said(error))
            if self._alerts:
                self._alerts.close()
                self._alerts = None

    def _opened(self) -> Alerts:
        if self._alerts is None:
            self._alerts = self.open_alerts()
            self.board.firing = dict(self._alerts.firing)
        return self._alerts

    def _note(self, alert: Alert) -> None:
        self.board.settle(alert)
        if alert.state == "firing":
            self.counters.alerts_fired += 1
        else:
            self.counters.alerts_cleared += 1
        told = (alert.kind, alert.state, alert.subject, alert.text, alert.cause)
        log.warning("alert %s %s: %s: %s; likely cause: %s", *told)
