"""Which requests are refused, and what every answer carries."""

import pytest
from starlette.testclient import TestClient

from prunescope.jobs.bounds import MAX_BODY_BYTES
from prunescope.server.security import Security

JOB = {"kind": "evaluate", "spec": {"model": "demo", "tasks": ["reviews"]}}


def test_every_answer_carries_the_headers(client: TestClient) -> None:
    for path in (
        "/healthz",
        "/nothing",
        "/api/v1/jobs",
        "/docs",
        "/static/vendor/plotly-basic.min.js",
        "/api/v1/jobs/x",
    ):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "unsafe-inline" not in policy, path
        assert "unsafe-eval" not in policy, path
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("localhost", True),
        ("localhost:8000", True),
        ("127.0.0.1:8000", True),
        ("[::1]:8000", True),
        ("192.168.1.7:8000", True),
        ("prune.example.org", True),
        ("PRUNE.example.org:443", True),
        ("a.wild.example", True),
        ("wild.example", False),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("notprune.example.org", False),
        ("", False),
    ],
)
def test_only_names_of_this_server_are_answered(host: str, known: bool) -> None:
    security = Security(None, None, ["prune.example.org", "*.wild.example"])  # type: ignore[arg-type]
    assert security.knows_host(host) is known


def test_a_rebound_name_gets_a_problem(client: TestClient) -> None:
    answer = client.get("/api/v1/jobs", headers={"host": "evil.example"})
    assert answer.status_code == 421
    assert answer.json()["code"] == "unknown-host"
    assert "PRUNESCOPE_ALLOWED_HOSTS" in answer.json()["detail"]


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "http://localhost:9999"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_another_site_changes_nothing_here(client: TestClient, headers: dict[str, str]) -> None:
    for method, path in (("POST", "/api/v1/jobs"), ("DELETE", "/api/v1/jobs/x"), ("POST", "/api/v1/jobs/x/retry")):
        assert client.request(method, path, headers=headers).status_code == 403
    assert client.post("/api/v1/jobs", json=JOB, headers=headers).status_code == 403
    assert client.get("/api/v1/jobs").json()["items"] == []


def test_our_own_pages_and_programs_may_change_things(client: TestClient) -> None:
    own = {"origin": "http://localhost", "sec-fetch-site": "same-origin"}
    assert client.post("/api/v1/jobs", json=JOB, headers=own).status_code == 202
    assert client.post("/api/v1/jobs", json=JOB).status_code == 200


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x", ""]
)
def test_a_form_is_not_json(client: TestClient, kind: str) -> None:
    answer = client.post("/api/v1/jobs", content=b'{"kind": "evaluate"}', headers={"content-type": kind})
    assert answer.status_code == 415
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_huge_body_is_refused_whatever_its_headers_say(client: TestClient) -> None:
    huge = b" " * (MAX_BODY_BYTES + 1)
    headers = {"content-type": "application/json"}
    assert client.post("/api/v1/jobs", content=huge, headers=headers).status_code == 413

    def pieces() -> object:
        for _ in range(9):
            yield b" " * (MAX_BODY_BYTES // 8)

    assert client.post("/api/v1/jobs", content=pieces(), headers=headers).status_code == 413  # type: ignore[arg-type]


def test_an_allowed_name_may_be_written_with_its_port() -> None:
    security = Security(None, None, ["prune.example.org:8000", "[::1]", "::"])  # type: ignore[arg-type]
    assert security.knows_host("prune.example.org:8000") and security.knows_host("prune.example.org")
    assert not security.knows_host("")


@pytest.mark.parametrize(
    ("address", "status", "code"),
    [
        ("/%00", 404, "not-found"),
        ("/jobs/%00", 404, "not-found"),
        ("/api/v1/%00", 404, "not-found"),
        ("/s/a%00", 404, "not-found"),
        ("/api/v1/jobs?cursor=%00", 400, "bad-address"),
    ],
)
def test_a_null_character_in_an_address_is_refused(client: TestClient, address: str, status: int, code: str) -> None:
    answer = client.get(address)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    ("method", "address", "status"),
    [
        ("GET", "/%00", 404),
        ("GET", "/models/%00", 404),
        ("GET", "/%ff%fe", 404),
        ("GET", "/jobs/%0d%0aset-cookie:a", 404),
        ("GET", "/attributions/a1/neurons/x/0", 422),
        ("PUT", "/jobs", 405),
        ("POST", "/jobs", 405),
    ],
)
def test_a_browser_gets_a_page_of_what_is_refused(client: TestClient, method: str, address: str, status: int) -> None:
    answer = client.request(method, address, headers={"accept": "text/html,*/*;q=0.8"})
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert "<h1>" in answer.text and "content-security-policy" in answer.headers


def test_a_browser_with_another_name_gets_a_page(client: TestClient) -> None:
    answer = client.get("/", headers={"host": "evil.example", "accept": "text/html"})
    assert answer.status_code == 421 and "<h1>Not this server" in answer.text


@pytest.mark.parametrize("given", ["NaN", '"\\ud800"', '{"kind": "unstructured", "sparsity": -Infinity}'])
def test_what_json_does_not_have_is_a_problem_and_no_crash(client: TestClient, given: str) -> None:
    spec = f'{{"model": "demo", "method": "magnitude", "pattern": {given}}}'
    body = f'{{"kind": "prune", "spec": {spec}}}'
    answer = client.post("/api/v1/jobs", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"].startswith("pattern")
