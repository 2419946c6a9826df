"""The whole way with the real worker and the demo model: start page, live jobs, attribution, neuron, link."""

import base64
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

import prunescope
from tests.pages.conftest import SCREENSHOTS, Open, Site
from tests.pages.test_links import CLIPBOARD, seen

pytestmark = [pytest.mark.pages, pytest.mark.slow]

PICTURE = SCREENSHOTS / "neuron.webp"
PATIENCE_MS = 240_000
"""For a worker that imports torch and prunes on a machine that does other things too."""


def test_from_the_start_page_to_a_shared_neuron(
    working_site: Site, open_page: Open, shot: Callable[[Page, str], None]
) -> None:
    page = open_page(f"{working_site.address}/", **CLIPBOARD)
    expect(page.locator("main")).to_contain_text("Nothing runs yet")
    page.get_by_role("link", name="Prune", exact=True).click()
    # As in the demo study, of which the README's picture is.
    page.get_by_label("Samples", exact=True).fill("32")
    page.get_by_label("Sequence length").fill("128")
    page.get_by_role("button", name="Start").click()
    status = page.locator("h1 + .state")
    expect(status).to_have_text("succeeded", timeout=PATIENCE_MS)
    assert page.locator("[data-log] [data-at]").count() >= 4, "a line for each layer at least"

    page.get_by_role("link", name="Open the model").click()
    expect(page.locator("table.pinned tbody tr")).to_have_count(4)
    page.get_by_role("link", name="Neurons that respond to words").click()
    expect(page.locator("[name=pruned]").first).to_be_checked()
    page.get_by_label("How many").fill("10")
    page.get_by_label("Influential words", exact=True).select_option("cot")
    page.get_by_role("button", name="Start").click()
    expect(status).to_have_text("succeeded", timeout=PATIENCE_MS)

    page.goto(f"{working_site.address}/")
    page.locator(".found .title").first.click()
    damaged = page.locator(".card", has_text="Most damaged neurons")
    line = damaged.locator("tbody tr").first
    name, word, change = (line.locator("td").nth(column).inner_text() for column in (1, 3, 5))
    assert change.startswith("\N{MINUS SIGN}"), "it fell on its word"
    line.get_by_role("link").click()
    expect(page.locator("h1")).to_have_text(name)
    expect(page.locator(".facts")).to_contain_text(f"on “{word}” {change} after pruning")
    words = page.locator(".card", has=page.locator("h2", has_text="Influential words"))
    lost = words.locator("tr", has_text=word).locator("td").last
    assert lost.inner_text().startswith("\N{MINUS SIGN}"), "the text that is shown is one in which it fell"
    assert page.locator("[data-tell=difference]").inner_text().startswith("\N{MINUS SIGN}")
    shot(page, "whole-way-neuron-light")

    layer, neuron = name.removeprefix("L").split("/N")
    page.keyboard.press("ArrowRight")
    expect(page.locator("h1")).to_have_text(f"L{layer}/N{int(neuron) + 1}")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("h1")).to_have_text(name)
    page.keyboard.press("c")
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    link = page.evaluate("navigator.clipboard.readText()")
    assert seen(open_page(link)) == seen(page)
    take_picture(working_site, open_page)


def take_picture(site: Site, open_page: Open) -> None:
    """The README's picture: of the ten first neurons, the page of the one that fell most, down to its heatmaps."""
    with prunescope.connect(site.address) as client:
        neurons = client.get(f"{site.attribution}/neurons")["items"][:10]
    most = max(neurons, key=lambda neuron: neuron["drop"])
    page = open_page(site.address + most["href"], viewport={"width": 1200, "height": 800}, device_scale_factor=2)
    panes = page.get_by_role("region", name="The text, token by token").bounding_box()
    assert panes is not None
    clip = {"x": 0, "y": 0, "width": 1200, "height": panes["y"] + panes["height"] + 16, "scale": 1}
    options = {"format": "webp", "quality": 80, "clip": clip, "captureBeyondViewport": True}
    taken = page.context.new_cdp_session(page).send("Page.captureScreenshot", options)
    PICTURE.write_bytes(base64.b64decode(taken["data"]))
