"""Alerts to a webhook: each alert of the topic, whoever raised it, is posted as JSON.

A receiver that answers late, wrongly or not at all is asked a few times more, and then passed over: the alert is in its
topic and in the store all the same. What was posted and not committed before a crash is posted again: a receiver tells
repeats by `alert_id`.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Protocol

import urllib3

from consumers.monitors.notice import STALE_MS, body_of, headers_of
from consumers.rows import Record
from schemas.codec import DecodeFailure, decode
from schemas.registry import Alert

log = logging.getLogger(__name__)

READ_TIMEOUT_S = 0.5
CONNECT_S, ANSWER_S = 3.0, 5.0
RETRIES = 3
BACKOFF_S = 0.5
RETRY_AFTER_S_MAX = 20
"""Longest wait that a receiver may ask for: a group's member must read every five minutes."""
RETRIED = (408, 429, 500, 502, 503, 504)

# They log the path of what is tried again, and in the path of a webhook is its secret. Each by its own name, because
# the store's library sets the level of their parent when it is loaded.
for _name in ("connectionpool", "poolmanager", "util.retry"):
    logging.getLogger(f"urllib3.{_name}").setLevel(logging.CRITICAL)


class Reader(Protocol):
    """What is needed of a `KafkaReader`."""

    def read(self, timeout_s: float, records_max: int = ...) -> list[Record]: ...
    def commit(self, positions: Mapping[tuple[str, int], int]) -> None: ...


class Webhook:
    """A receiver by its URL, which no error and no repr tells. `key` signs what is posted, where there is one."""

    def __init__(self, url: str, key: str, wall_ms: Callable[[], int], *, backoff_s: float = BACKOFF_S) -> None:
        self._url = url
        self._key = key.encode()
        self._wall_ms = wall_ms
        self._pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=CONNECT_S, read=ANSWER_S),
            retries=urllib3.Retry(
                RETRIES,
                redirect=0,
                allowed_methods=frozenset({"POST"}),
                status_forcelist=RETRIED,
                backoff_factor=backoff_s,
                raise_on_status=False,
                raise_on_redirect=False,
                retry_after_max=RETRY_AFTER_S_MAX,
            ),
        )

    def post(self, alert: Alert) -> str | None:
        """Post an alert; return what went wrong, if anything did, without URL and key."""
        body = body_of(alert)
        try:
            answer = self._pool.request(
                "POST", self._url, body=body, headers=headers_of(body, self._key, self._wall_ms())
            )
        except urllib3.exceptions.MaxRetryError as error:
            return type(error.reason).__name__
        except urllib3.exceptions.HTTPError as error:
            return type(error).__name__
        return None if 200 <= answer.status < 300 else f"status {answer.status}"


@dataclass(slots=True)
class Counters:
    """What one run did."""

    webhook_posted: int = 0
    webhook_failed: int = 0
    webhook_stale: int = 0

    def as_dict(self) -> dict[str, int]:
        """Return the counters by name."""
        return asdict(self)


@dataclass(slots=True)
class AlertsToWebhook:
    """One run: alerts are posted in order, one after the other."""

    reader: Reader
    post: Callable[[Alert], str | None]
    stop: threading.Event
    wall_ms: Callable[[], int]
    counters: Counters = field(default_factory=Counters)

    def run(self) -> Counters:
        """Post alerts until told to stop."""
        while not self.stop.is_set():
            for record in self.reader.read(READ_TIMEOUT_S, 1):
                self._take(record)
                self.reader.commit({(record.topic, record.partition): record.offset + 1})
        return self.counters

    def _take(self, record: Record) -> None:
        alert = decode(Alert, record.value)
        if isinstance(alert, DecodeFailure):
            log.error("cannot read %s, partition %d, offset %d", record.topic, record.partition, record.offset)
        elif self.wall_ms() - alert.at_ms > STALE_MS:
            self.counters.webhook_stale += 1
        elif wrong := self.post(alert):
            self.counters.webhook_failed += 1
            log.warning("alert %s was not taken by the webhook: %s", alert.alert_id, wrong)
        else:
            self.counters.webhook_posted += 1
