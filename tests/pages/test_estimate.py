"""What the form says about the work of a job before it starts."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from tests.pages.conftest import DESK, PHONE, Open, Site, scrolls_sideways

pytestmark = pytest.mark.pages


@pytest.mark.parametrize(
    ("name", "look"),
    [
        ("light", {"viewport": DESK}),
        ("dark", {"viewport": DESK, "color_scheme": "dark"}),
        ("phone", {"viewport": PHONE}),
    ],
)
def test_the_work_is_told_and_follows_what_is_written(
    name: str, look: dict[str, object], seeded_app: Site, open_page: Open, shot: Callable[[Page, str], None]
) -> None:
    jobs = len(seeded_app.stores.jobs.list(limit=200)[0])
    page = open_page(f"{seeded_app.address}/jobs/new?kind=study", **look)
    box = page.locator("[data-estimate]")
    expect(box).to_have_attribute("data-estimate", "known")
    expect(box).to_contain_text(re.compile(r"\d+ cells: \d+ known already, \d+ new jobs? \("))
    answer = page.request.post(f"{seeded_app.address}/api/v1/studies/estimate", data={"spec": preview(page)["spec"]})
    expect(box).to_contain_text(f"{answer.json()['cells']} cells: {answer.json()['known']} known")
    expect(box).to_contain_text(answer.json()["basis"])
    shot(page, f"estimate-{name}")
    assert not scrolls_sideways(page)
    page.get_by_label("Patterns", exact=True).fill("0.5")
    fewer = page.request.post(f"{seeded_app.address}/api/v1/studies/estimate", data={"spec": preview(page)["spec"]})
    expect(box).to_contain_text(f"{fewer.json()['cells']} cells: {fewer.json()['known']} known")
    assert fewer.json()["cells"] < answer.json()["cells"]
    assert len(seeded_app.stores.jobs.list(limit=200)[0]) == jobs, "nothing is queued by asking"


def test_it_says_why_there_is_none_yet(seeded_app: Site, open_page: Open, shot: Callable[[Page, str], None]) -> None:
    page = open_page(f"{seeded_app.address}/jobs/new?kind=study")
    box = page.locator("[data-estimate]")
    page.get_by_label("Patterns", exact=True).fill("5:4")
    expect(box).to_have_attribute("data-estimate", "wrong")
    expect(box).to_contain_text("n must be smaller than m")
    shot(page, "estimate-wrong-light")
    page.get_by_label("Patterns", exact=True).fill("3:4")
    expect(box).to_have_attribute("data-estimate", "known")
    assert "n must be" not in box.inner_text()


def test_a_server_that_is_away_is_said_and_asked_again(seeded_app: Site, open_page: Open) -> None:
    page = open_page(f"{seeded_app.address}/")
    away = True

    def answer(route: Route) -> None:
        if away:
            route.abort()
        else:
            route.continue_()

    page.route("**/jobs/check", answer)
    page.goto(f"{seeded_app.address}/jobs/new?kind=study")
    box = page.locator("[data-estimate]")
    expect(box).to_contain_text("The server cannot be reached.")
    away = False
    page.get_by_label("Name", exact=True).fill("Again")
    expect(box).to_have_attribute("data-estimate", "known")


def test_single_jobs_are_estimated_too(seeded_app: Site, open_page: Open) -> None:
    page = open_page(f"{seeded_app.address}/jobs/new?kind=prune")
    box = page.locator("[data-estimate]")
    expect(box).to_have_attribute("data-estimate", "known")
    expect(box).to_contain_text("Weights of demo: ")
    page.get_by_label("Model", exact=True).fill("owner/unknown")
    expect(box).not_to_contain_text("Weights of")
    made = seeded_app.stores.results.list("model")[0][0]
    page.goto(f"{seeded_app.address}/jobs/new?from={made.job}")
    expect(box).to_contain_text("Known already (succeeded). Start opens that job.")
    expect(box.get_by_role("link")).to_have_attribute("href", f"/jobs/{made.job}")


def preview(page: Page) -> dict[str, object]:
    """What the form would send."""
    body: dict[str, object] = page.evaluate("JSON.parse(document.querySelector('[data-preview]').textContent)")
    return body
