"""The home page: a result first, then what runs, and the first steps; and the list of keys of every page."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.pages.conftest import DESK, PHONE, Open, Site, go, scrolls_sideways

pytestmark = pytest.mark.pages


@pytest.mark.parametrize(
    ("name", "look"),
    [
        ("light", {"viewport": DESK}),
        ("phone-dark", {"viewport": PHONE, "color_scheme": "dark"}),
        ("wide", {"viewport": {"width": 2560, "height": 1300}}),
    ],
)
def test_a_result_leads(
    name: str, look: dict[str, object], seeded_app: Site, open_page: Open, shot: Callable[[Page, str], None]
) -> None:
    page = open_page(f"{seeded_app.address}/", **look)
    found = page.request.get(f"{seeded_app.address}/api/v1/").json()["most_damaged"]
    result = page.get_by_role("region", name="this one lost most")
    expect(result.locator(".text")).to_have_count(2)
    expect(result.locator(".text .i").first).to_be_visible()
    headings = page.locator("h1, main h2").all_inner_texts()
    assert found["name"] in headings[1] and headings.index("First steps") > 1
    expect(page.locator(".steps li")).to_have_count(3)
    shot(page, f"home-leading-{name}")
    assert not scrolls_sideways(page)
    result.get_by_role("link", name="Open the neuron").click()
    expect(page.locator("h1")).to_have_text(found["name"])


def test_before_anything_was_done_the_steps_lead(empty_site: Site, open_page: Open) -> None:
    page = open_page(f"{empty_site.address}/")
    expect(page.get_by_text("this one lost most")).to_have_count(0)
    page.locator(".steps").get_by_role("link", name="Prune a model").click()
    expect(page.get_by_role("button", name="Start")).to_be_visible()


def test_every_page_lists_its_keys(seeded_app: Site, open_page: Open) -> None:
    page = open_page(f"{seeded_app.address}/")
    for address in ("/", "/jobs/new", "/search?q=bad", "/glossary", seeded_app.attribution):
        go(page, f"{seeded_app.address}{address}")
        page.locator("h1").click()
        page.keyboard.press("?")
        expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
    page.get_by_role("button", name="Keys").click()
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.get_by_role("button", name="Close").click()
    page.locator("footer [data-keys-switch]").uncheck()
    page.locator("h1").click()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
