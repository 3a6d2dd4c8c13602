"""The page without a store and without a browser: what it answers, how it keeps answers, what it never says."""

import asyncio
import hashlib
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import pytest

from consumers.page.app import PANELS, build_app
from consumers.page.caught import Caught
from consumers.page.kept import Kept
from consumers.page.stored import CONTENTS
from consumers.page.stream import Freshness
from consumers.warehouse import WarehouseError
from tests.house.tree import ROOT

PAGE = ROOT / "consumers" / "page"
MARKUP = '<script src="//evil.example/x.js"></script>'


class Store:
    """A store of one decision and one dead letter, which hold markup wherever they can; it counts what is asked."""

    def __init__(self, *, broken: bool = False) -> None:
        self.broken = broken
        self.asked: list[str] = []

    def __call__(self, sql: str, _: Mapping[str, Any] | None) -> Mapping[str, Sequence[Any]]:
        self.asked.append(sql)
        if self.broken:
            raise WarehouseError(f"Table secret does not exist {MARKUP}")
        if "reason_texts" in sql:
            return {name: [value] for name, value in ALERT.items()}
        if "detail" in sql:
            letter = {"sent_ms": 0, "topic": MARKUP, "partition": 0, "offset": 1, "reason": MARKUP, "detail": MARKUP}
            return {name: [value] for name, value in letter.items()}
        if sql in {told for _, told in CONTENTS}:
            return {"n": [1], "newest_ms": [0]}
        if "newest_ms FROM decisions" in sql:
            return {"decisions": [0], "newest_ms": [0]}
        return {"labels": [0], "payments": [0], "first_ms": [0], "last_ms": [0]} if "min(" in sql else {"action": []}


ALERT: Mapping[str, Any] = {
    "event_ms": 0,
    "action": "block",
    "mode": "normal",
    "transaction_id": MARKUP,
    "card": MARKUP,
    "merchant": MARKUP,
    "amount_minor": 1_999,
    "currency": "EUR",
    "score": None,
    "reason_texts": [MARKUP],
    "model_version": MARKUP,
    "record_partition": 0,
    "record_offset": 0,
}


def asked(store: Store, *paths: str, method: str = "GET", host: str = "127.0.0.1") -> list[httpx.Response]:
    """What one application answers to these requests, all at once."""

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(build_app(store))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            return await asyncio.gather(*(client.request(method, path) for path in paths))

    return asyncio.run(ask())


def test_what_comes_from_outside_is_escaped() -> None:
    """Law: no text of a payment, a reason or a dead letter becomes markup."""
    for answer in asked(Store(), "/panels/alerts", "/panels/stored"):
        assert answer.status_code == 200
        assert "evil.example" in answer.text
        assert "<script" not in answer.text


@pytest.mark.parametrize("path", ["/", "/panels/rate", "/charts/stream.json", "/healthz", "/static/page.js", "/none"])
def test_every_answer_forbids_what_is_not_ours(path: str) -> None:
    """Law: the browser is told to load, run and frame nothing from elsewhere, and to keep no figure."""
    [answer] = asked(Store(), path)
    assert answer.headers["content-security-policy"].startswith("default-src 'self';")
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == ("no-cache" if path.startswith("/static/") else "no-store")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_changed(method: str) -> None:
    """Law: only GET and HEAD are answered."""
    store = Store()
    answers = asked(store, "/", "/panels/rate", "/charts/stream.json", "/healthz", "/static/page.js", method=method)
    assert {answer.status_code for answer in answers} == {405}
    assert store.asked == []


def test_another_name_is_refused() -> None:
    """Law: a site whose name was made to point at this machine reads nothing."""
    store = Store()
    assert [answer.status_code for answer in asked(store, "/", "/panels/alerts", host="evil.example")] == [400, 400]
    assert store.asked == []


def test_what_is_not_there_is_not_found() -> None:
    """Law: names outside the tables of panels and charts are not looked up anywhere."""
    paths = ("/panels/index", "/panels/..%2fserve.py", "/charts/model.json", "/static/..%2fserve.py")
    assert {answer.status_code for answer in asked(Store(), *paths)} == {404}


def test_a_store_that_does_not_answer_is_told_in_words(caplog: pytest.LogCaptureFixture) -> None:
    """Law: no panel fails, none shows the store's own words, the log has them, and the process is not well."""
    store = Store(broken=True)
    with caplog.at_level(logging.WARNING):
        *panels, chart, health = asked(
            store, *(f"/panels/{name}" for name in PANELS), "/charts/caught.json", "/healthz"
        )
    assert {panel.status_code for panel in panels} == {200}
    assert all("did not answer" in panel.text and "secret" not in panel.text for panel in panels)
    assert "secret" in caplog.text
    assert (chart.json(), health.status_code) == (None, 503)


def test_many_who_watch_ask_the_store_once() -> None:
    """Law: a hundred requests at once for a panel, and for the chart of the same figures, are one question."""
    store = Store()
    answers = asked(store, *["/panels/rate", "/charts/stream.json"] * 50)
    assert {answer.status_code for answer in answers} == {200}
    assert len(store.asked) == 1


def test_an_answer_is_kept_for_its_pause_or_longer_where_it_took_long() -> None:
    """Law: asked again after the pause, or after twenty times what the answer took; so is an answer that failed."""
    clock, took, asked_at = [0.0], [0.0], []

    def ask() -> int:
        clock[0] += took[0]
        asked_at.append(clock[0])
        if len(asked_at) == 3:
            raise WarehouseError("down")
        return len(asked_at)

    async def run() -> None:
        kept = Kept(lambda: clock[0])
        for step, expected in ((0.0, 1), (0.9, 1), (0.2, 2)):
            clock[0] += step
            assert await kept.get("a", 1.0, ask) == expected
        took[0] = 0.5
        for step in (1.1, 9.0):
            clock[0] += step
            with pytest.raises(WarehouseError, match="down"):
                await kept.get("a", 1.0, ask)
        clock[0] += 1.1
        assert await kept.get("a", 1.0, ask) == 4
        assert await kept.get("b", 1.0, ask) == 5
        kept.close()

    asyncio.run(run())


def test_stale_is_over_ten_seconds() -> None:
    """Law: the age is of the newest decision; a writer whose clock is ahead is not stale, and nothing is of no age."""
    assert [Freshness(20_000, newest).stale for newest in (9_999, 10_000, 30_000, None)] == [True, False, False, False]
    assert Freshness(20_000, 30_000).age_s == 0


def test_each_label_counts_on_one_side() -> None:
    """Law: caught, missed, false alarm, passed or dispute; shares are of what they say, money is by currency."""
    counted = Caught(1_000, (0, 1_000))
    for verdict, acted, number in (("fraud", 1, 3), ("fraud", 0, 1), ("legitimate", 1, 2), ("legitimate", 0, 90)):
        row = {"bucket": 1, "currency": "EUR", "verdict": verdict, "acted": acted, "payments": number}
        counted.add(row | {"minor": 100 * number})
    counted.add({"bucket": 0, "currency": "JPY", "verdict": "service_dispute", "acted": 1, "payments": 1, "minor": 9})
    assert (counted.frauds, counted.legitimate, counted.disputes, counted.labelled) == (4, 92, 1, 97)
    assert (counted.caught_share, counted.right_share) == (0.75, 0.6)
    assert (counted.money["EUR"].caught, counted.money["EUR"].missed, counted.money["EUR"].false_alarms) == (
        300,
        100,
        200,
    )
    assert counted.chart()["share"] == [None, 75.0]


def test_no_template_holds_what_the_policy_forbids() -> None:
    """Law: no script or style stands in the markup, no handler, no address of elsewhere, and nothing is unescaped."""
    for template in sorted((PAGE / "templates").iterdir()):
        text = template.read_text(encoding="utf-8")
        assert not re.search(r"<script(?! src=\"/static/)|<style|\sstyle=|\son\w+=|https?://|\|\s*safe", text), template


def test_vendored_files_are_as_published() -> None:
    """Law: each has its row in the notice, with the hash that it has, and its licence beside it."""
    vendor = PAGE / "static" / "vendor"
    notice = (vendor / "NOTICE.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `([\w.]+)` .*`([0-9a-f]{64})` \|$", notice, re.MULTILINE))
    files = {path.name for path in vendor.iterdir()} - {"NOTICE.md"}
    assert files - set(told) == {"htmx.LICENSE.txt", "uPlot.LICENSE.txt"}
    for name, digest in told.items():
        assert hashlib.sha256((vendor / name).read_bytes()).hexdigest() == digest
