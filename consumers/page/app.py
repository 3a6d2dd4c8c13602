"""The page's addresses: the page itself, its panels as fragments, its charts as JSON, and whether it is well.

Everything is read only, escaped, and of this origin alone: no script, style or font comes from elsewhere or stands in
the markup, so what a payment says about itself can never run.
"""

import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, MutableMapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from consumers.page.alerts import alerts
from consumers.page.caught import caught
from consumers.page.features import features
from consumers.page.kept import Kept
from consumers.page.model import model
from consumers.page.query import ACTIONS, Query
from consumers.page.stored import stored
from consumers.page.stream import freshness, stream, totals
from consumers.page.words import FILTERS
from consumers.warehouse import WarehouseError

log = logging.getLogger(__name__)

LOOPBACK = ("127.0.0.1", "localhost")

HEADERS = {
    "content-security-policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class Question(NamedTuple):
    """What is asked of the store, given the time in milliseconds, and after what pause it may be asked again."""

    pause_s: float
    ask: Callable[[Query, int], Any]


QUESTIONS: Mapping[str, Question] = {
    "fresh": Question(1.0, freshness),
    "stream": Question(1.0, stream),
    "totals": Question(1.5, lambda query, _: totals(query)),
    "alerts": Question(1.0, lambda query, _: alerts(query)),
    "caught": Question(1.5, lambda query, _: caught(query)),
    "model": Question(3.0, lambda query, _: model(query)),
    "features": Question(8.0, lambda query, _: features(query)),
    "stored": Question(3.0, stored),
}

PANELS: Mapping[str, tuple[str, ...]] = {
    "fresh": ("fresh",),
    "rate": ("stream",),
    "actions": ("stream", "totals"),
    "alerts": ("alerts",),
    "caught": ("caught",),
    "model": ("model",),
    "features": ("features",),
    "stored": ("stored",),
}
"""Panel -> the questions whose answers its template shows."""

CHARTS = ("stream", "caught")
"""The questions whose answers can be drawn."""


def build_app(query: Query, *, hosts: Sequence[str] = LOOPBACK) -> Starlette:
    """Return the application over a store that is asked by `query`.

    `hosts` are the names by which a browser may call it: a page from elsewhere, whose name was made to point here,
    calls it by another one and is refused.
    """
    return _Page(query).app(hosts)


class _Page:
    def __init__(self, query: Query) -> None:
        self._query = query
        self._kept = Kept(time.monotonic)
        self._templates = Environment(
            loader=PackageLoader("consumers.page"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(FILTERS)
        self._templates.globals.update(ACTIONS=ACTIONS)

    def app(self, hosts: Sequence[str]) -> Starlette:
        """Return the routes, with the headers around them. At its shutdown the open question is waited for."""
        return Starlette(
            routes=[
                Route("/", self._index, methods=["GET"]),
                Route("/panels/{name}", self._panel, methods=["GET"]),
                Route("/charts/{name}.json", self._chart, methods=["GET"]),
                Route("/healthz", self._healthz, methods=["GET"]),
                Mount("/static", StaticFiles(packages=[("consumers.page", "static")])),
            ],
            middleware=[Middleware(_Headers), Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))],
            lifespan=self._lifespan,
        )

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        yield
        self._kept.close()

    async def _answer(self, name: str) -> Any:
        question = QUESTIONS[name]
        return await self._kept.get(
            name, question.pause_s, lambda: question.ask(self._query, time.time_ns() // 1_000_000)
        )

    async def _index(self, _: Request) -> Response:
        return self._html("index.html")

    async def _panel(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in PANELS:
            return PlainTextResponse("no such panel", status_code=404)
        try:
            answers = {question: await self._answer(question) for question in PANELS[name]}
        except WarehouseError as error:
            log.warning("the panel %s has no answer: %s", name, error)
            return self._html("unanswered.html")
        return self._html(f"panel_{name}.html", **answers)

    async def _chart(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in CHARTS:
            return PlainTextResponse("no such chart", status_code=404)
        try:
            answer = await self._answer(name)
        except WarehouseError:
            answer = None
        return JSONResponse(None if answer is None else answer.chart())

    async def _healthz(self, _: Request) -> Response:
        try:
            fresh = await self._answer("fresh")
        except WarehouseError:
            return JSONResponse({"status": "the store does not answer"}, status_code=503)
        return JSONResponse({"status": "ok", "newest_decision_age_s": fresh.age_s})

    def _html(self, template: str, **answers: Any) -> Response:
        return HTMLResponse(self._templates.get_template(template).render(answers))


class _Headers:
    """Puts the headers on every answer. What is of the moment is kept by no cache; files are asked for if changed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers["cache-control"] = "no-cache" if scope["path"].startswith("/static/") else "no-store"
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)
