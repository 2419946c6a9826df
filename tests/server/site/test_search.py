"""The search box: neurons, words, models and jobs."""

import pytest
from starlette.testclient import TestClient

from tests.server.conftest import ATTRIBUTION, PRUNED
from tests.server.made_up import MadeUp


def hits(client: TestClient, query: str, **more: str) -> list[tuple[str, str]]:
    items = client.get("/api/v1/search", params={"q": query, **more}).json()["items"]
    return [(item["kind"], item["href"]) for item in items]


@pytest.mark.parametrize("name", ["L1/N7", "l1n7", "1.7", " 1:7 "])
def test_a_neuron_is_found_however_it_is_written(client: TestClient, made_up: MadeUp, name: str) -> None:
    found = [("neuron", f"/attributions/{ATTRIBUTION}/neurons/1/7")]
    assert hits(client, name) == found
    assert hits(client, name, attribution=ATTRIBUTION) == found
    wrong = client.get("/api/v1/search", params={"q": name, "attribution": "b" * 16})
    assert wrong.status_code == 422 and wrong.json()["errors"][0]["field"] == "attribution"


def test_a_word_leads_to_its_neurons_and_a_name_to_its_model(client: TestClient, made_up: MadeUp) -> None:
    assert hits(client, "BLA") == [("word", f"/attributions/{ATTRIBUTION}?word=bland")]
    assert hits(client, "wanda") == [("model", f"/models/{PRUNED}")]


def test_what_is_not_there_finds_nothing(client: TestClient, made_up: MadeUp) -> None:
    for query in ("", "   ", "L9/N9", "xyzzy", "%", "'; drop table jobs"):
        assert hits(client, query) == []


def test_a_job_is_found_by_its_id(client: TestClient) -> None:
    document = {"kind": "evaluate", "spec": {"model": "demo", "tasks": ["reviews"]}}
    job = client.post("/api/v1/jobs", json=document).json()["id"]
    assert hits(client, job) == [("job", f"/jobs/{job}")]
