"""Windows of every width: no page scrolls sideways, and no number is cut."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.pages.conftest import Open, Site
from tests.pages.test_look import addresses

pytestmark = pytest.mark.pages

WIDTHS = (320, 390, 768, 1280, 2560)
CUT = Path(__file__).with_name("cut.js").read_text(encoding="utf-8")


def settled(page: Page) -> None:
    """After the browser has laid the page out and told those who watch its sizes."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))")


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_cut_and_nothing_hangs_over(seeded_app: Site, open_page: Open, width: int) -> None:
    page = open_page(seeded_app.address, viewport={"width": width, "height": 900})
    attribution = seeded_app.attribution
    more = {"answering": f"{attribution}/answering?word=badly", "comparisons": f"{attribution}/compare"}
    for path in {**addresses(seeded_app), **more}.values():
        page.goto(seeded_app.address + path)
        settled(page)
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width, path
        assert page.evaluate(CUT) == [], path


@pytest.mark.parametrize("width", [320, 1280])
def test_a_name_without_blanks_stays_in_the_window(seeded_app: Site, open_page: Open, width: int) -> None:
    """A word may be an address of 200 characters, a text's label too."""
    page = open_page(seeded_app.address, viewport={"width": width, "height": 900})
    attribution = seeded_app.attribution
    for path in (*addresses(seeded_app).values(), f"{attribution}/answering?word=badly"):
        page.goto(seeded_app.address + path)
        for name in page.locator(".chip, .menu > summary").all():
            name.evaluate("(name) => { name.textContent = 'W'.repeat(200); }")
        settled(page)
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width, path


@pytest.mark.parametrize("width", [320, 390])
def test_a_column_comes_when_it_fits(seeded_app: Site, open_page: Open, width: int) -> None:
    page = open_page(f"{seeded_app.address}{addresses(seeded_app)['model']}", viewport={"width": width, "height": 900})
    box = page.locator(".scroll", has=page.locator("table.pinned"))
    for _ in range(12):
        settled(page)
        assert page.evaluate(CUT) == []
        box.evaluate("(box) => box.scrollBy(45, 0)")
    box.evaluate("(box) => { box.scrollLeft = box.scrollWidth; }")
    settled(page)
    assert page.evaluate(CUT) == []
    assert page.locator("table.pinned thead th").last.evaluate("(head) => getComputedStyle(head).opacity") == "1"


@pytest.mark.parametrize("width", [320, 390])
def test_menus_stay_in_the_window(seeded_app: Site, open_page: Open, width: int) -> None:
    page = open_page(seeded_app.address, viewport={"width": width, "height": 900})
    for name in ("neuron", "layer", "study", "attribution", "model"):
        page.goto(seeded_app.address + addresses(seeded_app)[name])
        for menu in page.locator("details.menu > summary").all():
            menu.click()
            assert page.evaluate("document.scrollingElement.scrollWidth") <= width, name
            box = page.locator("details.menu[open] > .list").bounding_box()
            assert box is not None
            assert box["x"] >= 0, name
            page.keyboard.press("Escape")


def test_a_spread_stands_under_its_heading(seeded_app: Site, open_page: Open) -> None:
    page = open_page(seeded_app.address + addresses(seeded_app)["study"])
    head = page.locator(".study-grid thead th").last.bounding_box()
    for cell in page.locator(".study-grid td.spread").all():
        box = cell.bounding_box()
        assert head is not None
        assert box is not None
        assert box["x"] + box["width"] == pytest.approx(head["x"] + head["width"], abs=1)
        assert cell.evaluate("(cell) => getComputedStyle(cell).display") == "table-cell"


def test_the_grids_of_a_layer_share_one_box_and_one_header(seeded_app: Site, open_page: Open) -> None:
    page = open_page(seeded_app.address + addresses(seeded_app)["layer"])
    boxes = page.locator("main .scroll")
    assert boxes.count() == page.locator("main thead").count() == 1
    assert page.locator("main [data-grid]").evaluate_all("grids => grids.map(grid => grid.dataset.grid)") == [
        "dense",
        "pruned",
        "difference",
    ]
    name = page.locator("[data-grid=difference] th[scope=row]").first
    before = name.evaluate("name => name.getBoundingClientRect().left")
    boxes.evaluate("box => { box.scrollLeft = 400; }")
    after = name.evaluate("name => name.getBoundingClientRect().left")
    assert after == pytest.approx(before, abs=1.5), "the neuron stays in sight"


def test_a_cell_of_any_grid_tells_and_opens_its_neuron_and_token(seeded_app: Site, open_page: Open) -> None:
    page = open_page(seeded_app.address + addresses(seeded_app)["layer"])
    row = page.locator("[data-grid=difference] tr").nth(3)
    name = row.locator("th").inner_text()
    row.locator("td").nth(4).hover()
    expect(page.get_by_role("tooltip")).to_contain_text(f"{name}: dense")
    row.locator("td").nth(4).click()
    page.wait_for_url("**/neurons/**token=4*")
    expect(page.locator("h1")).to_have_text(name)
