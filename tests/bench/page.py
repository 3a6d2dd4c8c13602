"""The page of a running demo in a real Chromium: live, plausible, and without an error in the console."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from deploy.system import ROOT
from tests.browser.chromium import CHARTS_DRAWN, PANELS_SHOWN, Chromium

START_S_MAX = 120.0
FIGURES = """
Object.fromEntries([...document.querySelectorAll("[hx-get] .figures div")].map(
    (one) => [one.querySelector("dt").innerText, one.querySelector("dd").innerText]))
"""


def run(picture: Path, *, seconds: float = 100, rate: float = 200) -> dict[str, Any]:
    """Look twice while payments come, the second time at the end, and keep a picture of that."""
    port = _free_port()
    command = [sys.executable, "-P", "-m", "deploy.demo", "--seconds", str(seconds), "--rate", str(rate)]
    demo = subprocess.Popen(
        [*command, "--page-port", str(port), "--json"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
    )
    try:
        looks, problems = _look(f"http://127.0.0.1:{port}/", picture, seconds)
        told, _ = demo.communicate(timeout=300)
    finally:
        demo.terminate()
    report = json.loads(told.splitlines()[-1])
    lively = len(looks) == 2 and looks[0] != looks[1]
    return {
        "looks": looks,
        "console_errors": problems,
        "picture": str(picture),
        "decisions": report["decisions"],
        "model_versions": report["model_versions"],
        "bounds": {"console_errors": 0, "looks_that_differ": 2, "model_versions_min": 2, "exit_status": 0},
        "holds": lively and not problems and report["model_versions"] >= 2 and demo.returncode == 0,
    }


def _look(url: str, picture: Path, seconds: float) -> tuple[list[dict[str, str]], list[str]]:
    _wait_until_decided(url)
    started = time.monotonic()
    looks = []
    with Chromium() as browser:
        browser.open(url)
        for at_s in (0.4 * seconds, 0.85 * seconds):
            time.sleep(max(0.0, started + at_s - time.monotonic()))
            browser.wait(PANELS_SHOWN, timeout_s=60.0)
            browser.wait(CHARTS_DRAWN, timeout_s=60.0)
            looks.append(browser.look(FIGURES))
        browser.screenshot(picture)
        return looks, browser.problems


def _wait_until_decided(url: str) -> None:
    deadline = time.monotonic() + START_S_MAX
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}healthz", timeout=5).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            time.sleep(0.5)
    raise RuntimeError(f"{url} did not answer")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
