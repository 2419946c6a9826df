"""The study page by perplexity: the control, the table, what a cell tells, the charts and the files."""

import csv
import io
import math
import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.pages.conftest import Open, Site, scrolls_sideways, served
from tests.pages.test_study import LOOKS, drawn, table

pytestmark = pytest.mark.pages

GRID = {
    "name": "Methods and sparsities, by accuracy and perplexity",
    "models": ["demo"],
    "methods": ["magnitude", "wanda", "ria"],
    "patterns": ["0.25", "0.5", "0.75", "2:4"],
    "calibrations": [{"dataset": "demo"}, {"dataset": "c4"}],
    "seqlens": [32, 64],
    "tasks": ["reviews", "sst2"],
    "perplexity": {"datasets": ["wikitext2", "ptb", "c4"], "seqlen": 128},
}
ALONE = {
    "name": "Perplexity alone",
    "models": ["demo"],
    "methods": ["magnitude"],
    "patterns": ["0.5"],
    "perplexity": ["ptb"],
}


SETS = {
    "name": "Many calibration sets",
    "models": ["demo"],
    "methods": ["wanda"],
    "patterns": ["0.25", "0.5"],
    "calibrations": [{"dataset": name} for name in ("demo", "c4", "ptb", "wikitext2", "sst2", "rte", "boolq")],
    "perplexity": ["ptb"],
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> Iterator[Site]:
    """A study of both measures, and two of perplexity alone."""
    for site in served(tmp_path_factory.mktemp("perplexities"), f"{redis_server}?db=7"):
        for spec in (GRID, SETS, ALONE):
            site.submit("study", dict(spec))
        site.worker.work_off()
        yield site


@pytest.fixture
def study(site: Site) -> str:
    return f"{site.address}/studies/{site.stores.results.list('study')[0][-1].id}"


@pytest.mark.parametrize("look", LOOKS)
def test_every_state_of_the_page(look: str, study: str, open_page: Open, shot: Callable[[Page, str], None]) -> None:
    queries = {
        "texts": "rows=task&columns=method&pattern=0.5",
        "ratio": "rows=method&columns=pattern&show=difference&task=wikitext2&calibration=c4&calibration=none",
        "chart-sparsity": "rows=method&columns=pattern&chart=sparsity",
        "chart-seqlen": "rows=method&columns=seqlen&chart=seqlen",
        "chart-method": "rows=method&columns=calibration&chart=method&show=difference",
    }
    for name, query in queries.items():
        page = open_page(f"{study}?measure=perplexity&{query}", **LOOKS[look])
        if "chart=" in query:
            drawn(page)
        shot(page, f"study-perplexity-{name}-{look}")
        assert not scrolls_sideways(page), name
        page.context.close()


@pytest.mark.parametrize("look", LOOKS)
def test_many_lines_have_a_panel_each_on_one_scale(
    look: str, site: Site, open_page: Open, shot: Callable[[Page, str], None]
) -> None:
    study = site.stores.results.list("study")[0][1].id
    query = "rows=calibration&columns=pattern&chart=sparsity"
    page = open_page(f"{site.address}/studies/{study}?{query}", **LOOKS[look])
    drawn(page)
    axes = page.evaluate(
        "Object.entries(document.querySelector('[data-chart]').layout)"
        ".filter(([name]) => name.startsWith('yaxis')).map(([, axis]) => [axis.type, ...axis.range])"
    )
    assert len(axes) == 7 and {axis[0] for axis in axes} == {"log"}
    low, high = axes[0][1:]
    assert all(axis[1:] == [low, high] for axis in axes), "all on one scale"
    table = page.request.get(f"{site.address}/api/v1/studies/{study}?{query}").json()["chart"]["table"]
    told = [cell["perplexity"] for row in table["rows"] for cell in row["cells"]]
    assert low < math.log10(min(told)) < math.log10(max(told)) < high
    shot(page, f"study-perplexity-chart-panels-{look}")
    assert not scrolls_sideways(page)


def test_one_goes_from_accuracy_to_perplexity_and_back(study: str, open_page: Open) -> None:
    page = open_page(f"{study}?rows=task&columns=method&task=sst2&chart=sparsity")
    measures = page.get_by_role("group", name="What was measured")
    measures.get_by_role("link", name="Perplexity").click()
    expect(page.locator("[data-grid] thead")).to_contain_text("text")
    assert "measure=perplexity" in page.url and "task=sst2" not in page.url, "a task is no text"
    drawn(page)
    assert "chart=sparsity" in page.url and page.locator(".filters .chip").count() == 0
    document = page.request.get(page.url.replace("/studies/", "/api/v1/studies/")).json()
    told = [[f"{cell['perplexity']:.2f}" for cell in row["cells"]] for row in document["table"]["rows"]]
    assert table(page) == told
    page.get_by_label("Rows").select_option("method")  # the form keeps the measure
    expect(page.locator("[data-grid] thead")).to_contain_text("wikitext2")
    assert "measure=perplexity" in page.url
    measures.get_by_role("link", name="Accuracy", exact=True).click()
    expect(page.locator("[data-grid] thead")).to_contain_text("reviews")
    assert "measure" not in page.url


def test_a_cell_tells_its_interval_ratio_and_windows(study: str, open_page: Open) -> None:
    page = open_page(f"{study}?measure=perplexity&rows=task&columns=pattern&method=magnitude")
    cell = page.locator("[data-grid] td.cell a").first
    cell.focus()
    details = page.locator("[data-details-rows]")
    for part in (r"perplexity\s*[\d.]+ \([\d.]+ to [\d.]+\)", r"ratio\s*[\d.]+\s×", r"loss\s*\+[\d.]+ nats a token \("):
        expect(details).to_contain_text(re.compile(part))
    expect(details).to_contain_text("windows worse")
    expect(details).not_to_contain_text("chance")
    cell.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("perplexity on wikitext2")


@pytest.mark.parametrize("look", LOOKS)
def test_an_evaluation_has_the_paired_interval_that_the_study_has(
    look: str, site: Site, study: str, open_page: Open, shot: Callable[[Page, str], None]
) -> None:
    only = "method=wanda&pattern=0.5&calibration=demo&seqlen=32"
    page = open_page(f"{study}?measure=perplexity&rows=task&columns=method&show=difference&{only}", **LOOKS[look])
    cell = page.locator("td.cell a").first
    cell.focus()
    told = re.search(
        r"ratio\s*([\d.]+)\s×\s*\(([\d.]+) to ([\d.]+)\)", page.locator("[data-details-rows]").inner_text()
    )
    assert told is not None
    cell.click()
    row = page.locator("tr.row", has=page.get_by_text("wikitext2", exact=True))
    expect(row).to_be_visible()
    place = page.url.removeprefix(site.address)
    text = page.request.get(f"{site.address}/api/v1{place}").json()["perplexity"][0]
    ends = [math.exp(end) for end in text["paired"]["interval"]]
    assert [float(each) for each in told.groups()] == pytest.approx([text["ratio"], *ends], abs=6e-4)
    expect(row).to_contain_text(f"{text['ratio']:.2f}\xa0×")
    expect(row).to_contain_text(f"{ends[0]:.2f}\xa0× to {ends[1]:.2f}\xa0×")
    shot(page, f"evaluation-perplexity-{look}")
    assert not scrolls_sideways(page)


def test_perplexity_alone_is_shown_at_once(site: Site, open_page: Open) -> None:
    page = open_page(f"{site.address}/studies/{site.stores.results.list('study')[0][0].id}")
    assert len(table(page)) == 1 and page.get_by_role("group", name="What was measured").count() == 0
    expect(page.locator(".legend").first).to_contain_text("× dense")


def test_the_files_are_of_what_is_shown(study: str, open_page: Open) -> None:
    page = open_page(f"{study}?measure=perplexity&rows=task&columns=pattern&show=difference")
    for name in ("CSV", "All cells"):
        page.locator("summary", has_text="Export").click()
        with page.expect_download() as download:
            page.locator(".menu[open]").get_by_role("link", name=re.compile(f"^{name}")).click()
        assert "perplexity" in download.value.suggested_filename
        head, first, *_ = csv.reader(io.StringIO(download.value.path().read_text(encoding="utf-8")))
        if name == "CSV":
            assert head[:2] == ["text", "measure"]
            assert first[1] == "perplexity ratio"
            assert [f"{float(value):.3f}" for value in first[3:-1]] == table(page)[0]
        else:
            assert "ratio" in head and "windows_worse" in head


DRAWN = """() => {
  const box = document.querySelector("[data-chart]");
  const { series, logarithmic } = JSON.parse(document.getElementById("chart-data").textContent);
  const drawn = series.flatMap((each) => [...each.values, ...each.low, ...each.high]);
  const lines = box.layout.shapes.filter((shape) => shape.xref === "paper").map((shape) => shape.y0);
  const all = [...drawn, ...lines].filter((value) => value !== null);
  return { range: box._fullLayout.yaxis.range, all: all.map((value) => (logarithmic ? Math.log10(value) : value)) };
}"""


@pytest.mark.parametrize("measure", ["accuracy", "perplexity"])
@pytest.mark.parametrize("chart", ["sparsity", "seqlen", "method"])
def test_the_y_axis_fits_what_is_drawn(study: str, open_page: Open, chart: str, measure: str) -> None:
    page = open_page(f"{study}?rows=method&columns=pattern&chart={chart}&measure={measure}")
    page.locator("[data-chart] .main-svg").first.wait_for()
    found = page.evaluate(DRAWN)
    low, high = found["range"]
    assert low < min(found["all"])
    assert max(found["all"]) < high
    assert max(found["all"]) - min(found["all"]) > 0.6 * (high - low), "and not much more"


def test_the_axis_of_sparsities_fits_what_is_drawn(study: str, open_page: Open) -> None:
    page = open_page(f"{study}?rows=method&columns=pattern&chart=sparsity&pattern=0.25")
    page.locator("[data-chart] .main-svg").first.wait_for()
    low, high = page.evaluate("document.querySelector('[data-chart]')._fullLayout.xaxis.range")
    assert -5 < low < 0 < 25 < high < 30, "from the dense model at 0 to 25 %"


def test_no_calibration_set_is_not_counted_as_one(study: str, open_page: Open) -> None:
    page = open_page(f"{study}?rows=method&columns=pattern")
    expect(page.locator(".facts")).to_contain_text("2 calibration sets")
    expect(page.locator("summary", has_text="Calibration set:")).to_have_text("Calibration set: averaged, 2")
