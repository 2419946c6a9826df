"""Share links: they open exactly the page that was shared, read-only, until they are revoked."""

import pytest
from starlette.testclient import TestClient

from prunescope.server.site.sharing import shareable
from tests.server.conftest import ATTRIBUTION
from tests.server.made_up import MadeUp

PATH = f"/attributions/{ATTRIBUTION}/neurons/1/5?example=1&curve=log"
HTML = {"accept": "text/html"}


def test_a_link_opens_the_page_it_was_made_for(client: TestClient, made_up: MadeUp) -> None:
    made = client.post("/api/v1/shares", json={"path": PATH})
    assert made.status_code == 201
    share = made.json()
    assert share["path"] == PATH
    assert share["url"] == f"http://localhost/s/{share['token']}"
    assert made.headers["location"] == f"/s/{share['token']}"
    page = client.get(f"/s/{share['token']}", headers=HTML)
    assert page.status_code == 200
    assert "L1/N5" in page.text
    assert page.headers["x-robots-tag"] == "noindex"
    assert "unsafe" not in page.headers["content-security-policy"]
    listed = client.get("/api/v1/shares").json()["items"]
    assert [item["token"] for item in listed] == [share["token"]]


def test_a_revoked_or_unknown_link_is_a_clear_404(client: TestClient, made_up: MadeUp) -> None:
    token = client.post("/api/v1/shares", json={"path": PATH}).json()["token"]
    assert client.delete(f"/api/v1/shares/{token}").status_code == 204
    assert client.delete(f"/api/v1/shares/{token}").status_code == 404
    for gone in (token, "x" * 22):
        page = client.get(f"/s/{gone}", headers=HTML)
        assert page.status_code == 404
        assert page.headers["content-type"].startswith("text/html")
        assert "revoked" in page.text
    assert client.get("/api/v1/shares").json()["items"] == []


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "/api/v1/jobs",
        "/s/abc",
        "/docs",
        "/openapi.json",
        "/static/plotly.min.js",
        "/search?q=x",
        "/jobs/new",
        "/healthz",
        "attributions",
        "/attributions/../api/v1/jobs",
        "/attributions/%2e%2e/x",
        "/models/../api/v1/jobs",
        "",
    ],
)
def test_only_pages_of_this_site_can_be_shared(client: TestClient, path: str) -> None:
    assert not shareable(path)
    answer = client.post("/api/v1/shares", json={"path": path})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "path"


@pytest.mark.parametrize("path", ["/", "/jobs", "/studies/0123?show=difference", "/models/facebook/opt-125m", PATH])
def test_pages_can_be_shared(path: str) -> None:
    assert shareable(path)


def test_a_page_that_is_not_there_is_not_shared(client: TestClient, made_up: MadeUp) -> None:
    for path in (f"/attributions/{'b' * 16}", f"/attributions/{ATTRIBUTION}/neurons/9/9"):
        assert client.post("/api/v1/shares", json={"path": path}).status_code == 422
    assert client.post("/api/v1/shares", json={}).status_code == 422
    assert client.get("/api/v1/shares").json()["items"] == []


def test_a_link_takes_no_query_of_its_own_and_changes_nothing(client: TestClient, made_up: MadeUp) -> None:
    token = client.post("/api/v1/shares", json={"path": PATH}).json()["token"]
    plain = client.get(f"/s/{token}", headers=HTML)
    assert client.get(f"/s/{token}?example=0", headers=HTML).text == plain.text
    assert client.post(f"/s/{token}", json={}).status_code in {404, 405}
