"""From a word or a token to the neurons that respond to it, and a neuron's spread, in a browser."""

from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.pages.conftest import DESK, PHONE, Open, Site, scrolls_sideways

pytestmark = pytest.mark.pages

LOOKS = {
    "light": {"viewport": DESK, "color_scheme": "light"},
    "dark": {"viewport": DESK, "color_scheme": "dark"},
    "phone": {"viewport": PHONE, "color_scheme": "light"},
}


def test_from_a_word_to_a_token_to_a_neuron_and_back(seeded_app: Site, open_page: Open) -> None:
    page = open_page(f"{seeded_app.address}{seeded_app.attribution}?word=badly")
    page.get_by_role("link", name="By word or token").click()
    expect(page.locator("h1")).to_have_text("Which neurons respond to “badly”")
    page.locator(".chip", has_text="bitter").click()
    expect(page.locator("h1")).to_have_text("Which neurons respond to “bitter”")
    expect(page.locator("summary", has_text="Example 2 of 3")).to_be_visible()
    token = page.locator(".text a.i").nth(1)
    spelled = token.inner_text().strip()
    token.click()
    expect(page.locator("h1")).to_contain_text(spelled)
    expect(page.locator(".text a.c")).to_have_count(1)
    page.locator("summary", has_text="All layers").click()
    page.get_by_role("link", name="Layer 2").click()
    expect(page.locator("tbody a.key").first).to_contain_text("L2/N")
    expect(page.locator("h1")).to_contain_text(spelled)
    name = page.locator("tbody a.key").first.inner_text()
    page.locator("tbody a.key").first.click()
    expect(page.locator("h1")).to_have_text(name)
    expect(page.locator("#shown-token")).to_contain_text("Chosen")
    page.get_by_role("link", name="Other neurons that respond to").click()
    expect(page.locator("h1")).to_contain_text(spelled)
    page.locator("summary", has_text="Example 2").click()
    page.locator(".menu[open] a").nth(2).click()
    expect(page.locator("h1")).to_have_text("Which neurons respond to “adored”")


@pytest.mark.parametrize("look", LOOKS)
def test_looks(look: str, seeded_app: Site, open_page: Open, shot: Callable[[Page, str], None]) -> None:
    for name, query in (("word", "word=badly"), ("token", "example=2&token=12"), ("special", "token=0")):
        page = open_page(f"{seeded_app.address}{seeded_app.attribution}/answering?{query}", **LOOKS[look])
        shot(page, f"answering-{name}-{look}")
        assert not scrolls_sideways(page)
        assert page.locator("h1").count() == 1
        page.context.close()


def test_a_neurons_spread(seeded_app: Site, open_page: Open, shot: Callable[[Page, str], None]) -> None:
    path = f"{seeded_app.attribution}/neurons/1/5"
    document = httpx.get(f"{seeded_app.address}/api/v1{path}").json()
    page = open_page(f"{seeded_app.address}{path}?variant=pruned-2")
    card = page.locator("section", has=page.locator("#spread-title"))
    expect(card.locator("rect")).to_have_count(32)
    heights = card.locator("rect.pruned").evaluate_all("bars => bars.map(bar => bar.getBoundingClientRect().height)")
    counts = document["spread"]["pruned-2"]["histogram"]
    assert [height > 0 for height in heights] == [count > 0 for count in counts]
    card.get_by_text("Counts").click()
    cells = card.locator("details tbody td:nth-child(3)").all_inner_texts()
    assert cells == [f"{count:,}" for count in counts]
    page.keyboard.press("ArrowRight")
    expect(page.locator("h1")).to_have_text("L1/N6")
    expect(card.locator("rect")).to_have_count(32)
    shot(page, "neuron-spread-light")


def test_can_be_shared(seeded_app: Site, open_page: Open) -> None:
    path = f"{seeded_app.attribution}/answering?word=badly&layer=1"
    page = open_page(httpx.post(f"{seeded_app.address}/api/v1/shares", json={"path": path}).json()["url"])
    assert page.locator("[data-method], [data-share], [data-view], .menu, a.chip, .text a").count() == 0
    expect(page.locator(".bar")).to_contain_text("Layer 1")
    expect(page.locator("tbody a.key").first).to_contain_text("L1/N")
