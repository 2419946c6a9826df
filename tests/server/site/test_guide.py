"""The guide has every document for users; its links lead to pages and headings that exist."""

import re

import pytest
from starlette.testclient import TestClient

from prunescope.frontend import DOCS
from prunescope.server.site.guide import PAGES, fragment

FOR_DEVELOPERS = {"architecture", "dependencies"}
HTML = {"accept": "text/html"}


def test_every_document_is_in_the_guide_or_for_developers() -> None:
    names = {path.stem for path in DOCS.glob("*.md")}
    assert names == {*PAGES, *FOR_DEVELOPERS, "glossary"}
    assert len(PAGES) == len(set(PAGES))


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_to_pages_and_headings_that_exist(client: TestClient, name: str) -> None:
    page = client.get(f"/guide/{name}", headers=HTML)
    assert page.status_code == 200
    for href in re.findall(r'href="([^"]+)"', page.text):
        path, _, place = href.partition("#")
        if path.startswith(("http", "data:", "/static")):
            continue
        target = page if not path else client.get(path, headers=HTML)
        assert target.status_code == 200, href
        assert not place or f'id="{place}"' in target.text, href


@pytest.mark.parametrize("name", PAGES)
def test_a_document_is_shown_whole_and_without_markup_of_its_own(client: TestClient, name: str) -> None:
    markdown = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    answer = client.get(f"/api/v1/guide/{name}").json()
    assert answer["markdown"] == markdown
    text = client.get(f"/guide/{name}", headers=HTML).text
    article = text[text.index("<article") : text.index("</article>")]
    assert "style=" not in article and "&lt;!--" not in article and "<!--" not in article
    outside_code = re.sub(r"```.*?```", "", markdown, flags=re.DOTALL)
    headings = re.findall(r"^#{2,3} (.+)$", outside_code, flags=re.MULTILINE)
    assert [re.sub("<[^>]+>", "", each) for each in re.findall(r"<h[23][^>]*>(.*?)</h[23]>", article)] == [
        heading.replace("`", "") for heading in headings
    ]
    assert article.count("<pre>") == len(re.findall(r"^ *```\w*\n", markdown, flags=re.MULTILINE)) / 2
    assert [section["id"] for section in answer["sections"]] == [
        fragment(heading.replace("`", "")) for heading in re.findall(r"^## (.+)$", outside_code, flags=re.MULTILINE)
    ]


def test_the_list_has_a_sentence_about_every_document(client: TestClient) -> None:
    chapters = client.get("/api/v1/guide").json()["chapters"]
    entries = [entry for chapter in chapters for entry in chapter["pages"]]
    assert [entry["name"] for entry in entries] == list(PAGES)
    assert all(20 < len(entry["summary"]) < 300 and "<" not in entry["summary"] for entry in entries)
    page = client.get("/guide", headers=HTML).text
    assert all(f'href="{entry["href"]}"' in page for entry in entries)


@pytest.mark.parametrize("name", ["nothing", "architecture", "..%2FREADME", "attribution.md", "ATTRIBUTION"])
def test_other_names_are_not_found(client: TestClient, name: str) -> None:
    page = client.get(f"/guide/{name}", headers=HTML)
    assert page.status_code == 404
    assert 'href="/guide"' in page.text
