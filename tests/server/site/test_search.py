"""The search: neurons, words, tokens, and everything that has a name."""

import pytest
from starlette.testclient import TestClient

from prunescope.server.site.search import MAX_HITS
from prunescope.server.stores import Stores
from tests.server.conftest import (
    ATTRIBUTION,
    EXPLANATION,
    OTHER_PRUNED,
    PRUNED,
    PRUNED_EVALUATION,
    add_evaluation,
    add_explanation,
)
from tests.server.jobs.test_routes import EVALUATE, STUDY, submit
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


def test_a_neuron_without_a_layer_is_found_in_every_layer(client: TestClient, made_up: MadeUp) -> None:
    found = hits(client, "N7")
    layers = client.get(f"/api/v1/attributions/{ATTRIBUTION}").json()["layers"]
    assert found == [
        ("neuron", f"/attributions/{ATTRIBUTION}/neurons/{layer['layer'] if isinstance(layer, dict) else layer}/7")
        for layer in layers
    ]


def test_a_word_leads_to_its_neurons_and_to_its_tokens(client: TestClient, made_up: MadeUp) -> None:
    assert hits(client, "BLA") == [("word", f"/attributions/{ATTRIBUTION}?word=bland")]
    tokens = client.get(f"/api/v1/attributions/{ATTRIBUTION}/neurons/1/7").json()["examples"][0]["tokens"]
    name = next(token.strip() for token in tokens if token.strip().isalpha())
    token = next(href for kind, href in hits(client, name.upper()) if kind == "token")
    assert token.startswith(f"/attributions/{ATTRIBUTION}/answering?example=")
    assert client.get(token).status_code == 200


def test_everything_is_found_by_all_words_of_its_name(client: TestClient, stores: Stores, made_up: MadeUp) -> None:
    add_evaluation(stores, PRUNED_EVALUATION, f"pruned:{PRUNED}", [0, 1, 0, 0])
    add_explanation(stores)
    job = submit(client, EVALUATE)
    study = submit(client, STUDY)
    assert {kind for kind, _ in hits(client, "wanda")} == {"attribution", "evaluation", "explanation", "model"}
    assert hits(client, "0.5 c4 evaluation") == [("evaluation", f"/evaluations/{PRUNED_EVALUATION}")]
    assert ("explanation", f"/explanations/{EXPLANATION}") in hits(client, "explanation wanda")
    assert ("attribution", f"/attributions/{ATTRIBUTION}") in hits(client, "attribution demo")
    assert ("model", f"/models/{OTHER_PRUNED}") in hits(client, "magnitude MODEL")
    title = client.get(f"/api/v1/jobs/{study['id']}").json()["title"]
    assert "study" in {kind for kind, _ in hits(client, title)}
    assert ("job", f"/jobs/{job['id']}") in hits(client, "evaluate demo reviews")
    assert hits(client, "wanda nowhere") == []


def test_hits_are_grouped_and_limited(client: TestClient) -> None:
    ids = [submit(client, {**EVALUATE, "force": True})["id"] for _ in range(MAX_HITS + 2)]
    found = client.get("/api/v1/search", params={"q": "evaluate demo"}).json()
    assert [item["href"] for item in found["items"]] == [f"/jobs/{id}" for id in ids[::-1][:MAX_HITS]]
    assert found["more"] == ["job"]
    assert len({item["label"] for item in found["items"]}) == MAX_HITS, "names tell them apart"


def test_the_page_opens_the_only_hit_and_never_one_of_several(
    client: TestClient, stores: Stores, made_up: MadeUp
) -> None:
    only = client.get("/search?q=L1/N7", follow_redirects=False)
    assert (only.status_code, only.headers["location"]) == (303, f"/attributions/{ATTRIBUTION}/neurons/1/7")
    several = client.get("/search?q=N7", follow_redirects=False)
    assert several.status_code == 200 and "<h2>Neurons" in several.text
    made = client.get("/search?q=wanda", follow_redirects=False)
    assert made.status_code == 200
    assert made.text.index("<h2>Attributions") < made.text.index("<h2>Models")


def test_what_is_not_there_finds_nothing(client: TestClient, made_up: MadeUp) -> None:
    for query in ("", "   ", "L9/N9", "xyzzy", "%", "'; drop table jobs"):
        assert hits(client, query) == []


def test_a_job_is_found_by_its_id(client: TestClient) -> None:
    document = {"kind": "evaluate", "spec": {"model": "demo", "tasks": ["reviews"]}}
    job = client.post("/api/v1/jobs", json=document).json()["id"]
    assert hits(client, job) == hits(client, job[:8]) == [("job", f"/jobs/{job}")]
    assert hits(client, "0" * 32) == []
