"""The list of share links: what they show, copying and revoking."""

from collections.abc import Callable, Iterator

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.pages.conftest import DESK, PHONE, Open, Site, scrolls_sideways
from tests.pages.test_accessibility import FAULTS
from tests.pages.test_narrow import CUT, settled

pytestmark = pytest.mark.pages

CLIPBOARD = {"permissions": ["clipboard-read", "clipboard-write"]}


@pytest.fixture
def tokens(seeded_app: Site) -> Iterator[list[str]]:
    """Of three links: to a neuron, to the list of jobs, and to a job with a long address."""
    job = seeded_app.stores.jobs.list(kind="attribute")[0][0].id
    neuron = f"{seeded_app.attribution}/neurons/1/5?example=1&curve=log&token=7"
    made = [share(seeded_app, path) for path in (neuron, "/jobs", f"/jobs/{job}?variant={'x' * 160}")]
    yield made
    for token in made:
        httpx.delete(f"{seeded_app.address}/api/v1/shares/{token}")


def share(site: Site, path: str) -> str:
    answer = httpx.post(f"{site.address}/api/v1/shares", json={"path": path})
    assert answer.status_code == 201
    token: str = answer.json()["token"]
    return token


def row_of(page: Page, token: str) -> Locator:
    """The list's row of one link: other tests make links to the same neurons in the same application."""
    return page.locator("tr.row").filter(has=page.locator(f'a[href$="/s/{token}"]'))


def test_a_link_is_copied_opened_and_revoked(seeded_app: Site, tokens: list[str], open_page: Open) -> None:
    page = open_page(seeded_app.address, **CLIPBOARD)
    page.locator("footer").get_by_role("link", name="Share links").click()
    row = row_of(page, tokens[0])
    expect(row).to_contain_text("Neuron · example 1 · curve log · token 7")
    expect(row).to_contain_text("unchanged")
    expect(row).to_contain_text("never")
    row.get_by_role("button", name="Copy").click()
    expect(page.locator(".toast")).to_contain_text("Link copied")
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == f"{seeded_app.address}/s/{tokens[0]}"
    expect(open_page(link).locator("h1")).to_have_text("L1/N5")
    page.reload()
    expect(row).not_to_contain_text("never")
    with page.expect_event("dialog") as asked:
        page.once("dialog", lambda dialog: dialog.dismiss())
        row.get_by_role("button", name="Revoke").click()
    assert "Revoke the link to" in asked.value.message
    assert httpx.get(link).status_code == 200, "a revocation that was declined changes nothing"
    page.once("dialog", lambda dialog: dialog.accept())
    row.get_by_role("button", name="Revoke").click()
    expect(row).to_have_count(0)
    open_page(link, status=404)


@pytest.mark.parametrize("size", ["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.usefixtures("tokens")
def test_the_list_is_readable_everywhere(
    seeded_app: Site, open_page: Open, shot: Callable[[Page, str], None], scheme: str, size: str
) -> None:
    viewport = {"desk": DESK, "phone": PHONE}[size]
    page = open_page(f"{seeded_app.address}/shares", viewport=viewport, color_scheme=scheme)
    settled(page)
    shot(page, f"shares-three-{scheme}-{size}")
    assert not scrolls_sideways(page)
    assert page.evaluate(CUT) == []
    assert page.evaluate(FAULTS) == []
    for width in (320, 700, 2560):
        page.set_viewport_size({"width": width, "height": 800})
        settled(page)
        assert not scrolls_sideways(page)


def test_a_shared_page_says_that_its_result_was_removed(seeded_app: Site, open_page: Open) -> None:
    explanation = f"/explanations/{seeded_app.newest('explanation')}"
    record = seeded_app.stores.results.get("explanation", explanation.rpartition("/")[2])
    seeded_app.stores.results.add("explanation", "f" * 16, job=None, spec=record.spec, summary=record.summary)
    with seeded_app.stores.artefacts.staging("explanation", "f" * 16) as folder:
        source = seeded_app.stores.artefacts.local_path("explanation", record.id)
        assert source is not None
        for file in source.iterdir():
            if file.is_file() and file.name != "manifest.json":
                (folder / file.name).write_bytes(file.read_bytes())
    token = share(seeded_app, f"/explanations/{'f' * 16}")
    seeded_app.stores.results.delete("explanation", "f" * 16)
    page = open_page(f"{seeded_app.address}/s/{token}", status=404)
    expect(page.locator("h1")).to_have_text("This explanation was removed")
    page.goto(f"{seeded_app.address}/shares")
    expect(row_of(page, token).locator(".state")).to_have_text("removed")
    httpx.delete(f"{seeded_app.address}/api/v1/shares/{token}")
