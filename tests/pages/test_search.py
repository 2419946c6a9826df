"""The search field: suggestions by group, with the keyboard, and the page of all hits."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.pages.conftest import DESK, PHONE, Open, Site, scrolls_sideways

pytestmark = pytest.mark.pages


@pytest.mark.parametrize(
    ("name", "look"), [("light", {"viewport": DESK}), ("phone-dark", {"viewport": PHONE, "color_scheme": "dark"})]
)
def test_suggestions_follow_what_is_typed(
    name: str, look: dict[str, object], seeded_app: Site, open_page: Open, shot: Callable[[Page, str], None]
) -> None:
    page = open_page(f"{seeded_app.address}/", **look)
    page.locator("h1").click()
    page.keyboard.press("/")
    field = page.get_by_role("combobox", name="Search")
    expect(field).to_be_focused()
    field.fill("wanda")
    models = page.get_by_role("group", name="Models")
    expect(models.get_by_role("option").first).to_contain_text("wanda")
    expect(page.get_by_role("group", name="Attributions")).to_be_visible()
    expect(field).to_have_attribute("aria-expanded", "true")
    shot(page, f"suggestions-{name}")
    assert not scrolls_sideways(page)
    page.keyboard.press("ArrowDown")
    first = page.get_by_role("option").first
    expect(first).to_have_attribute("aria-selected", "true")
    expect(field).to_have_attribute("aria-activedescendant", first.get_attribute("id") or "none")
    page.keyboard.press("ArrowUp")
    expect(page.locator("[role=option][aria-selected=true]")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(page.get_by_role("listbox")).to_be_hidden()
    expect(field).to_be_focused()


def test_a_suggestion_is_opened_and_enter_alone_lists_all(seeded_app: Site, open_page: Open) -> None:
    page = open_page(f"{seeded_app.address}/models")
    field = page.get_by_role("combobox", name="Search")
    field.fill("1.2")
    expect(page.get_by_role("option", name="L1/N2")).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("L1/N2")
    field.fill("N2")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Search: N2")
    expect(page.get_by_role("region", name="Neurons").get_by_role("link").first).to_contain_text("/N2")


def test_text_of_users_is_no_markup(seeded_app: Site, open_page: Open) -> None:
    job = seeded_app.submit(
        "study", {"name": "<img src=x onerror=alert(1)> marked", "models": ["demo"], "tasks": ["rte"]}
    )
    page = open_page(f"{seeded_app.address}/")
    page.get_by_role("combobox", name="Search").fill("marked onerror")
    expect(page.get_by_role("group", name="Studies").get_by_role("option")).to_contain_text("<img src=x")
    assert page.locator(".suggestions img").count() == 0
    seeded_app.stores.jobs.cancel(job.id)
