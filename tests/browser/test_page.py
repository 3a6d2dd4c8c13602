"""The live page in a real browser: its figures are those of the rows, it stays live, and it makes no error."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from consumers.migrations_to_clickhouse import migrate
from consumers.page.serve import serve
from consumers.page.words import count, money
from consumers.warehouse import Warehouse, open_warehouse
from schemas.settings import Settings
from tests.browser import seeded
from tests.browser.chromium import CHARTS_DRAWN, PANELS_SHOWN, Chromium, find_chromium, screenshot
from tests.conftest import cannot_run

PAYMENTS = 3_000
ACTED_ON = ("block", "review", "step_up")
MARKUP = "<img src=x onerror=console.error(1)>"


@pytest.fixture(autouse=True, scope="module")
def _needs_chromium() -> None:
    if find_chromium() is None:
        cannot_run("no chromium on this machine: apt-get install chromium")


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    with closing(open_warehouse(Settings(data_dir=tmp_path / "store"))) as opened:
        migrate(opened)
        yield opened


@contextmanager
def served(warehouse: Warehouse) -> Iterator[str]:
    """The address of the page over this store."""
    stop, ready, ports = threading.Event(), threading.Event(), list[int]()

    def on_ready(port: int) -> None:
        ports.append(port)
        ready.set()

    server = threading.Thread(target=serve, args=(warehouse.query_columns, "127.0.0.1", 0, stop, on_ready))
    server.start()
    try:
        assert ready.wait(20.0)
        yield f"http://127.0.0.1:{ports[0]}/"
    finally:
        stop.set()
        server.join(20.0)
    assert not server.is_alive()


@contextmanager
def opened(warehouse: Warehouse, *, dark: bool = False) -> Iterator[Chromium]:
    """A browser with the page over this store, every panel shown. At the end it must have made no error."""
    with served(warehouse) as url, Chromium(dark=dark) as browser:
        browser.open(url)
        browser.wait(PANELS_SHOWN)
        yield browser
        browser.look("1")  # what the browser told since the last look comes with it
        assert browser.problems == []
        assert [request for request in browser.requested if not request.startswith(url)] == []


def figures(browser: Chromium, panel: str) -> dict[str, str]:
    """The large figures of a panel by name."""
    return dict(
        browser.look(
            f"[...document.querySelectorAll('#{panel} .figures div')]"
            ".map((one) => [one.querySelector('dt').innerText, one.querySelector('dd').innerText])"
        )
    )


def seed(warehouse: Warehouse, *, times: int = 1) -> pd.DataFrame:
    now_ms = time.time_ns() // 1_000_000
    frame = seeded.payments(PAYMENTS, now_ms)
    seeded.store(warehouse, frame, times=times)
    seeded.store_models(warehouse, now_ms)
    seeded.store_dead_letters(warehouse, now_ms, {"not_json": "EOF at column 1", "invalid": MARKUP})
    return frame


def test_the_figures_are_those_of_the_rows(warehouse: Warehouse, tmp_path: Path) -> None:
    """Law: what the page says of decisions, labels, models and drift is what pandas makes of the rows, stored twice."""
    frame = seed(warehouse, times=2)
    labelled = frame.dropna(subset="reported_ms")
    frauds = labelled[labelled["verdict"] == "fraud"]
    acted = labelled["action"].isin(ACTED_ON)
    with opened(warehouse) as browser:
        browser.wait(CHARTS_DRAWN)
        for action, number in frame["action"].value_counts().items():
            assert browser.text(f"[data-figure=total-{action}]") == count(number)
        assert browser.text("[data-figure=total]") == count(PAYMENTS)
        assert browser.text("[data-figure=stored-predictions]") == count(PAYMENTS)
        assert browser.text("[data-figure=stored-labels]") == count(len(labelled))
        assert browser.text("[data-figure=stored-dead-letters]") == "2"
        told = figures(browser, "caught")
        caught = frauds[frauds["action"].isin(ACTED_ON)]
        assert told["known frauds"] == count(len(frauds))
        assert told["caught"] == count(len(caught))
        assert told["missed"] == count(len(frauds) - len(caught))
        assert told["false alarms"] == count((acted & (labelled["verdict"] == "legitimate")).sum())
        for currency, amount in caught.groupby("currency")["amount_minor"].sum().items():
            assert money(int(amount), str(currency)) in browser.text("#caught table")
        assert browser.text("#alerts tbody tr .token") == _newest(frame)["card"]
        newest = _newest(frame)
        assert money(int(newest["amount_minor"]), newest["currency"]) in browser.text("#alerts tbody tr")
        assert seeded.TEXTS[newest["reason"]][1:] in browser.text("#alerts tbody tr .reasons")
        assert figures(browser, "model") == _model_figures(labelled) | {"decides now": frame["model_version"].iloc[-1]}
        assert browser.text("#features tbody .feature") == seeded.MOVED
        assert "strong" in browser.text("#features tbody tr")
        assert MARKUP in browser.text("#stored .letters")
        browser.screenshot(Path(os.environ.get("PAGE_SCREENSHOT", tmp_path / "page.png")))


def test_it_shows_what_comes_while_it_is_open(warehouse: Warehouse) -> None:
    """Law: rows that are stored while it is open are in its figures within seconds; then it says that none come."""
    seed(warehouse)
    with opened(warehouse) as browser:
        for turn in range(1, 3):
            now_ms = time.time_ns() // 1_000_000
            frame = seeded.payments(500, now_ms, seed=turn, per_second=100.0, first=10_000 * turn)
            seeded.store(warehouse, frame)
            total = count(PAYMENTS + 500 * turn)
            browser.wait_until(lambda: browser.text("[data-figure=total]") == total, f"{total} decisions")  # noqa: B023
            browser.wait(f"document.querySelector('#alerts .token').innerText === '{_newest(frame)['card']}'")
            assert "up to date" in browser.text("#fresh")
        browser.wait("parseFloat(document.querySelector('#rate dd').innerText) > 40")
        browser.wait("document.querySelector('#fresh').innerText.includes('stale')", timeout_s=30.0)
        browser.wait("document.querySelector('#rate dd').innerText === '0.0 /s'")


@pytest.mark.parametrize("dark", [False, True])
def test_an_empty_store_is_told_in_words(warehouse: Warehouse, *, dark: bool) -> None:
    """Law: over empty tables every panel says that there is nothing yet."""
    with opened(warehouse, dark=dark) as browser:
        for panel in ("rate", "actions", "alerts", "caught", "model", "features"):
            assert "yet" in browser.text(f"#{panel}")
        assert "Nothing decided yet" in browser.text("#fresh")
        assert "No dead letters" in browser.text("#stored")
        assert browser.look("document.querySelectorAll('figure.chart:not([hidden])').length") == 0


def test_rules_alone_are_told_as_such(warehouse: Warehouse) -> None:
    """Law: without a model there are no scores, and the page says so instead of showing none."""
    frame = seeded.payments(400, time.time_ns() // 1_000_000)
    frame[["score", "probability", "model_version"]] = None
    frame["mode"] = "rules_only"
    seeded.store(warehouse, frame)
    with opened(warehouse) as browser:
        assert figures(browser, "model")["decides now"] == "rules alone"
        assert "its quality is not known" in browser.text("#model")
        assert figures(browser, "model")["AUC so far"] == "—"


def test_a_picture_is_taken_of_a_running_page(warehouse: Warehouse, tmp_path: Path) -> None:
    """Law: the picture is a PNG as wide as was asked for, and taking it meets no error."""
    seed(warehouse)
    with served(warehouse) as url:
        assert screenshot(url, tmp_path / "page.png", settle_s=0.5) == []
    header = (tmp_path / "page.png").read_bytes()[:24]
    assert header[1:4] == b"PNG"
    assert int.from_bytes(header[16:20], "big") == 1280


def test_the_browser_tells_what_goes_wrong(tmp_path: Path) -> None:
    """Law: a page that writes an error or lacks a file is found out, so the silence of the others means something."""
    page = tmp_path / "bad.html"
    page.write_text("<script>console.error('bad'); later()</script><script src='missing.js'></script>")
    with Chromium() as browser:
        browser.open(page.as_uri())
        browser.wait_until(lambda: browser.look("1") and len(browser.problems) >= 3, "three problems")


def _newest(frame: pd.DataFrame) -> dict[str, Any]:
    """The newest payment that was not approved."""
    acted = frame[frame["action"].isin(ACTED_ON)].sort_values("decided_ms")
    return dict(acted.iloc[-1])


def _model_figures(labelled: pd.DataFrame) -> dict[str, str]:
    """Area under the ROC curve from ranks, average precision from a walk down the sorted scores."""
    scored = labelled.dropna(subset="probability").query("verdict != 'service_dispute'")
    fraud = scored["verdict"] == "fraud"
    positive, negative = fraud.sum(), (~fraud).sum()
    rank_sum = scored["probability"].rank()[fraud].sum()
    walked = fraud[scored["probability"].sort_values(ascending=False).index].reset_index(drop=True)
    precision = walked.cumsum() / (walked.index + 1)
    return {
        "AUC so far": f"{(rank_sum - positive * (positive + 1) / 2) / (positive * negative):.3f}",
        "average precision": f"{precision[walked].mean():.3f}",
    }
