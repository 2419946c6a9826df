"""Every module of a page runs once: a click does what it does once."""

import re
from collections import Counter
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Request, expect

from tests.pages.conftest import Open, Site
from tests.pages.test_look import addresses

pytestmark = pytest.mark.pages

SCRIPTS = """() => performance.getEntriesByType("resource")
  .map((each) => each.name).filter((name) => /[.]js([?]|$)/.test(name))"""


@pytest.mark.parametrize("name", ["neuron", "layer", "attribution", "study"])
def test_a_click_makes_one_share(seeded_app: Site, open_page: Open, name: str) -> None:
    page = open_page(
        seeded_app.address + addresses(seeded_app)[name], permissions=["clipboard-read", "clipboard-write"]
    )
    posts: list[str] = []

    def count(request: Request) -> None:
        if request.method == "POST":
            posts.append(urlsplit(request.url).path)

    page.on("request", count)
    # A second instance of a module would send its own request at the same click, before any answer comes.
    page.get_by_role("button", name="Share link").click()
    expect(page.locator(".toast")).to_contain_text("/s/")
    assert posts == ["/api/v1/shares"]


def test_no_module_has_two_addresses(seeded_app: Site, open_page: Open) -> None:
    page = open_page(seeded_app.address)
    for path in addresses(seeded_app).values():
        page.goto(seeded_app.address + path)
        loaded: list[str] = page.evaluate(SCRIPTS)
        files = Counter(re.sub(r"/static/[0-9a-f]{16}/", "/static/", urlsplit(name).path) for name in set(loaded))
        assert files["/static/js/site/page.js"] == 1, path
        assert {file: times for file, times in files.items() if times > 1} == {}, path
