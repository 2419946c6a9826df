"""The overview and the layers of an attribution, its list and its removal."""

import shutil

import numpy as np
import pytest
from starlette.testclient import TestClient

from prunescope.server.site import formats
from prunescope.server.stores import Stores
from prunescope.store.attributions.activations import ActivationStore
from prunescope.store.attributions.summary import ListedAttribution
from tests.server.conftest import ATTRIBUTION, PRUNED
from tests.server.made_up import LAYERS, TOKENS, VARIANTS, MadeUp

BASE = f"/api/v1/attributions/{ATTRIBUTION}"


def test_the_overview_has_words_ranks_damage_and_controls(client: TestClient, made_up: MadeUp) -> None:
    document = client.get(BASE).json()
    assert document["label"] == "reviews · demo"
    assert [variant["label"] for variant in document["variants"]] == ["wanda · c4 8x64 · 0.5", "magnitude · 0.5"]
    assert [row["word"] for row in document["influential_words"]] == ["badly", "bland", "damaged"]
    assert document["example_list"][1]["dropped"] == ["awful"]
    score, rank = made_up.arrays["score"], made_up.arrays["rank"]
    table = document["score_map"]
    assert table["layers"] == list(range(LAYERS))
    for layer in range(LAYERS):
        best = np.sort(score[layer][~np.isnan(score[layer])])[::-1][: len(table["ranks"])]
        assert table["scores"][layer] == [float(value) for value in best]
        assert [int(rank[layer, neuron]) for neuron in table["neurons"][layer]] == sorted(
            int(rank[layer, neuron]) for neuron in table["neurons"][layer]
        )
    assert document["top_neurons"][0]["rank"] == 1
    assert document["top_neurons"][0]["href"].startswith(f"/attributions/{ATTRIBUTION}/neurons/")
    damaged = [row["drop"] for row in document["damaged_neurons"]]
    assert damaged == sorted(damaged, reverse=True)
    assert document["controls"][0]["top"]["value"] == 0.6
    assert document["summary"]["ranked"] == int((rank > 0).sum())


def test_each_text_says_where_its_words_come_from(client: TestClient, made_up: MadeUp) -> None:
    first, second = client.get(BASE).json()["example_list"]
    assert (first["source"], first["found"]) == ("cot", [{"word": "badly", "probability": 0.125, "effect": None}])
    assert (second["source"], second["found"][0]["effect"]) == ("occlusion", 1.5)
    listed = client.get(f"{BASE}/texts").json()["texts"]
    assert [(text["source"], text["found"]) for text in listed] == [
        (text["source"], text["found"]) for text in (first, second)
    ]
    for page in (client.get(f"/attributions/{ATTRIBUTION}"), client.get(f"/attributions/{ATTRIBUTION}/texts")):
        assert formats.percent(0.125, 1) in page.text and "1.50" in page.text
        assert "words named by the model, with the probability of each" in page.text
        assert "words found by occlusion, with the effect of each" in page.text
    overview = client.get(f"/attributions/{ATTRIBUTION}").text
    assert "left out: no influential word was found" in overview and "None at all" in overview


def test_the_overview_follows_its_query(client: TestClient, made_up: MadeUp) -> None:
    document = client.get(f"{BASE}?variant=pruned-2&word=bland").json()
    assert document["variant"] == "pruned-2"
    assert {row["word"] for row in document["top_neurons"]} == {"bland"}
    assert client.get(f"{BASE}?word=wonderful").status_code == 422
    assert client.get(f"{BASE}?variant=other").json()["errors"][0]["allowed"] == VARIANTS[1:]


def test_the_overview_of_one_layer(client: TestClient, made_up: MadeUp) -> None:
    whole, document = client.get(BASE).json(), client.get(f"{BASE}?layer=2").json()
    assert {row["layer"] for row in document["top_neurons"]} == {2}
    assert {row["layer"] for row in document["damaged_neurons"]} == {2}
    assert {row["layer"] for row in whole["damaged_neurons"]} != {2}
    words = {row["word"]: row for row in document["influential_words"]}
    assert words["damaged"]["drop"] == pytest.approx(0.3)
    assert words["damaged"]["low"] == pytest.approx(0.25)
    assert words["bland"]["drop"] is None
    assert [row["over_activation_matched"]["value"] for row in whole["layer_list"]] == [0.26] * LAYERS
    assert whole["layer_list"][0]["over_activation_matched"]["texts"] == 2
    assert client.get(f"{BASE}?layer=9").status_code == 422


def test_a_layer_is_neurons_by_tokens_of_one_example(client: TestClient, made_up: MadeUp) -> None:
    document = client.get(f"{BASE}/layers/2?example=1&neurons=5").json()
    assert [token["token"] for token in document["tokens"]] == TOKENS[1]
    start = len(TOKENS[0])
    for row in document["rows"]:
        for variant in VARIANTS:
            expected = made_up.activations[variant][2, row["neuron"]["neuron"], start:]
            assert row["values"][variant] == [float(value) for value in expected]
    ranks = [row["neuron"]["rank"] for row in document["rows"]]
    assert ranks == sorted(ranks)
    assert document["largest"] == max(abs(v) for row in document["rows"] for vs in row["values"].values() for v in vs)
    assert document["layer_down"] == f"/attributions/{ATTRIBUTION}/layers/1?example=1&neurons=5"
    assert document["layer_up"] is None
    following = client.get("/api/v1" + document["next"]).json()
    assert {row["neuron"]["neuron"] for row in following["rows"]}.isdisjoint(
        row["neuron"]["neuron"] for row in document["rows"]
    )
    assert following["previous"] == document["href"]


@pytest.mark.parametrize(
    ("query", "status"), [("layers/7", 404), ("layers/0?example=5", 422), ("layers/0?neurons=0", 422)]
)
def test_a_layer_that_is_not_there_is_a_problem(client: TestClient, made_up: MadeUp, query: str, status: int) -> None:
    assert client.get(f"{BASE}/{query}").status_code == status


def test_the_list_goes_on_when_an_artefact_is_missing(client: TestClient, stores: Stores, made_up: MadeUp) -> None:
    stores.results.add("attribution", "c3" * 8, job=None, spec={"dense": "demo", "pruned": []}, summary={})
    listed = client.get("/api/v1/attributions").json()
    gone, whole = listed["items"]
    assert (gone["id"], whole["id"]) == ("c3" * 8, ATTRIBUTION)
    assert gone["damaged"] and whole["damaged"] is None
    assert whole["words"][:2] == ["badly", "bland"]
    assert whole["created_at"] is not None


def test_the_list_reads_records_alone(client: TestClient, stores: Stores, made_up: MadeUp) -> None:
    before = client.get("/api/v1/attributions").json()["items"]
    folder = stores.artefacts.local_path("attribution", ATTRIBUTION)
    assert folder is not None
    summary = ListedAttribution.read(ActivationStore(str(folder))).model_dump()
    stores.results.summarise("attribution", ATTRIBUTION, summary)
    stores.attributions.forget(ATTRIBUTION)
    shutil.rmtree(folder / "tables")
    assert client.get("/api/v1/attributions").json()["items"] == before
    assert client.get(BASE).status_code == 409
    # What was found when it was opened is known.
    assert "damaged" in client.get("/api/v1/attributions").json()["items"][0]["damaged"]
    (folder / "zarr.json").unlink()
    assert (
        client.get("/api/v1/attributions").json()["items"][0]["damaged"] == f"there is no attribution '{ATTRIBUTION}'"
    )


def test_a_model_in_use_stays_and_goes_after_its_attribution(
    client: TestClient, stores: Stores, made_up: MadeUp
) -> None:
    refused = client.delete(f"/api/v1/models/pruned:{PRUNED}")
    assert refused.status_code == 409
    assert ATTRIBUTION in refused.json()["detail"]
    assert client.get(f"{BASE}/neurons/0/0").status_code == 200
    assert client.delete(BASE).status_code == 204
    assert not made_up.path.exists()
    assert client.get(f"{BASE}/neurons/0/0").status_code == 404
    assert client.get(BASE).status_code == 404
    assert client.delete(BASE).status_code == 404
    assert client.delete(f"/api/v1/models/pruned:{PRUNED}").status_code == 204
    assert client.get(f"/api/v1/models/{PRUNED}").status_code == 404
