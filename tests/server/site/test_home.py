"""The home page's document."""

from starlette.testclient import TestClient

from tests.server.jobs.test_routes import EVALUATE, submit


def test_home_shows_what_waits_and_where_to_start(client: TestClient) -> None:
    submit(client, EVALUATE)
    home = client.get("/api/v1/").json()
    assert home["counts"]["queued"] == 1
    assert [job["kind"] for job in home["running"]] == ["evaluate"]
    assert home["start"][0]["href"] == "/jobs/new?kind=prune"
    assert client.get("/api/v1").json() == home
