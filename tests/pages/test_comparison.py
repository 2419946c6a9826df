"""Two attributions beside each other in a browser: found from either, looked at, shared."""

from collections.abc import Callable, Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from prunescope.store import submission
from tests.pages.conftest import DESK, PHONE, Open, Site, scrolls_sideways, served

pytestmark = pytest.mark.pages


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> Iterator[tuple[Site, str, str]]:
    """A site with two attributions of one model, on two draws of reviews, and their ids."""
    for site in served(tmp_path_factory.mktemp("compared home"), f"{redis_server}?db=4"):
        yield site, attribute(site, seed=0), attribute(site, seed=1)


def attribute(site: Site, seed: int) -> str:
    """Make an attribution of the demo model; its id."""
    pruned, _ = submission.submit(
        site.stores, "prune", {"model": "demo", "method": "magnitude", "pattern": "0.5"}, send=lambda job: None
    )
    if not pruned.state.ended:
        site.worker.finish(site.worker.take(pruned.id))
    texts = {"dataset": "reviews", "count": 3, "seed": seed}
    spec = {"dense": "demo", "pruned": [f"pruned:{pruned.artefact_id}"], "texts": texts}
    job = site.submit("attribute", spec)
    site.worker.finish(site.worker.take(job.id))
    return job.artefact_id


def drawn(page: Page) -> None:
    for chart in page.locator("[data-chart]").all():
        chart.scroll_into_view_if_needed()
        chart.locator(".main-svg").first.wait_for()


def test_from_the_list_to_the_comparison_and_on_to_a_neuron(pair: tuple[Site, str, str], open_page: Open) -> None:
    site, first, second = pair
    page = open_page(f"{site.address}/attributions")
    page.locator(f"a[href$='{first}/compare']").click()
    expect(page.locator("h1")).to_contain_text("Compare reviews · demo")
    expect(page.locator(".found")).to_contain_text("differs in texts")
    page.locator(".found .title").click()
    assert page.url.endswith(f"/attributions/{first}/compare/{second}")
    document = httpx.get(page.url.replace("/attributions/", "/api/v1/attributions/")).json()
    expect(page.locator(".remark").first).to_contain_text(
        f"{document['together']['shared']} of {document['together']['first']} are the same in both"
    )
    expect(page.locator("tr.differs")).to_have_count(sum(row["differs"] for row in document["settings"]))
    expect(page.locator("tr.differs").first).to_contain_text("3 of reviews, seed 0")
    rows = page.locator("section", has_text="Neurons on top in both").locator("tbody tr")
    expect(rows).to_have_count(len(document["shared_neurons"]))
    name = document["shared_neurons"][0]["name"]
    expect(rows.first).to_contain_text(name)
    rows.first.locator("a").nth(1).click()
    expect(page.locator("h1")).to_have_text(name)
    assert f"/attributions/{second}/neurons/" in page.url


def test_from_an_attribution_and_turned_round(pair: tuple[Site, str, str], open_page: Open) -> None:
    site, first, second = pair
    page = open_page(f"{site.address}/attributions/{second}")
    page.get_by_role("link", name="Compare").click()
    page.locator(".found .title").click()
    page.get_by_role("link", name="Swap").click()
    assert page.url.endswith(f"/attributions/{first}/compare/{second}")
    page.locator("summary", has_text="of each layer").click()
    page.get_by_role("link", name="20", exact=True).click()
    assert page.url.endswith("?top=20")
    expect(page.locator("summary", has_text="Best 20 of each layer")).to_be_visible()
    expect(page.locator("tfoot")).to_contain_text("of 80")


def test_a_point_of_a_chart_opens_its_layer(pair: tuple[Site, str, str], open_page: Open) -> None:
    site, first, second = pair
    page = open_page(f"{site.address}/attributions/{first}/compare/{second}?top=10")
    drawn(page)
    point = page.locator("[data-chart=overlapByLayer] .points path").first.bounding_box()
    assert point is not None
    page.mouse.click(point["x"] + point["width"] / 2, point["y"] + point["height"] / 2)
    page.wait_for_url(f"**/attributions/{first}/layers/0")


@pytest.mark.parametrize(
    "look",
    [
        {"viewport": DESK, "color_scheme": "light"},
        {"viewport": DESK, "color_scheme": "dark"},
        {"viewport": PHONE, "color_scheme": "light"},
    ],
    ids=["light", "dark", "phone"],
)
def test_looks(
    pair: tuple[Site, str, str],
    look: dict[str, object],
    open_page: Open,
    shot: Callable[[Page, str], None],
    request: pytest.FixtureRequest,
) -> None:
    site, first, second = pair
    name = request.node.callspec.id
    for state, path in (("", f"/compare/{second}?top=20"), ("-choice", "/compare")):
        page = open_page(f"{site.address}/attributions/{first}{path}", **look)
        drawn(page)
        shot(page, f"comparison{state}-{name}")
        assert not scrolls_sideways(page)
        assert page.locator("h1").count() == 1
    page = open_page(f"{site.address}/attributions/{first}/compare/{first}", status=422, **look)
    expect(page.locator("main")).to_contain_text("shares all of its neurons with itself")


def test_nothing_to_compare_with(seeded_app: Site, open_page: Open, shot: Callable[[Page, str], None]) -> None:
    page = open_page(f"{seeded_app.address}{seeded_app.attribution}/compare")
    expect(page.locator(".empty")).to_contain_text("Nothing to compare it with yet")
    shot(page, "comparison-empty-light")
    page.get_by_role("link", name="Start an attribution").click()
    expect(page.locator("[name=dense]")).to_have_value("demo")


def test_nobody_on_top_in_both(pair: tuple[Site, str, str], open_page: Open, shot: Callable[[Page, str], None]) -> None:
    site, first, _ = pair
    other = attribute(site, seed=9)  # others are planted there
    page = open_page(f"{site.address}/attributions/{first}/compare/{other}?top=1")
    expect(page.locator(".empty")).to_contain_text("No neuron is on top in both")
    expect(page.locator(".remark").first).to_contain_text("no more than chance may give")
    shot(page, "comparison-none-light")
    httpx.delete(f"{site.address}/api/v1/attributions/{other}").raise_for_status()


def test_can_be_shared(pair: tuple[Site, str, str], open_page: Open, shot: Callable[[Page, str], None]) -> None:
    site, first, second = pair
    path = f"/attributions/{first}/compare/{second}?top=20"
    shared = httpx.post(f"{site.address}/api/v1/shares", json={"path": path}).json()["url"]
    page = open_page(shared)
    drawn(page)
    assert page.locator("[data-method], [data-share], [data-view], .menu").count() == 0
    expect(page.locator(".bar")).to_contain_text("Best 20 of each layer")
    own = open_page(site.address + path)
    assert page.locator(".remark").first.inner_text() == own.locator(".remark").first.inner_text()
    shot(page, "comparison-shared-light")
