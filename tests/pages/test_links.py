"""Links: the address bar, the copied link and the share link open what was seen."""

from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.pages.conftest import DESK, Open, Site

pytestmark = pytest.mark.pages

CLIPBOARD = {"permissions": ["clipboard-read", "clipboard-write"]}
VIEW = "?example=1&curve=log&token=7"


def seen(page: Page) -> dict[str, object]:
    """Everything of a neuron page that a link has to bring back."""
    return {
        "title": page.locator("h1").inner_text(),
        # What leads to another page is not part of a shared, read-only view.
        "shown": page.locator("#shown-token").inner_text().partition("\nOther neurons")[0],
        "panes": [pane.inner_text() for pane in page.locator(".pane").all()],
        "shades": page.locator("[data-pane] [data-i]").evaluate_all("els => els.map(e => e.className)"),
        "words": page.locator(".card", has=page.locator("h2", has_text="Influential words")).inner_text(),
    }


@pytest.fixture
def neuron(seeded_app: Site) -> str:
    return f"{seeded_app.address}{seeded_app.attribution}/neurons/1/5{VIEW}"


def test_copied_link_opens_the_same_view(seeded_app: Site, neuron: str, open_page: Open) -> None:
    page = open_page(neuron, **CLIPBOARD)
    page.keyboard.press("ArrowRight")
    expect(page.locator("h1")).to_have_text("L1/N6")
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    link = page.evaluate("navigator.clipboard.readText()")
    digest = page.locator("main").get_attribute("data-digest")
    assert link == f"{page.url}&digest={digest}"
    copied = open_page(link)
    assert seen(copied) == seen(page)
    expect(copied.locator(".notices")).to_have_count(0)


def test_copies_without_a_clipboard(neuron: str, open_page: Open) -> None:
    page = open_page(neuron)
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('not here')); }")
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator(".toast")).to_contain_text(page.url)


def test_share_link_is_the_same_view_read_only(
    seeded_app: Site, neuron: str, open_page: Open, shot: Callable[[Page, str], None]
) -> None:
    page = open_page(neuron, **CLIPBOARD)
    page.get_by_role("button", name="Share link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    link = page.evaluate("navigator.clipboard.readText()")
    assert link.startswith(f"{seeded_app.address}/s/")
    shared = open_page(link, viewport=DESK)
    assert seen(shared) == seen(page)
    assert shared.url == link, "the link stays in the address bar"
    expect(shared.locator("header")).to_contain_text("read-only")
    assert shared.locator("header input, footer a, [data-method], [data-share], [data-step], [data-view]").count() == 0
    expect(shared.locator("header a")).to_have_text(["Open in the dashboard"])
    shared.locator("[data-pane=dense] .i").first.click()
    shared.keyboard.press("ArrowRight")
    assert shared.url == link
    shot(shared, "shared-neuron-light")
    shared.get_by_role("link", name="Open in the dashboard").click()
    expect(shared.get_by_role("button", name="Share link")).to_be_visible()
    assert seen(shared) == seen(page)
    token = link.rpartition("/")[2]
    assert httpx.delete(f"{seeded_app.address}/api/v1/shares/{token}").status_code == 204
    gone = open_page(link, status=404)
    expect(gone.locator("h1")).to_have_text("The link opens nothing")


@pytest.mark.parametrize("path", ["", "/layers/1?show=difference", "/neurons/1/5"])
def test_pages_of_an_attribution_can_be_shared(seeded_app: Site, path: str, open_page: Open) -> None:
    answer = httpx.post(f"{seeded_app.address}/api/v1/shares", json={"path": seeded_app.attribution + path})
    page = open_page(answer.json()["url"])
    assert page.locator("[data-method], [data-share], [data-view]").count() == 0
