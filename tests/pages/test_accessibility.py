"""What an audit of accessibility found once, on every page: contrast, boxes that scroll, sizes of targets, headings of
tables; and keys that can be switched off (WCAG 2.2, A and AA)."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.pages.conftest import DESK, PHONE, Open, Site
from tests.pages.test_look import addresses
from tests.pages.test_narrow import settled

pytestmark = pytest.mark.pages

FAULTS = Path(__file__).with_name("faults.js").read_text(encoding="utf-8")

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"

FURTHER = ("/nothing", "/jobs/none", "/docs", "/corpora", "/guide/findings")
"""Pages that have no screenshot."""

VIOLATIONS = """async () => {
  const rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
  const found = await axe.run(document, { runOnly: rules, resultTypes: ["violations"], elementRef: false });
  return found.violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html.slice(0, 160)}`));
}"""
"""What axe finds on a page: the rule and the element of every violation."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["desk", "phone"])
def test_no_page_has_a_fault(seeded_app: Site, open_page: Open, scheme: str, size: str) -> None:
    page = open_page(seeded_app.address, viewport={"desk": DESK, "phone": PHONE}[size], color_scheme=scheme)
    for path in addresses(seeded_app).values():
        page.goto(seeded_app.address + path)
        settled(page)
        assert page.evaluate(FAULTS) == [], path


@pytest.mark.slow
@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed; `make check` installs it where npm is")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["desk", "phone"])
def test_axe_finds_no_violation(seeded_app: Site, open_page: Open, scheme: str, size: str) -> None:
    page = open_page(seeded_app.address, viewport={"desk": DESK, "phone": PHONE}[size], color_scheme=scheme)
    axe = AXE.read_text(encoding="utf-8")
    found = {}
    for path in (*addresses(seeded_app).values(), *FURTHER):
        page.goto(seeded_app.address + path)
        page.locator("#main, [aria-label=Title]").first.wait_for()  # Swagger UI draws its page by a script
        settled(page)
        page.evaluate(axe)
        found[path] = page.evaluate(VIOLATIONS)
    assert {path: violations for path, violations in found.items() if violations} == {}


@pytest.fixture
def neuron(seeded_app: Site, open_page: Open) -> Iterator[Page]:
    yield open_page(f"{seeded_app.address}{seeded_app.attribution}/neurons/1/5")


def test_single_key_shortcuts_can_be_switched_off(seeded_app: Site, neuron: Page) -> None:
    switch = neuron.locator("footer [data-keys-switch]")
    expect(switch).to_be_checked()
    neuron.keyboard.press("?")
    expect(neuron.locator("dialog [data-keys-switch]")).to_be_checked()
    neuron.locator("dialog [data-keys-switch]").uncheck()
    expect(switch).not_to_be_checked()
    neuron.keyboard.press("Escape")
    neuron.locator("h1").click()
    address = neuron.url
    for key in ("?", "ArrowRight", "n", "/", ",", "c"):
        neuron.keyboard.press(key)
    expect(neuron.locator("dialog")).to_be_hidden()
    assert neuron.url == address
    assert neuron.evaluate("document.activeElement.matches('[data-search], [data-i]')") is False
    expect(neuron.locator(".search kbd")).to_be_hidden()
    # What acts on the token that has the focus is no shortcut.
    neuron.locator("[data-pane=dense] .i").first.focus()
    neuron.keyboard.press("Enter")
    expect(neuron.locator("[data-pane=dense] .c")).to_have_count(1)
    neuron.goto(f"{seeded_app.address}{seeded_app.attribution}/layers/1")
    expect(neuron.locator("footer [data-keys-switch]")).not_to_be_checked()
    neuron.locator("h1").click()
    neuron.keyboard.press("ArrowUp")
    neuron.keyboard.press("/")
    expect(neuron.locator("h1")).to_have_text("Layer 1")
    neuron.locator("footer [data-keys-switch]").check()
    neuron.locator("h1").click()
    neuron.keyboard.press("ArrowUp")
    expect(neuron.locator("h1")).to_have_text("Layer 2")
    neuron.keyboard.press("/")
    expect(neuron.locator("[data-search]")).to_be_focused()
