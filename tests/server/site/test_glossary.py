"""The page of definitions has every row of the glossary, once."""

import re
from html import unescape

from starlette.testclient import TestClient

from prunescope.frontend import GLOSSARY
from prunescope.server.site.formats import definitions


def test_every_row_of_the_glossary_is_on_the_page_and_in_the_document(client: TestClient) -> None:
    lines = GLOSSARY.read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| ") and not line.startswith(("| ---", "| word | meaning"))]
    document = client.get("/api/v1/glossary").json()
    words = [each["word"] for section in document["sections"] for each in section["definitions"]]
    assert len(words) == len(set(words)) == len(rows) == len(definitions())
    page = client.get("/glossary", headers={"accept": "text/html"})
    assert page.status_code == 200
    shown = dict(re.findall(r'class="whole">([^<]+)</th><td class="whole">([^<]+)</td>', page.text))
    assert {unescape(word): unescape(meaning) for word, meaning in shown.items()} == definitions()
    headings = [line.removeprefix("## ") for line in lines if line.startswith("## ")]
    assert [section["title"] for section in document["sections"]] == headings
    assert all(f'id="{section["id"]}"' in page.text for section in document["sections"])
