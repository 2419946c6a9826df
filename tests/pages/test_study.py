"""The study page: any two axes, filters and charts that the address keeps, cells that tell what stands behind them."""

import csv
import io
import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from prunescope.jobs.documents import JobKind, JobState
from tests.pages.conftest import DESK, PHONE, Open, Site, go, scrolls_sideways, served

pytestmark = pytest.mark.pages

LOOKS = {
    "light": {"viewport": DESK, "color_scheme": "light"},
    "dark": {"viewport": DESK, "color_scheme": "dark"},
    "phone": {"viewport": PHONE, "color_scheme": "light"},
}
GRID = {
    "name": "Methods, sparsities, calibration sets",
    "models": ["demo"],
    "methods": ["magnitude", "wanda", "ria"],
    "patterns": ["0.25", "0.5", "0.75", "2:4"],
    "calibrations": [{"dataset": "demo"}, {"dataset": "c4"}, {"dataset": "sst2"}],
    "seqlens": [32, 64],
    "tasks": ["reviews", "sst2", "yelp", "imdb", "boolq", "mrpc", "copa", "wnli"],
}
ONE_SET = "calibration=sst2&calibration=none"
CHARTS = ["sparsity", "seqlen", "method", "group"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> Iterator[Site]:
    """A study with all axes, all of it done, and one whose cells are done, failed, running and queued."""
    for site in served(tmp_path_factory.mktemp("studies"), f"{redis_server}?db=5"):
        site.submit("study", dict(GRID))
        site.worker.work_off()
        yield site


@pytest.fixture
def study(site: Site) -> str:
    found = site.stores.results.list("study")[0]
    return f"{site.address}/studies/{found[-1].id}"


@pytest.fixture
def unfinished(tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> Iterator[Site]:
    """Of a study one prune has failed, one runs, the rest waits."""
    for site in served(tmp_path_factory.mktemp("unfinished"), f"{redis_server}?db=6"):
        spec = {**GRID, "patterns": ["0.5", "2:4"], "seqlens": [], "tasks": ["reviews", "sst2"]}
        job = site.submit("study", spec)
        prunes = [cell for cell in site.stores.studies.cells(job.id) if cell.kind is JobKind.PRUNE]
        for cell in site.stores.studies.cells(job.id):
            if cell.role == "dense" or (cell.role == "prune" and cell.job not in {prunes[-1].job, prunes[-2].job}):
                site.worker.finish(site.worker.take(cell.job))
        for cell in site.stores.studies.cells(job.id):
            if cell.role == "evaluate" and (
                cell.method == "magnitude" or (cell.method, cell.pattern) == ("wanda", "0.5")
            ):
                site.worker.finish(site.worker.take(cell.job))
            elif cell.role == "evaluate" and (cell.method, cell.pattern, cell.calibration) == ("wanda", "2:4", "sst2"):
                site.worker.take(cell.job)
        problem = {"type": "x", "title": "Out of memory", "status": 500, "detail": "CUDA out of memory", "errors": []}
        site.worker.fail(site.worker.take(prunes[-1].job), problem)
        site.worker.take(prunes[-2].job)
        yield site


def table(page: Page) -> list[list[str]]:
    return [
        [text.removesuffix("*") for text in row.locator("td.cell").all_inner_texts()]
        for row in page.locator("[data-grid] tbody tr:not(.group)").all()
    ]


def drawn(page: Page) -> None:
    chart = page.locator("[data-chart]")
    chart.scroll_into_view_if_needed()
    chart.locator(".main-svg").first.wait_for()


@pytest.mark.slow
@pytest.mark.parametrize("look", LOOKS)
def test_every_state_of_the_page(
    look: str, site: Site, study: str, open_page: Open, shot: Callable[[Page, str], None]
) -> None:
    queries = {
        "task-calibration": "rows=task&columns=calibration",
        "difference": "rows=method&columns=pattern&show=difference&calibration=demo&task=reviews",
        "single": "rows=pattern&columns=method&task=reviews&calibration=demo&calibration=none&seqlen=32&seqlen=none",
        **{f"chart-{name}": f"rows=method&columns=pattern&chart={name}" for name in CHARTS},
        "chart-panels": "rows=task&columns=pattern&chart=sparsity&method=wanda&seqlen=32&calibration=demo",
        "nothing": "rows=task&columns=method&method=magnitude&calibration=c4",
    }
    page = open_page(study, **LOOKS[look])
    for name, query in queries.items():
        go(page, f"{study}?{query}")
        if "chart=" in query:
            drawn(page)
        shot(page, f"study-{name}-{look}")
        assert not scrolls_sideways(page), name


def test_any_two_axes_and_filters_are_in_the_address(site: Site, study: str, open_page: Open) -> None:
    page = open_page(f"{study}?rows=task&columns=calibration")
    page.get_by_label("Columns").select_option("method")
    expect(page.locator("[data-grid] thead")).to_contain_text("magnitude")
    assert "columns=method" in page.url
    page.get_by_label("Rows").select_option("method")  # the other axis: the two change places
    expect(page.locator("[data-grid] thead")).to_contain_text("reviews")
    assert "rows=method" in page.url and "columns=task" in page.url
    page.locator("summary", has_text="Pattern:").click()
    page.get_by_label("2:4", exact=True).check()
    page.get_by_role("button", name="Apply").locator("visible=true").click()
    chip = page.locator(".filters .chip", has_text="2:4")
    expect(chip).to_be_visible()
    assert "pattern=2%3A4" in page.url
    document = page.request.get(page.url.replace("/studies/", "/api/v1/studies/")).json()
    assert document["filters"] == {"pattern": ["2:4"]}
    shown = [[f"{100 * cell['accuracy']:.1f}" for cell in row["cells"]] for row in document["table"]["rows"]]
    assert table(page) == shown
    page.get_by_role("link", name="Difference to dense").click()
    expect(page.locator("[aria-current]", has_text="Difference")).to_be_visible()
    assert "show=difference" in page.url and "pattern=2%3A4" in page.url
    page.locator(".filters .chip", has_text="2:4").click()
    expect(page.locator(".filters")).to_have_count(0)
    assert "pattern" not in page.url


def test_the_form_works_without_script(site: Site, study: str, open_page: Open) -> None:
    page = open_page(f"{study}?rows=task&columns=calibration&show=difference", java_script_enabled=False)
    page.get_by_label("Columns").select_option("pattern")
    page.locator("summary", has_text="Method:").click()
    page.get_by_label("wanda", exact=True).check()
    page.get_by_role("button", name="Apply").locator("visible=true").click()
    assert {"rows=task", "columns=pattern", "method=wanda", "show=difference"} <= set(page.url.split("?")[1].split("&"))
    assert page.locator("[data-grid] thead th").all_inner_texts()[2:-1] == ["0.25", "0.5", "0.75", "2:4"]
    expect(page.locator(".filters .chip", has_text="wanda")).to_be_visible()


def test_a_cell_tells_what_stands_behind_it_and_opens_its_examples(site: Site, study: str, open_page: Open) -> None:
    page = open_page(
        f"{study}?rows=pattern&columns=method&task=reviews&calibration=demo&calibration=none&seqlen=32&seqlen=none"
    )
    document = page.request.get(page.url.replace("/studies/", "/api/v1/studies/")).json()
    first = document["table"]["rows"][0]["cells"][0]
    details = page.locator("[data-details]")
    page.locator("[data-cell]").nth(1).hover()
    expect(details.locator("h2")).to_have_text("0.25 · wanda")
    page.locator("[data-cell]").first.focus()
    expect(details.locator("h2")).to_have_text("0.25 · magnitude")
    expect(details).to_contain_text(f"{100 * first['accuracy']:.1f} %")
    expect(details).to_contain_text(re.compile(r"rows\s*120"))
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(details.locator("h2")).to_have_text("0.5 · wanda")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(re.escape(first["href"]) + "$"))


def test_on_a_phone_a_cell_with_the_focus_tells_it_beside_itself(site: Site, study: str, open_page: Open) -> None:
    page = open_page(f"{study}?rows=task&columns=calibration", viewport=PHONE)
    page.locator("[data-cell]").first.focus()
    expect(page.get_by_role("tooltip")).to_contain_text("accuracy")
    assert not scrolls_sideways(page)


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_is_chosen_in_the_address_and_its_numbers_are_a_table(
    name: str, site: Site, study: str, open_page: Open
) -> None:
    page = open_page(f"{study}?rows=task&columns=calibration")
    document = page.request.get(f"{study}?chart={name}".replace("/studies/", "/api/v1/studies/")).json()
    page.locator("summary", has_text="Chart:").click()
    page.get_by_role("link", name=document["chart"]["title"]).click()
    drawn(page)
    assert f"chart={name}" in page.url
    names = {
        row["label"]
        for row in page.request.get(page.url.replace("/studies/", "/api/v1/studies/")).json()["chart"]["table"]["rows"]
    }
    traces = page.evaluate("document.querySelector('[data-chart]').data.map(trace => trace.name).filter(Boolean)")
    assert set(traces) == names
    with page.expect_download() as download:
        page.locator("section", has_text="The numbers:").get_by_role("link", name="CSV").click()
    with download.value.path().open(newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file))
    assert {line[0] for line in lines[1:]} == names
    page.get_by_role("link", name="Close").click()
    expect(page.locator("[data-chart]")).to_have_count(0)
    assert "chart" not in page.url


def test_the_table_is_exported_as_it_is_shown(site: Site, study: str, open_page: Open) -> None:
    page = open_page(f"{study}?rows=task&columns=pattern&method=wanda&show=difference")
    for name, form in (("CSV", "csv"), ("LaTeX", "tex"), ("HTML", "html"), ("JSON", "json")):
        page.locator("summary", has_text="Export").click()
        with page.expect_download() as download:
            page.locator(".menu[open]").get_by_role("link", name=re.compile(f"^{name}")).click()
        assert download.value.suggested_filename.endswith(f"task-by-pattern.{form}")
        text = download.value.path().read_text(encoding="utf-8")
        if form == "csv":
            head, *lines = csv.reader(io.StringIO(text))
            assert head == ["task", "measure", "group", "dense", "0.25", "0.5", "0.75", "2:4", "spread"]
            numbers = [[f"{100 * float(value):+.1f}".replace("-", "−") for value in line[4:-1]] for line in lines]
            assert numbers == [
                [cell.replace("0.0", "+0.0") if cell == "0.0" else cell for cell in row] for row in table(page)
            ]
    page.locator("summary", has_text="Export").click()
    with page.expect_download() as download:
        page.get_by_role("link", name=re.compile("All cells")).click()
    assert download.value.suggested_filename.endswith("cells.csv")


def test_what_failed_is_told_and_tried_again_alone(
    unfinished: Site, open_page: Open, shot: Callable[[Page, str], None]
) -> None:
    address = f"{unfinished.address}/studies/{unfinished.newest('study')}?rows=method&columns=pattern&{ONE_SET}"
    for look, options in LOOKS.items():
        page = open_page(address, **options)
        expect(page.locator("td.failed").first).to_be_visible()
        signs = table(page)
        assert signs[1][1:] == ["◐"] and signs[2] == ["·", "✕"], "wanda runs, ria waits and failed"
        shot(page, f"study-unfinished-{look}")
        assert not scrolls_sideways(page)
        page.context.close()
    page = open_page(address)
    failures = page.locator("[data-failures]")
    expect(failures).to_contain_text("CUDA out of memory")
    before = failures.locator("li").count()
    failed = [job.id for job in unfinished.stores.jobs.list(kind=JobKind.PRUNE, state="failed")[0]]
    failures.get_by_role("button", name=re.compile("Try again: Prune")).click()
    expect(page.locator("[data-failures] li", has_text="CUDA")).to_have_count(0)
    assert before >= 1
    assert unfinished.stores.jobs.get(failed[0]).state is JobState.QUEUED


def test_all_that_failed_is_tried_again_at_once(
    unfinished: Site, open_page: Open, shot: Callable[[Page, str], None]
) -> None:
    stores, study = unfinished.stores, unfinished.newest("study")
    job = stores.jobs.list(kind=JobKind.STUDY)[0][0].id
    ready = [cell for cell in stores.studies.cells(job) if cell.role == "evaluate" and stores.jobs.is_ready(cell.job)]
    for cell in ready:
        unfinished.worker.fail(unfinished.worker.take(cell.job), {"title": "Out of memory", "detail": "no memory"})
    failed = [cell.job for cell in stores.studies.cells(job) if cell.unsuccessful]
    assert len(failed) > 2
    page = open_page(f"{unfinished.address}/studies/{study}")
    shot(page, "study-failed-cells")
    page.get_by_role("button", name="Try all of them again").click()
    expect(page.locator("[data-failures]")).to_have_count(0)
    assert {stores.jobs.get(each).state for each in failed} == {JobState.QUEUED}
    assert stores.jobs.get(job).state is JobState.RUNNING


def test_a_shared_page_can_be_read_and_nothing_more(site: Site, study: str, open_page: Open) -> None:
    page = open_page(study)
    path = f"{study.removeprefix(site.address)}?rows=method&columns=pattern&calibration=demo&chart=sparsity"
    url = page.request.post(f"{site.address}/api/v1/shares", data={"path": path}).json()["url"]
    shared = open_page(url if url.startswith("http") else site.address + url)
    drawn(shared)
    assert shared.locator("form:not([method=dialog]), [data-method], [data-share], [data-view]").count() == 0
    assert len(table(shared)) > 0
