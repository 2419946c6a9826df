"""A neuron's view in a frame of another site, and its picture for previews."""

import re
from html import unescape

import pytest
from starlette.testclient import TestClient

from prunescope.server.headers import CONTENT_SECURITY_POLICY
from prunescope.server.neurons.page import EMBEDDED, PANELS
from tests.server.conftest import ATTRIBUTION
from tests.server.made_up import MadeUp

PAGE = f"/attributions/{ATTRIBUTION}/neurons/1/7"
MARKS = {
    "verdict": 'id="verdict"',
    "facts": 'class="facts"',
    "numbers": 'id="shown-token"',
    "texts": 'data-pane="dense"',
    "table": 'class="card after-head twin"',
    "words": 'class="cards three"',
    "causes": 'data-pane="own"',
    "distribution": 'id="spread-title"',
}
"""Panel -> what is on the page only with it."""


def test_only_an_embedded_view_may_be_framed(client: TestClient, made_up: MadeUp) -> None:
    embedded, page = client.get(f"{PAGE}?embed=true"), client.get(f"{PAGE}?embed=false")
    assert "frame-ancestors *" in embedded.headers["content-security-policy"]
    assert "script-src 'self'" in embedded.headers["content-security-policy"]
    assert "x-frame-options" not in embedded.headers
    assert page.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert page.headers["x-frame-options"] == "DENY"
    for mark in ('<form class="search"', "<header", "<footer", "data-share=", 'href="/attributions'):
        assert mark in page.text and mark not in embedded.text, mark


@pytest.mark.parametrize("panels", [None, *PANELS, "texts,table,distribution", ",".join(PANELS)])
def test_panels_can_be_switched(client: TestClient, made_up: MadeUp, panels: str | None) -> None:
    assert set(MARKS) == set(PANELS)
    asked = {} if panels is None else {"panels": panels}
    text = client.get(PAGE, params={"embed": "true", **asked}).text
    wanted = EMBEDDED if panels is None else panels.split(",")
    assert [name for name, mark in MARKS.items() if mark in text] == [name for name in PANELS if name in wanted]


def test_a_wrong_panel_is_said(client: TestClient, made_up: MadeUp) -> None:
    answer = client.get(f"{PAGE}?embed=true&panels=texts,charts")
    assert answer.status_code == 200
    assert "charts" in answer.text and "distribution" in answer.text
    assert MARKS["texts"] in answer.text


def test_a_share_link_to_an_embedded_view_can_be_framed(client: TestClient, made_up: MadeUp) -> None:
    share = client.post("/api/v1/shares", json={"path": f"{PAGE}?embed=true"}).json()
    answer = client.get(share["href"])
    assert answer.status_code == 200
    assert "frame-ancestors *" in answer.headers["content-security-policy"]


def test_the_picture_of_the_view_is_named_for_previews(client: TestClient, made_up: MadeUp) -> None:
    text = client.get(f"{PAGE}?example=1&variant=pruned-2&curve=log&span=1-3").text
    found = dict(re.findall(r'<meta property="og:(\w+)" content="([^"]*)">', text))
    assert found["title"].startswith("L1/N7")
    picture = unescape(found["image"])
    assert picture.startswith("http://")
    assert all(part in picture for part in ("example=1", "variant=pruned-2", "curve=log", "span=1-3"))
    first, again = client.get(picture), client.get(picture)
    assert first.headers["content-type"] == "image/png"
    assert first.content == again.content
