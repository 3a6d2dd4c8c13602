"""A real Chromium without a window, driven over the DevTools protocol: what it shows, says and fails to load."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from websockets.sync.client import connect

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
START_TIMEOUT_S = 30.0
CALL_TIMEOUT_S = 30.0

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--hide-scrollbars",
    "--no-default-browser-check",
    "--no-first-run",
    "--remote-debugging-port=0",
)


def find_chromium() -> str | None:
    """Return the path of a Chromium of this machine."""
    return next((path for name in PROGRAMS if (path := shutil.which(name))), None)


class Chromium:
    """A browser with one page. `problems` are the errors of the page: exceptions, console errors, failed requests."""

    def __init__(self, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        self._width, self._height, self._dark = width, height, dark
        self._profile = Path(tempfile.mkdtemp(prefix="chromium-"))
        self._open = ExitStack()
        self._calls = 0
        self.problems: list[str] = []
        self.requested: list[str] = []

    def __enter__(self) -> Self:
        program = find_chromium()
        if program is None:
            raise RuntimeError("no chromium on this machine")
        self._process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={self._profile}", "about:blank"],
            # Its folder for sockets, which it leaves behind when killed.
            env={**os.environ, "TMPDIR": str(self._profile)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            self._attach()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
        self._process.terminate()
        try:
            self._process.wait(10.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._profile, ignore_errors=True)

    def open(self, url: str) -> None:
        """Go to a page. What it asks for later may still be on its way."""
        self._call("Page.navigate", url=url)

    def look(self, expression: str) -> Any:
        """Return what a JavaScript expression is worth in the page now."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def text(self, selector: str) -> str:
        """Return the text of the first element that the selector finds."""
        shown = self.look(f"document.querySelector({json.dumps(selector)})?.innerText ?? null")
        assert isinstance(shown, str), f"nothing is {selector}"
        return " ".join(shown.split())

    def wait(self, expression: str, timeout_s: float = 20.0) -> Any:
        """Return what the expression is worth once it is true."""
        return self.wait_until(lambda: self.look(expression), expression, timeout_s)

    def wait_until(self, holds: Callable[[], Any], what: str, timeout_s: float = 20.0) -> Any:
        """Return what a function returns once that is true."""
        deadline_s = time.monotonic() + timeout_s
        while not (found := holds()):
            assert time.monotonic() < deadline_s, f"not within {timeout_s} s: {what}; {self.problems}"
            time.sleep(0.1)
        return found

    def screenshot(self, path: Path) -> None:
        """Write the whole page, also what lies below the window, as a PNG."""
        page_height = int(self.look("document.documentElement.scrollHeight"))
        self._size(max(page_height, self._height))
        time.sleep(0.3)
        image = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(image["data"]))
        self._size(self._height)

    def _attach(self) -> None:
        """Connect to the browser's page, and to its errors."""
        port_file = self._profile / "DevToolsActivePort"
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not (port_file.exists() and len(lines := port_file.read_text().splitlines()) == 2):
            if time.monotonic() > deadline_s or self._process.poll() is not None:
                raise RuntimeError("chromium did not start")
            time.sleep(0.05)
        address = f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        # No pings: on a busy machine the browser answers them late, and it ends with us anyway.
        page = connect(address, max_size=None, open_timeout=START_TIMEOUT_S, ping_interval=None)
        self._page = self._open.enter_context(page)
        self._session: str | None = None
        target = next(one for one in self._call("Target.getTargets")["targetInfos"] if one["type"] == "page")
        attached = self._call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._call(f"{domain}.enable")
        self._size(self._height)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if self._dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])

    def _size(self, height: int) -> None:
        size = {"width": self._width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", **size)

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call the browser, and take note of what it tells by the way."""
        self._calls += 1
        call: dict[str, Any] = {"id": self._calls, "method": method, "params": parameters}
        self._page.send(json.dumps(call | ({"sessionId": self._session} if self._session else {})))
        while True:
            told = json.loads(self._page.recv(timeout=CALL_TIMEOUT_S))
            if told.get("id") == self._calls:
                assert "error" not in told, f"{method}: {told['error']}"
                result: dict[str, Any] = told["result"]
                return result
            self._note(told.get("method", ""), told.get("params", {}))

    def _note(self, method: str, told: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requested.append(told["request"]["url"])
        elif method == "Network.loadingFailed" and not told.get("canceled"):
            self.problems.append(f"not loaded: {told['errorText']}")
        elif method == "Network.responseReceived" and told["response"]["status"] >= 400:
            self.problems.append(f"{told['response']['status']}: {told['response']['url']}")
        elif method == "Runtime.exceptionThrown":
            self.problems.append(f"exception: {told['exceptionDetails']}")
        elif method == "Runtime.consoleAPICalled" and told["type"] in {"error", "warning", "assert"}:
            self.problems.append(f"console: {told['args']}")
        elif method == "Log.entryAdded" and told["entry"]["level"] in {"error", "warning"}:
            self.problems.append(f"log: {told['entry']['text']}")


PANELS_SHOWN = """
document.querySelector("[hx-get]") &&
[...document.querySelectorAll("[hx-get]")].every((panel) => !panel.querySelector(".wait") && panel.childElementCount)
"""
CHARTS_DRAWN = """
[...document.querySelectorAll("figure.chart:not([hidden]) .plot")].every((plot) => plot.querySelector("canvas"))
"""


def screenshot(url: str, path: Path, width: int = 1280, *, dark: bool = False, settle_s: float = 5.0) -> list[str]:
    """Write a picture of the live page at this address, once every panel is there, and return the page's errors."""
    with Chromium(width=width, dark=dark) as browser:
        browser.open(url)
        browser.wait(PANELS_SHOWN, timeout_s=60.0)
        time.sleep(settle_s)
        browser.wait(CHARTS_DRAWN, timeout_s=60.0)
        browser.screenshot(path)
        return browser.problems
