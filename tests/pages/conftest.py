"""A real Chromium before the real application: uvicorn on a loopback port, a real Redis, SQLite, seeded results."""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from prunescope.jobs.documents import Job
from prunescope.jobs.settings import Settings
from prunescope.server.app import create_app
from prunescope.server.stores import Stores
from prunescope.store import submission
from tests.browser import ARGUMENTS, BROWSERS, DESK
from tests.pages.stand_in import StandIn

ROOT = Path(__file__).parents[2]
SCREENSHOTS = Path(__file__).parent / "screenshots"
PATIENCE_MS = 30_000
"""How long a page may take to become what a test expects, on a machine that others use as well."""
PHONE = {"width": 390, "height": 844}
STUDY = {
    "name": "Two methods, two patterns",
    "models": ["demo"],
    "methods": ["wanda", "magnitude"],
    "patterns": ["0.5", "2:4"],
    "calibrations": [{"dataset": "demo", "samples": 8, "seqlen": 64}],
    "tasks": ["reviews", "sst2"],
    "attributions": [{"texts": {"dataset": "reviews", "count": 3}}],
}


@dataclass(frozen=True)
class Site:
    """The application under test: its address, what it keeps, and the stand-in for its worker."""

    address: str
    stores: Stores
    worker: StandIn

    def submit(self, kind: str, spec: dict[str, object]) -> Job:
        job, created = submission.submit(self.stores, kind, spec, send=lambda job: None)
        assert created
        self.stores.announce(job)
        return job

    @property
    def attribution(self) -> str:
        """The page of the newest attribution."""
        return f"/attributions/{self.stores.results.list('attribution')[0][0].id}"

    def newest(self, kind: str) -> str:
        return self.stores.results.list(kind)[0][0].id


@pytest.fixture(scope="session")
def empty_site(tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> Iterator[Site]:
    """Before anything was done; its queue is a Redis database of its own."""
    yield from served(tmp_path_factory.mktemp("empty home"), f"{redis_server}?db=1")


@pytest.fixture(scope="session")
def seeded_app(tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> Iterator[Site]:
    """With a study whose cells, attribution included, are done, an explanation and a corpus of one of its models."""
    for site in served(tmp_path_factory.mktemp("seeded home"), f"{redis_server}?db=2"):
        site.submit("study", dict(STUDY))
        site.worker.work_off()
        pruned = site.stores.results.list("attribution")[0][0].spec["pruned"][0]
        site.submit("explain", {"dense": "demo", "pruned": pruned, "task": "reviews"})
        site.submit("corpus", {"models": ["demo", pruned], "dataset": "demo"})
        site.worker.work_off()
        yield site


@pytest.fixture
def working_site(tmp_path: Path, redis_server: str) -> Iterator[Site]:
    """Nothing was done yet, and a real worker waits for jobs."""
    home, redis_url = tmp_path / "home of a worker", f"{redis_server}?db=3"
    for site in served(home, redis_url):
        command = [sys.executable, "-m", "prunescope.worker"]
        environment = {**os.environ, "PRUNESCOPE_HOME": str(home), "PRUNESCOPE_REDIS_URL": redis_url}
        log = tmp_path / "worker.log"
        with log.open("wb") as output:
            worker = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
            try:
                yield site
            finally:
                worker.terminate()
                try:
                    worker.wait(timeout=30)
                except subprocess.TimeoutExpired:
                    worker.kill()
                    worker.wait()


def served(home: Path, redis_url: str) -> Iterator[Site]:
    app = create_app(Settings(home=home, redis_url=redis_url, sweep_seconds=3600))
    stores: Stores = app.state.stores
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield Site(f"http://127.0.0.1:{listener.getsockname()[1]}", stores, StandIn(stores))
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


# Of a module, not of the session: while it lives, Playwright's loop runs in the main thread, and no other can.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.fail(f"no browser: install one of {', '.join(BROWSERS)} (make test does, where it may)")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        # Each launch has a user-data-dir of its own, thrown away at its end.
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Opens an address in a fresh browser context; at the end nothing may have gone wrong in any of them.

    Options are those of a context: ``viewport``, ``color_scheme``, ``permissions``.
    """
    contexts: list[BrowserContext] = []
    wrong: list[str] = []

    def opened(address: str, *, status: int = 200, **options: object) -> Page:
        context = browser.new_context(**{"viewport": DESK, "locale": "en-GB", **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: wrong.append(f"{page.url}: {error}"))
        page.on("console", lambda message: wrong.append(f"{page.url}: {message.text}") if _is_wrong(message) else None)
        go(page, address, status)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


def go(page: Page, address: str, status: int = 200) -> None:
    """Another address in an open page, which has Plotly's script and the stylesheet from the last one."""
    response = page.goto(address)
    assert response is not None
    assert response.status == status


def _is_wrong(message: object) -> bool:
    text = getattr(message, "text", "")
    # The browser itself reports every answer of 400 and more; tests of errors cause them on purpose.
    return getattr(message, "type", "") in {"error", "warning"} and "Failed to load resource" not in text


@pytest.fixture
def shot() -> Callable[[Page, str], None]:
    """Writes a screenshot for people to look at."""

    def write(page: Page, name: str) -> None:
        SCREENSHOTS.mkdir(exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)

    return write


def scrolls_sideways(page: Page) -> bool:
    """Whether something is wider than the window."""
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))
