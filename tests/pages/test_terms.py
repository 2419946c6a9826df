"""Definitions of terms in a browser: on hover, focus and tap, and without scripts as the button's title."""

import pytest
from playwright.sync_api import expect

from prunescope.server.site.formats import definitions
from tests.pages.conftest import PHONE, Open, Site

pytestmark = pytest.mark.pages


def test_a_term_is_defined_on_hover_and_focus(seeded_app: Site, open_page: Open) -> None:
    page = open_page(f"{seeded_app.address}{seeded_app.attribution}")
    tip = page.get_by_role("tooltip")
    score = page.locator("th button.term", has_text="Score").first
    score.hover()
    expect(tip).to_contain_text(definitions()["Score"])
    page.mouse.move(0, 0)
    expect(tip).to_be_hidden()
    score.focus()
    expect(tip).to_contain_text(definitions()["Score"])
    expect(score).to_have_accessible_description(tip.inner_text().replace("\n", " "))
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()


def test_a_term_is_defined_on_tap(seeded_app: Site, open_page: Open) -> None:
    page = open_page(f"{seeded_app.address}{seeded_app.attribution}/neurons/1/5", viewport=PHONE, has_touch=True)
    page.locator("button.term", has_text="lift").tap()
    tip = page.get_by_role("tooltip")
    expect(tip).to_contain_text(definitions()["lift"])
    box = tip.bounding_box()
    assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= PHONE["width"]


def test_without_scripts_the_definition_is_the_title(seeded_app: Site, open_page: Open) -> None:
    page = open_page(f"{seeded_app.address}{seeded_app.attribution}", java_script_enabled=False)
    expect(page.locator("th button.term", has_text="Score").first).to_have_attribute("title", definitions()["Score"])
