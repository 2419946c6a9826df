"""The part of the prune form that says which text steers: a set's mode is asked for where it has one."""

import pytest
from playwright.sync_api import expect

from tests.pages.conftest import Open, Site

pytestmark = pytest.mark.pages


def test_sets_of_examples_ask_how_they_fill_a_window(seeded_app: Site, open_page: Open) -> None:
    page = open_page(f"{seeded_app.address}/jobs/new")
    text, mode, method = (
        page.locator(f"[name='{name}']") for name in ("calibration.dataset", "calibration.mode", "method.name")
    )
    preview = page.locator("[data-preview]")
    method.select_option("wanda")
    text.select_option("rte")
    mode.select_option("single")
    expect(preview).to_contain_text('"mode": "single"')
    text.select_option("wikitext2")
    expect(mode).to_be_hidden()
    expect(preview).not_to_contain_text('"mode"')
    text.select_option("rte")
    expect(mode).to_be_visible()
    method.select_option("magnitude")
    expect(mode).to_be_hidden()
    expect(preview).not_to_contain_text('"calibration"')
    method.select_option("wanda")
    page.get_by_role("button", name="Start").click()
    expect(page.locator("h1")).to_have_text("Prune demo · wanda · rte single 32x128 · 0.5")
    page.get_by_role("button", name="Cancel").click()
