"""Share links: they open exactly the page that was shared, read-only, until they are revoked, and are listed with what
they show."""

import html
import re

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from prunescope.server.shares.opening import SHAREABLE, kind_of, shareable, without_digest
from prunescope.server.stores import Stores
from tests.server.conftest import ATTRIBUTION, DENSE_EVALUATION, PRUNED, add_evaluation
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
        "/static/vendor/plotly-basic.min.js",
        "/search?q=x",
        "/jobs/new",
        "/shares",
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
    for path in (f"/attributions/{'bb' * 8}", f"/attributions/{ATTRIBUTION}/neurons/9/9"):
        assert client.post("/api/v1/shares", json={"path": path}).status_code == 422
    assert client.post("/api/v1/shares", json={}).status_code == 422
    assert client.get("/api/v1/shares").json()["items"] == []


def test_a_link_takes_no_query_of_its_own_and_changes_nothing(client: TestClient, made_up: MadeUp) -> None:
    token = client.post("/api/v1/shares", json={"path": PATH}).json()["token"]
    plain = client.get(f"/s/{token}", headers=HTML)
    assert client.get(f"/s/{token}?example=0", headers=HTML).text == plain.text
    assert client.post(f"/s/{token}", json={}).status_code in {404, 405}


def listed(client: TestClient) -> list[str]:
    """The rows of the page that lists the links, as text."""
    page = client.get("/shares", headers=HTML)
    assert page.status_code == 200
    rows = re.findall(r"<tr class=.row.>(.*?)</tr>", page.text, re.DOTALL)
    return [" ".join(html.unescape(re.sub(r"<[^>]+>", " ", row)).split()) for row in rows]


def test_the_list_says_what_each_link_shows(client: TestClient, made_up: MadeUp, stores: Stores) -> None:
    assert "No share links" in client.get("/shares", headers=HTML).text
    add_evaluation(stores, DENSE_EVALUATION, "demo", [0, 1, 0, 1])
    paths = ["/", "/jobs?kind=prune", f"/models/{PRUNED}", f"/evaluations/{DENSE_EVALUATION}", PATH]
    for path in paths:
        assert client.post("/api/v1/shares", json={"path": path}).status_code == 201
    items = client.get("/api/v1/shares").json()["items"]
    assert [item["path"] for item in items] == paths[::-1]
    assert [(item["kind"], item["view"], item["result"]) for item in items] == [
        ("Neuron", ["example 1", "curve log"], "same"),
        ("Evaluation", [], "same"),
        ("Model", [], "same"),
        ("List of jobs", ["kind prune"], None),
        ("Home page", [], None),
    ]
    titles = [item["title"] for item in items]
    model = stores.names.models()[PRUNED]
    assert titles[0].startswith("L1/N5 · ") and titles[1:] == ["demo · reviews", model, "Jobs", "Start"]
    rows = listed(client)
    for row, title in zip(rows, titles, strict=True):
        assert row.startswith(title) and "never" in row
    assert "Neuron · example 1 · curve log unchanged" in rows[0]


def test_a_link_that_was_opened_says_when(client: TestClient, made_up: MadeUp) -> None:
    token = client.post("/api/v1/shares", json={"path": PATH}).json()["token"]
    (item,) = client.get("/api/v1/shares").json()["items"]
    assert item["opened_at"] is None, "making a link does not open it"
    client.get(f"/s/{token}", headers=HTML)
    (opened,) = client.get("/api/v1/shares").json()["items"]
    assert opened["opened_at"] > item["created_at"]
    client.get(f"/s/{token}", headers=HTML)
    assert client.get("/api/v1/shares").json()["items"] == [opened], "no further write within ten minutes"
    assert "just now just now" in listed(client)[0]


def test_the_list_has_pages(client: TestClient) -> None:
    tokens = [client.post("/api/v1/shares", json={"path": "/jobs"}).json()["token"] for _ in range(53)]
    page = client.get("/shares", headers=HTML).text
    assert page.count("data-method=") == 50
    older = html.unescape(re.findall(r'href="(/shares[?]cursor=[^"]+)"', page)[0])
    rest = client.get(older, headers=HTML).text
    assert [token in rest for token in tokens[:4]] == [True, True, True, False]
    wrong = client.get("/shares?cursor=nope&x=1", headers=HTML)
    assert wrong.status_code == 200 and "no cursor" in wrong.text and "x: " in wrong.text


def test_a_link_says_that_its_result_was_made_again_or_removed(
    client: TestClient, made_up: MadeUp, stores: Stores
) -> None:
    token = client.post("/api/v1/shares", json={"path": PATH}).json()["token"]
    record = stores.results.get("attribution", ATTRIBUTION)
    job = client.post("/api/v1/jobs", json={"kind": "evaluate", "spec": {"model": "demo", "tasks": ["reviews"]}}).json()
    stores.results.add("attribution", ATTRIBUTION, job=job["id"], spec=record.spec, summary=record.summary)
    page = client.get(f"/s/{token}", headers=HTML)
    assert page.status_code == 200 and "This attribution was made again after the link was made" in page.text
    assert "made again" in listed(client)[0]
    assert client.get("/api/v1/shares").json()["items"][0]["result"] == "made again"
    assert client.delete(f"/api/v1/attributions/{ATTRIBUTION}").status_code == 204
    page = client.get(f"/s/{token}", headers=HTML)
    assert page.status_code == 404 and "This attribution was removed" in page.text
    assert "Make it again" not in page.text, "a shared page is read-only"
    assert "removed" in listed(client)[0]


def test_a_shared_page_leads_to_the_full_dashboard(client: TestClient, made_up: MadeUp) -> None:
    token = client.post("/api/v1/shares", json={"path": PATH}).json()["token"]
    page = client.get(f"/s/{token}", headers=HTML).text
    (href,) = re.findall(r'<a href="([^"]+)" rel="nofollow">Open in the dashboard</a>', page)
    assert html.unescape(href).startswith(f"{PATH}&digest=")
    full = client.get(html.unescape(href), headers=HTML)
    assert full.status_code == 200 and "data-share" in full.text and 'class="notices"' not in full.text
    of_jobs = client.post("/api/v1/shares", json={"path": "/jobs"}).json()["token"]
    assert '<a href="/jobs" rel="nofollow">' in client.get(f"/s/{of_jobs}", headers=HTML).text


def test_a_link_of_an_earlier_version_shows_its_path(client: TestClient, made_up: MadeUp, stores: Stores) -> None:
    token = client.post("/api/v1/shares", json={"path": PATH}).json()["token"]
    with stores.database.writing() as connection:
        connection.execute(text("UPDATE shares SET title = NULL, digest = NULL"))
    (item,) = client.get("/api/v1/shares").json()["items"]
    assert (item["title"], item["result"]) == (None, None)
    assert listed(client)[0].startswith(PATH)
    assert client.get(f"/s/{token}", headers=HTML).status_code == 200
    client.delete(f"/api/v1/attributions/{ATTRIBUTION}")
    assert client.get("/api/v1/shares").json()["items"][0]["result"] == "removed"


def test_a_copied_link_is_shared_without_its_digest(client: TestClient, made_up: MadeUp) -> None:
    answer = client.post("/api/v1/shares", json={"path": f"{PATH}&digest=0123456789ab"})
    assert answer.json()["path"] == PATH
    assert without_digest("/a?digest=1") == "/a" and without_digest("/a?digest=1&b=2") == "/a?b=2"
    assert without_digest("/a") == "/a" and without_digest("/a?b=%3A&c") == "/a?b=%3A&c"


def test_names_are_text(client: TestClient) -> None:
    client.post("/api/v1/shares", json={"path": "/jobs?kind=<script>"})
    page = client.get("/shares", headers=HTML).text
    assert "<script>" not in page and "kind &lt;script&gt;" in page


def test_every_page_that_can_be_shared_has_a_name() -> None:
    for route, name in SHAREABLE.items():
        assert kind_of(re.sub(r"{[^}]+}", "0", route)) == name
    assert kind_of("/elsewhere") == "Page"
