"""The guide's tour (docs/tour.md): its ten steps in a browser, on the demo model pruned by a real worker. Every step is
taken as a picture in both colour schemes; `make picture` copies them to docs/tour/."""

import base64
import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

import prunescope
from prunescope.frontend import DOCS
from tests.pages.conftest import SCREENSHOTS, Open, Site, go
from tests.pages.test_links import CLIPBOARD

TOUR = (DOCS / "tour.md").read_text(encoding="utf-8")
STEPS = re.findall(r"^!\[[^\]]+\]\(tour/([a-z]+)\.webp\)$", TOUR, flags=re.MULTILINE)
MAX_PICTURE_BYTES = 80_000
WINDOW = {"width": 1100, "height": 720}
STUDY: dict[str, Any] = {
    "name": "Demo: what pruning takes out of a small sentiment model",
    "models": ["demo"],
    "methods": ["wanda", "magnitude", "sparsegpt"],
    "patterns": ["0.5", "0.9", "2:4"],
    "calibrations": [{"dataset": "demo", "samples": 32, "seqlen": 128}],
    "tasks": ["reviews"],
    "limit": 200,
    "attributions": [
        {
            "texts": {"dataset": "reviews", "count": 10},
            "prompt": "reviews",
            "words": "cot",
            "methods": ["wanda", "magnitude"],
            "patterns": ["0.9"],
        }
    ],
}


def taken(page: Page, step: str) -> None:
    """Take the window as it is, in both schemes."""
    folder = SCREENSHOTS / "tour"
    folder.mkdir(parents=True, exist_ok=True)
    session = page.context.new_cdp_session(page)
    for scheme, ending in (("light", ""), ("dark", "-dark")):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.evaluate("new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))")
        found = session.send("Page.captureScreenshot", {"format": "webp", "quality": 50})
        (folder / f"{step}{ending}.webp").write_bytes(base64.b64decode(found["data"]))
    page.emulate_media(color_scheme="light")


@pytest.mark.pages
@pytest.mark.slow
def test_the_ten_steps(working_site: Site, open_page: Open) -> None:
    at, steps = working_site.address, iter(STEPS)
    with prunescope.connect(at) as client:
        job = client.submit("study", STUDY).wait()
        table = client.get(f"{job.document.result_href}?rows=method&columns=pattern")["table"]
    page = open_page(f"{at}/", viewport=WINDOW, **CLIPBOARD)
    expect(page.locator(".leading")).to_contain_text("lost most")
    taken(page, next(steps))

    page.get_by_role("navigation").get_by_role("link", name="Studies").click()
    page.locator("main").get_by_role("link", name=STUDY["name"]).click()
    expect(page.locator("main table").first).to_contain_text("wanda")
    taken(page, next(steps))

    (wanda,) = (row for row in table["rows"] if row["value"] == "wanda")
    (lost,) = (cell for cell, name in zip(wanda["cells"], table["columns"], strict=True) if name == "0.9")
    go(page, at + lost["href"])
    expect(page.locator("main")).to_contain_text("broke")
    taken(page, next(steps))

    page.get_by_role("navigation").get_by_role("link", name="Attributions").click()
    page.locator(".found .title, main .title").first.click()
    damaged = page.locator(".card", has_text="Most damaged neurons").first
    expect(damaged).to_be_visible()
    taken(page, next(steps))

    line = damaged.locator("tbody tr").first
    word = line.locator("td").nth(3).inner_text()
    line.get_by_role("link").first.click()
    expect(page.get_by_role("region", name="The text, token by token")).to_be_visible()
    taken(page, next(steps))

    page.get_by_role("heading", name="Why it changed").first.scroll_into_view_if_needed()
    page.get_by_role("heading", name="Why it changed").first.evaluate("(here) => scrollTo(0, here.offsetTop - 24)")
    taken(page, next(steps))

    page.evaluate("scrollTo(0, 0)")
    page.keyboard.press("/")
    page.keyboard.type(word)
    expect(page.get_by_role("listbox")).to_be_visible()
    taken(page, next(steps))

    page.keyboard.press("Escape")
    neuron = page.url
    page.get_by_role("button", name="Share link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    go(page, f"{at}/shares")
    expect(page.locator("main tbody tr")).to_have_count(1)
    taken(page, next(steps))

    go(page, neuron)
    page.locator("summary", has_text="Export").first.click()
    expect(page.get_by_text("LaTeX, for a paper")).to_be_visible()
    taken(page, next(steps))

    go(page, f"{at}/jobs/new?kind=prune")
    page.get_by_label("Pattern").first.fill("2:4")
    expect(page.locator("[data-estimate=known]")).to_contain_text("Weights")
    taken(page, next(steps))
    assert next(steps, None) is None, "the tour has ten steps"


@pytest.mark.pages
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_tour_shows_the_pictures_of_the_scheme(empty_site: Site, open_page: Open, scheme: str) -> None:
    page = open_page(f"{empty_site.address}/guide", color_scheme=scheme, viewport={"width": 390, "height": 800})
    page.get_by_role("link", name="A tour in ten steps").click()
    pictures = page.locator("article img")
    expect(pictures).to_have_count(10)
    for place, step in enumerate(STEPS):
        picture = pictures.nth(place)
        picture.scroll_into_view_if_needed()
        page.wait_for_function("(picture) => picture.complete", arg=picture.element_handle())
        shown, width, inside = picture.evaluate(
            "(picture) => [picture.currentSrc, picture.naturalWidth, picture.clientWidth <= innerWidth]"
        )
        ending = "-dark" if scheme == "dark" else ""
        assert re.fullmatch(rf".*/guide/pictures/{step}{ending}\.webp\?v=[0-9a-f]+", shown)
        assert width == WINDOW["width"] and inside


def test_every_step_has_a_small_picture_in_both_schemes() -> None:
    assert len(STEPS) == len(set(STEPS)) == 10
    names = {f"{step}{ending}.webp" for step in STEPS for ending in ("", "-dark")}
    assert {path.name for path in (DOCS / "tour").iterdir()} == names
    for name in names:
        content = (DOCS / "tour" / name).read_bytes()
        assert content[8:12] == b"WEBP" and 3_000 < len(content) < MAX_PICTURE_BYTES, "make picture takes it anew"
