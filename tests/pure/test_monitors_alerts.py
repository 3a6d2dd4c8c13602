"""The monitors' loop and the webhook: each change once through failures, and a receiver that does not take it."""

import hashlib
import hmac
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Event, Thread
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException

from consumers.alerts_to_webhook import AlertsToWebhook, Webhook
from consumers.clickhouse_to_alerts import ROUNDS_AT_REST, ClickhouseToAlerts
from consumers.monitors.board import Board
from consumers.monitors.finding import Columns, Finding
from consumers.monitors.rules import Probe, Rule, Span
from consumers.rows import Record
from consumers.warehouse import Warehouse, WarehouseError, WarehouseUnavailableError
from schemas.codec import encode
from schemas.registry import Alert
from schemas.settings import Settings

NOW_MS = 1_525_132_800_000
RULES = tuple(
    Rule(
        name,
        Probe(name, lambda columns: Finding(columns["over"][0], 2.0, 1.0, 9, "a", "b", frozenset({"late"}))),
        Span(1),
        1,
    )
    for name in ("one", "two")
)


class Store:
    """A store that says which rules are over, or fails."""

    def __init__(self) -> None:
        self.over: set[str] = set()
        self.fails: dict[str, WarehouseError] = {}

    def query_columns(self, sql: str, _: Mapping[str, Any] | None = None) -> Columns:
        if sql in self.fails:
            raise self.fails[sql]
        return {"over": [sql in self.over]}


class Topic:
    """The alerts topic: a write takes effect or not, and fails or not."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []
        self.fail_before = self.fail_after = False
        self.opened = 0

    def open(self) -> "Topic":
        self.opened += 1
        return self

    @property
    def firing(self) -> dict[str, Alert]:
        firing: dict[str, Alert] = {}
        for alert in self.alerts:
            if alert.state == "firing":
                firing[alert.kind] = alert
            else:
                firing.pop(alert.kind)
        return firing

    def write(self, alert: Alert) -> None:
        if self.fail_before:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        self.alerts.append(alert)
        if self.fail_after:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))

    def close(self) -> None:
        pass


class Fenced(Topic):
    """One that another process has opened meanwhile."""

    fenced = True

    def write(self, alert: Alert) -> None:
        if self.fenced:
            raise KafkaException(KafkaError(KafkaError._FENCED))
        super().write(alert)


class Clock:
    def __init__(self) -> None:
        self.now_ms = NOW_MS

    def __call__(self) -> int:
        self.now_ms += 10
        return self.now_ms


def monitors(store: Store, topic: Topic, clock: Clock) -> ClickhouseToAlerts:
    # The topic's `firing` is worked out, where the port has a plain attribute.
    opened = cast("Any", topic.open)
    return ClickhouseToAlerts(cast("Warehouse", store), opened, Event(), clock, 0.0, Board(RULES))


def states(topic: Topic) -> list[tuple[str, str | None]]:
    return [(alert.kind, alert.state) for alert in topic.alerts]


def test_a_restart_repeats_no_alert_and_clears_what_is_over() -> None:
    """Law: what fires is told by the topic, so each change is written once whoever looks."""
    store, topic, clock = Store(), Topic(), Clock()
    store.over = {"one"}
    first = monitors(store, topic, clock)
    for _ in range(4):
        first.round()
    second = monitors(store, topic, clock)
    for _ in range(4):
        second.round()
    assert states(topic) == [("one", "firing")]
    store.over = {"two"}
    third = monitors(store, topic, clock)
    for _ in range(4):
        third.round()
    assert sorted(states(topic)) == [("one", "cleared"), ("one", "firing"), ("two", "firing")]
    assert third.counters.as_dict() == {"looks": 8, "looks_failed": 0, "alerts_fired": 1, "alerts_cleared": 1}


@pytest.mark.parametrize("when", ["fail_before", "fail_after"])
def test_a_write_of_which_nobody_knows_is_looked_up(when: str) -> None:
    """Law: an alert whose commit failed is written again if it is not there, and not if it is."""
    store, topic, clock = Store(), Topic(), Clock()
    store.over = {"one"}
    running = monitors(store, topic, clock)
    setattr(topic, when, True)
    for _ in range(3):
        running.round()
    setattr(topic, when, False)
    for _ in range(3):
        running.round()
    assert states(topic) == [("one", "firing")]
    assert topic.opened >= 2


def test_who_was_fenced_rests_and_then_looks_again() -> None:
    """Law: of two processes one writes at a time, and none of them ends; nobody is left out for good."""
    store, topic = Store(), Fenced()
    store.over = {"one"}
    running = monitors(store, topic, Clock())
    for _ in range(2 + ROUNDS_AT_REST):
        running.round()
    assert (topic.opened, running.counters.alerts_fired) == (1, 0)
    topic.fenced = False
    running.round()
    assert topic.opened == 2
    assert states(topic) == [("one", "firing")]


def test_a_store_that_is_down_delays_and_one_that_refuses_a_rule_does_not() -> None:
    """Law: no failure of the store ends the monitors, and one rule's does not keep the others from looking."""
    store, topic, clock = Store(), Topic(), Clock()
    store.over = {"one", "two"}
    running = monitors(store, topic, clock)
    store.fails = {"one": WarehouseUnavailableError("down")}
    running.round()
    assert running.counters.looks == 1
    store.fails = {"one": WarehouseError("no such column")}
    for _ in range(3):
        running.round()
    assert states(topic) == [("two", "firing")]


def alert(at_ms: int = NOW_MS) -> Alert:
    return Alert(alert_id="a-1", kind="latency", severity="critical", subject="latency", text="slow", at_ms=at_ms)


@contextmanager
def receiver(*statuses: int) -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    """Give the URL of a receiver that answers so, one after the other, and what it was sent."""
    got: list[tuple[dict[str, str], bytes]] = []
    answers = list(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(answers.pop(0) if len(answers) > 1 else answers[0])
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hooks/very-secret", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_what_is_posted_is_the_alert_signed() -> None:
    """Law: a receiver with the key can tell that body and time are ours, after a try that failed as well."""
    with receiver(503, 204) as (url, got):
        assert Webhook(url, "key", lambda: NOW_MS, backoff_s=0.0).post(alert()) is None
    assert len(got) == 2
    headers, body = got[-1]
    assert json.loads(body)["kind"] == "latency"
    signed = hmac.new(b"key", f"{NOW_MS}.".encode() + body, hashlib.sha256).hexdigest()
    assert headers["Fraud-Signature"] == f"t={NOW_MS},v1={signed}"


@pytest.mark.parametrize(
    ("status", "tries", "wrong"), [(500, 4, "status 500"), (404, 1, "status 404"), (302, 1, "status 302")]
)
def test_a_receiver_that_does_not_take_is_passed_over(status: int, tries: int, wrong: str) -> None:
    """Law: what may pass is tried again, what will not is not, and nobody is redirected."""
    with receiver(status) as (url, got):
        assert Webhook(url, "", lambda: NOW_MS, backoff_s=0.0).post(alert()) == wrong
    assert len(got) == tries
    assert "Fraud-Signature" not in got[0][0]


class Read:
    """Records that are read one by one, and what was committed; the end of them ends the run."""

    def __init__(self, stop: Event, *values: bytes) -> None:
        self._values = list(enumerate(values))
        self._stop = stop
        self.committed: list[int] = []

    def read(self, _: float, records_max: int = 1) -> list[Record]:
        assert records_max == 1
        if not self._values:
            self._stop.set()
            return []
        offset, value = self._values.pop(0)
        return [Record("fraud.alerts.v1", 0, offset, NOW_MS, b"a", value)]

    def commit(self, positions: Mapping[tuple[str, int], int]) -> None:
        self.committed += positions.values()


def test_a_failing_webhook_stops_nothing_and_tells_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    """Law: what cannot be posted, read or is old is counted and passed over, and no line has the URL."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "urllib3")
    stop = Event()
    reader = Read(stop, encode(alert()), b"{", encode(alert(NOW_MS - 2 * 86_400_000)), encode(alert()))
    url = "http://127.0.0.1:9/hooks/very-secret"
    webhook = Webhook(url, "very-secret-key", lambda: NOW_MS, backoff_s=0.0)
    counters = AlertsToWebhook(reader, webhook.post, stop, lambda: NOW_MS).run()
    assert counters.as_dict() == {"webhook_posted": 0, "webhook_failed": 2, "webhook_stale": 1}
    assert reader.committed == [1, 2, 3, 4]
    assert "was not taken by the webhook" in caplog.text
    assert "secret" not in caplog.text + repr(webhook)


def test_the_settings_do_not_show_the_webhook() -> None:
    """Law: neither URL nor key is in a repr."""
    shown = repr(Settings(alert_webhook_url="http://h/very-secret", alert_webhook_key="very-secret"))
    assert "very-secret" not in shown
