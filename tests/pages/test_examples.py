"""From the examples that pruning broke to the neurons that respond to their words: one click."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from prunescope.jobs.documents import JobKind, JobState
from tests.pages.conftest import STUDY, Open, Site, served

pytestmark = pytest.mark.pages


@pytest.fixture
def site(tmp_path: Path, redis_server: str) -> Iterator[Site]:
    """A study of its own, for the click makes a job."""
    for site in served(tmp_path / "home", f"{redis_server}?db=4"):
        site.submit("study", {**STUDY, "attributions": []})
        site.worker.work_off()
        yield site


def test_one_click_leads_to_the_neurons(site: Site, open_page: Open, shot: Callable[[Page, str], None]) -> None:
    evaluation = next(r for r in site.stores.results.list("evaluation")[0] if r.spec["model"] != "demo")
    address = f"{site.address}/evaluations/{evaluation.id}/reviews"
    page = open_page(address)
    first = [page.locator(".example").nth(place).inner_text() for place in range(10)]
    assert all("broken" in text for text in first)
    shot(page, "examples-with-the-job")
    page.get_by_role("button", name="Neurons that respond to the first 10").click()
    expect(page).to_have_url(re.compile(r"/jobs/[0-9a-f]{32}$"))
    (listed,) = site.stores.jobs.list(kind=JobKind.ATTRIBUTE)[0]
    job = site.stores.jobs.get(listed.id)
    assert job.spec["pruned"] == [evaluation.spec["model"]] and job.spec["prompt"] == "reviews"
    rows = job.spec["texts"]["indices"]
    assert [f"row {row}" in text for row, text in zip(rows, first, strict=True)] == [True] * 10
    site.worker.work_off()
    assert site.stores.jobs.get(job.id).state == JobState.SUCCEEDED
    page.goto(address)
    page.get_by_role("button", name="Neurons that respond to the first 10").click()
    expect(page).to_have_url(re.compile(r"/attributions/[0-9a-f]{16}$"))
