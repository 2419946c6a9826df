"""The model page: the table of error or sparsity, the link that keeps which, and the ways from here and to here."""

import csv
import io
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.pages.conftest import DESK, PHONE, Open, Site, scrolls_sideways
from tests.pages.stand_in import LAYERS, MATRICES

pytestmark = pytest.mark.pages

CLIPBOARD = {"permissions": ["clipboard-read", "clipboard-write"]}


@pytest.fixture
def model(seeded_app: Site) -> str:
    """A model that was pruned with calibration text."""
    records = seeded_app.stores.results.list("model")[0]
    return next(record.id for record in records if record.spec["method"]["name"] == "wanda")


def cells(page: Page) -> list[list[str]]:
    """The table's numbers, a list for each layer."""
    rows = page.locator("table.pinned tbody tr").all()
    return [row.locator("td").all_inner_texts()[: len(MATRICES)] for row in rows]


def test_the_address_keeps_what_the_table_shows(seeded_app: Site, model: str, open_page: Open) -> None:
    page = open_page(f"{seeded_app.address}/models/{model}", **CLIPBOARD)
    document = page.request.get(f"{seeded_app.address}/api/v1/models/{model}").json()
    errors = [[f"{matrix['relative_error']:.3f}" for matrix in layer["matrices"]] for layer in document["layers"]]
    assert cells(page) == errors and len(errors) == LAYERS
    page.get_by_role("link", name="Sparsity").click()
    expect(page.locator("h2").first).to_contain_text("Sparsity")
    assert page.url.endswith("?map=sparsity")
    assert cells(page) == [["50.0\u00a0%"] * len(MATRICES)] * LAYERS
    page.get_by_role("button", name="Share link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    shared = open_page(page.evaluate("navigator.clipboard.readText()"), viewport=DESK)
    assert cells(shared) == cells(page)
    assert shared.locator("[data-view], [data-method], [data-share]").count() == 0


def test_a_cell_tells_its_matrix_to_pointer_and_keys(seeded_app: Site, model: str, open_page: Open) -> None:
    page = open_page(f"{seeded_app.address}/models/{model}")
    cells = page.locator("[data-map] td[aria-label]")
    cells.first.hover()
    tip = page.get_by_role("tooltip")
    expect(tip).to_contain_text("layer 0 self_attn.q_proj")
    expect(tip).to_contain_text("64 × 64")
    expect(tip).to_contain_text("relative error 0.")
    cells.first.focus()
    page.keyboard.press("ArrowDown")
    expect(tip).to_contain_text("layer 1 self_attn.q_proj")
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_reads_without_script(
    viewport: dict[str, int], seeded_app: Site, model: str, open_page: Open, shot: Callable[[Page, str], None]
) -> None:
    page = open_page(f"{seeded_app.address}/models/{model}", java_script_enabled=False, viewport=viewport)
    assert all(number.startswith("0.") for row in cells(page) for number in row)
    page.get_by_role("link", name="Sparsity").click()
    assert cells(page)[0][0] == "50.0\u00a0%"
    expect(page.get_by_text("Where the time went")).to_be_visible()


def test_a_wide_table_scrolls_in_its_own_box(seeded_app: Site, model: str, open_page: Open) -> None:
    page = open_page(f"{seeded_app.address}/models/{model}", viewport=PHONE)
    assert not scrolls_sideways(page)
    box = page.locator(".scroll:has(table.pinned)")
    assert box.evaluate("box => box.scrollWidth > box.clientWidth")
    name = page.locator("table.pinned tbody th").first
    before = name.bounding_box()
    box.evaluate("box => { box.scrollLeft = 200; }")
    assert name.bounding_box() == before, "the layer stays in sight"


def test_the_table_as_a_file(seeded_app: Site, model: str, open_page: Open) -> None:
    page = open_page(f"{seeded_app.address}/models/{model}")
    page.get_by_text("Export").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text(encoding="utf-8"))))
    assert download.value.suggested_filename == f"matrices-{model}.csv"
    assert len(rows) == LAYERS * len(MATRICES)
    assert [f"{float(row['relative_error']):.3f}" for row in rows[: len(MATRICES)]] == cells(page)[0]


def test_prunes_again_with_another_pattern(seeded_app: Site, model: str, open_page: Open) -> None:
    page = open_page(f"{seeded_app.address}/models/{model}")
    spec = seeded_app.stores.results.get("model", model).spec
    page.get_by_role("link", name="Prune again").click()
    expect(page.locator("[name='method.name']")).to_have_value("wanda")
    expect(page.locator("[name='calibration.seed']")).to_have_value(str(spec["calibration"]["seed"]))
    page.get_by_label("Pattern").fill("0.125")
    page.get_by_role("button", name="Start").click()
    expect(page.locator("h1")).to_contain_text("0.125")
    job = seeded_app.stores.jobs.get(page.url.rpartition("/")[2])
    assert job.spec == {**spec, "pattern": {"kind": "unstructured", "sparsity": 0.125}}
    seeded_app.stores.jobs.cancel(job.id)


def test_a_study_leads_to_each_of_its_models(seeded_app: Site, open_page: Open) -> None:
    first = seeded_app.stores.results.list("study")[0][-1].id  # other tests may have started studies of their own
    study = f"{seeded_app.address}/studies/{first}"
    page = open_page(f"{study}?rows=method&columns=pattern")
    links = page.locator("section", has_text="Pruned models").get_by_role("link")
    expect(links).to_have_count(4)
    links.first.click()
    expect(page.locator("h2").first).to_be_visible()
    assert "/models/" in page.url
    page = open_page(f"{study}?rows=method&columns=pattern")  # each cell a mean over tasks, of one model
    page.locator("td.cell").nth(1).hover()
    page.get_by_role("link", name="Its model").click()
    expect(page.locator("h1")).to_have_text("wanda · demo 8x64 · 2:4")
    page = open_page(f"{study}?rows=task&columns=pattern")  # a mean over methods
    expect(page.get_by_role("link", name="Its model")).to_be_hidden()
