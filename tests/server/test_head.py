"""HEAD answers what GET would, without the body."""

import httpx
import pytest
from starlette.testclient import TestClient

from tests.server.conftest import PRUNED
from tests.server.made_up import MadeUp


@pytest.mark.parametrize("path", ["/", "/jobs/new", "/healthz", "/readyz", "/api/v1/jobs", "/docs", "/openapi.json"])
def test_head_has_the_headers_of_get(client: TestClient, path: str) -> None:
    got, asked = client.get(path), client.head(path)
    assert asked.status_code == 200
    assert asked.content == b""
    assert asked.headers["content-type"] == got.headers["content-type"]
    assert "content-security-policy" in asked.headers


def test_head_of_what_is_not_there(client: TestClient) -> None:
    assert client.head("/nothing").status_code == 404
    assert client.head("/api/v1/jobs/none/retry").status_code == 405


def test_a_download_says_its_size_and_is_sent_as_it_is(client: TestClient, made_up: MadeUp) -> None:
    path = f"/api/v1/models/{PRUNED}/download"
    got, asked = client.get(path), client.head(path)
    assert asked.headers["content-length"] == got.headers["content-length"] == str(len(got.content))
    assert got.headers["content-encoding"] == "identity"


def test_head_of_a_stream_that_never_ends(live: str) -> None:
    with httpx.Client(base_url=live, timeout=10) as browser:
        for _ in range(2):
            answer = browser.head("/api/v1/events")
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
        assert browser.get("/healthz").status_code == 200
