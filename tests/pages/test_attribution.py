"""The page of an attribution: its map, drawn by the server."""

import re

import pytest
from playwright.sync_api import expect

from tests.pages.conftest import PHONE, Open, Site

pytestmark = pytest.mark.pages


@pytest.fixture
def attribution(seeded_app: Site) -> str:
    return seeded_app.address + seeded_app.attribution


def test_the_page_is_complete_without_scripts_and_needs_no_plotly(attribution: str, open_page: Open) -> None:
    page = open_page(attribution, java_script_enabled=False)
    cell = page.locator("[data-map] td a").first
    expect(cell).to_have_attribute("aria-label", re.compile(r"^L0/N\d+, Score \d\.\d{3}, "))
    expect(page.locator("svg.changes rect").first).to_be_visible()
    assert "plotly" not in page.content()
    name = (cell.get_attribute("aria-label") or "").partition(",")[0]
    cell.click()
    expect(page.locator("h1")).to_have_text(name)


def test_keys_move_in_the_map_and_the_tooltip_tells_the_cell(attribution: str, open_page: Open) -> None:
    page = open_page(attribution)
    cells = page.locator("[data-map] td a")
    assert cells.evaluate_all("cells => cells.filter(cell => cell.tabIndex === 0).length") == 1
    cells.first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    focused = page.locator("[data-map] td a:focus")
    expect(focused).to_have_attribute("tabindex", "0")
    name = (focused.get_attribute("aria-label") or "").partition(",")[0]
    assert name.startswith("L1/")
    expect(page.get_by_role("tooltip")).to_contain_text(name)
    page.keyboard.press("Enter")
    page.wait_for_url("**/neurons/1/**")
    expect(page.locator("h1")).to_have_text(name)


def test_a_first_tap_shows_the_values_and_a_second_one_opens_the_neuron(attribution: str, open_page: Open) -> None:
    page = open_page(attribution, viewport=PHONE, has_touch=True)
    cell = page.locator("[data-map] td a").first
    name = (cell.get_attribute("aria-label") or "").partition(",")[0]
    cell.tap()
    expect(page.get_by_role("tooltip")).to_contain_text(name)
    assert page.url == attribution
    cell.tap()
    page.wait_for_url("**/neurons/**")
    expect(page.locator("h1")).to_have_text(name)


def test_long_lists_are_folded_and_marked_words_lead_to_their_neurons(attribution: str, open_page: Open) -> None:
    page = open_page(attribution)
    expect(page.get_by_text("Show all 20").first).to_be_visible()
    rows = page.locator("section", has_text="Neurons that respond to words").last.locator("tbody tr")
    assert rows.evaluate_all("rows => rows.filter(row => row.checkVisibility()).length") == 10
    mark = page.locator("#texts mark").first
    word = mark.inner_text()
    mark.click()
    page.wait_for_url("**?word=*")
    expect(page.locator("h2", has_text=f"Neurons of “{word}”")).to_be_visible()
