"""Measures the first paint of a large study's page in a real browser.

The server runs on loopback in its own process. Chromium opens the page each time in a new context, so that its cache is
empty, and after a change in the database, so that the server computes the study's table again. Times are from the start
of the navigation; the first paint is the browser's First Contentful Paint (Paint Timing API of the W3C).
"""

import os
import shutil
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Any

import httpx
from playwright.sync_api import Browser, sync_playwright

from prunescope.cli.processes import last_lines, running
from prunescope.jobs.settings import Settings
from prunescope.server import urls
from prunescope.store.evaluations.queries import count_change
from prunescope.store.submission import Stores
from tests.browser import ARGUMENTS, BROWSERS, DESK
from tests.store.studies.made_up_study import MadeUpStudy, make_up_study

BUDGET_MS = 1000
"""The limit for the first paint."""

PATIENCE_S = 120
MOMENTS = ("response_ms", "first_paint_ms", "loaded_ms")
_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
_NAVIGATION = "performance.getEntriesByType('navigation')[0]"


def first_paints(rounds: int, size: MadeUpStudy) -> dict[str, list[float]]:
    """Milliseconds from the start of the navigation to the response's first byte, the first contentful paint and the
    end of loading, a value for each round. RuntimeError without a browser, or when the server does not answer."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        raise RuntimeError(f"no browser: install one of {', '.join(BROWSERS)}")
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), redis_url=f"unix://{folder}/nobody.sock", port=_free_port())
        stores = Stores.open(settings)
        try:
            stores.database.migrate()
            study = make_up_study(stores, size)
            with _served(settings) as address, sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
                try:
                    _timed(browser, f"{address}{urls.HEALTHZ}")  # starts the browser's own processes
                    found = []
                    for _ in range(rounds):
                        with stores.database.writing() as connection:
                            count_change(connection)
                        found.append(_timed(browser, f"{address}{urls.study(study)}"))
                finally:
                    browser.close()
        finally:
            stores.close()
    return {moment: [one[moment] for one in found] for moment in MOMENTS}


def summary(found: dict[str, list[float]]) -> dict[str, Any]:
    """The medians, each round's times, and whether the first paint is within its budget."""
    middle = {moment: round(statistics.median(values), 1) for moment, values in found.items()}
    rounds = {moment: [round(value, 1) for value in values] for moment, values in found.items()}
    return {**middle, "rounds": rounds, "budget_ms": BUDGET_MS, "met": middle["first_paint_ms"] < BUDGET_MS}


def _timed(browser: Browser, address: str) -> dict[str, float]:
    context = browser.new_context(viewport={"width": DESK["width"], "height": DESK["height"]}, locale="en-GB")
    try:
        page = context.new_page()
        page.set_default_timeout(1000 * PATIENCE_S)
        response = page.goto(address)
        if response is None or not response.ok:
            raise RuntimeError(f"{address} was answered with {response and response.status}")
        paint = page.wait_for_function(_PAINT).json_value()
        moments = page.evaluate(f"[{_NAVIGATION}.responseStart, {_NAVIGATION}.loadEventEnd]")
        return {"response_ms": moments[0], "first_paint_ms": paint, "loaded_ms": moments[1]}
    finally:
        context.close()


@contextmanager
def _served(settings: Settings) -> Iterator[str]:
    environment = os.environ | {
        "PRUNESCOPE_HOME": str(settings.home),
        "PRUNESCOPE_PORT": str(settings.port),
        "PRUNESCOPE_REDIS_URL": str(settings.redis_url),
    }
    log = settings.home / "server.log"
    with running([sys.executable, "-m", "prunescope.cli", "server"], log, environment) as server:
        address = f"http://127.0.0.1:{settings.port}"
        _wait_for(server, address, log)
        yield address


def _wait_for(server: "Popen[bytes]", address: str, log: Path) -> None:
    ends = time.monotonic() + PATIENCE_S
    while server.poll() is None and time.monotonic() < ends:
        try:
            httpx.get(f"{address}{urls.HEALTHZ}").raise_for_status()
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"the server does not answer:\n{last_lines(log)}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
