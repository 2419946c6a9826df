"""Corpora: the list, one corpus, one neuron as page and document, removal; and a neuron's page in an attribution."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from prunescope.server.stores import Stores
from prunescope.store.artefacts.manifest import write_manifest
from prunescope.store.corpora.documents import CORPUS_JSON
from prunescope.store.corpora.neurons import file_name
from tests.server.conftest import ATTRIBUTION, CORPUS, OTHER_PRUNED, PRUNED, add_corpus, add_model
from tests.server.made_up import MadeUp

PAGE = f"/corpora/{CORPUS}"
BASE = f"/api/v1{PAGE}"
HTML = {"accept": "text/html"}


@pytest.fixture
def corpus(stores: Stores) -> Path:
    add_model(stores, PRUNED)
    return add_corpus(stores)


def text_of(client: TestClient, path: str) -> str:
    answer = client.get(path, headers=HTML)
    assert answer.status_code == 200
    return " ".join(re.sub(r"<[^>]+>", " ", answer.text).split())


def test_the_list(client: TestClient, corpus: Path) -> None:
    (item,) = client.get("/api/v1/corpora").json()["items"]
    assert item["label"] == "demo, 10,000 tokens · demo"
    assert [model["label"] for model in item["models"]] == ["demo", "wanda · c4 8x64 · 0.5"]
    assert item["tokens"] == 2000 and item["href"] == PAGE
    assert "demo, 10,000 tokens · demo" in text_of(client, "/corpora")
    assert "2,000" in text_of(client, "/corpora")


def test_the_empty_list_leads_to_the_form(client: TestClient) -> None:
    page = client.get("/corpora", headers=HTML).text
    assert "No corpora yet" in page and "/jobs/new?kind=corpus" in page


def test_one_corpus(client: TestClient, corpus: Path) -> None:
    document = client.get(BASE).json()
    assert document["asked"] == 10_000 and document["layers"] == [0, 1] and document["neuron_href"].endswith("/0/0")
    text = text_of(client, PAGE)
    assert "2,000 (all of the text; 10,000 were asked for)" in text
    assert "4 of at most 64 tokens, each begins with BOS, from 4 texts" in text
    assert document["sink_tokens"] == 3
    assert "left out position 0 of every window, special tokens, and 3 attention sinks" in text


def test_sinks_that_were_left_out_are_no_sign_that_the_text_ended(client: TestClient, corpus: Path) -> None:
    document = json.loads((corpus / CORPUS_JSON).read_text())
    (corpus / CORPUS_JSON).write_text(json.dumps({**document, "sink_tokens": 8000}))
    write_manifest(corpus)
    text = text_of(client, PAGE)
    assert "8,000 attention sinks" in text and "all of the text" not in text


def test_one_neuron(client: TestClient, corpus: Path) -> None:
    document = client.get(f"{BASE}/neurons/1/2").json()
    dense, pruned = document["models"]
    assert document["name"] == "L1/N2" and document["next_href"] is None
    assert dense["mean"] == pytest.approx(0.22) and pruned["mean"] == pytest.approx(0.22 * 0.75)
    assert [each["share"] for each in dense["quantiles"]] == [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99]
    first = dense["highest"][0]
    assert (first["before"], first["token"], first["after"]) == ("the", " staff", " was kind\n <b>& food bad")
    assert [(at["model"], round(at["activation"], 3)) for at in first["activations"]] == [
        ("demo", 8.8),
        ("wanda · c4 8x64 · 0.5", 3.3),
    ]
    assert [round(at["activation"], 3) for at in pruned["highest"][0]["activations"]] == [6.6]
    assert [token["token"] for token in dense["up"][:3]] == ["<s>", "the", " staff"]
    assert (dense["shared_up"], pruned["shared_up"], pruned["shared_down"]) == (None, 19, 18)


def test_an_empty_place_is_no_example(client: TestClient, corpus: Path) -> None:
    assert len(client.get(f"{BASE}/neurons/0/1").json()["models"][0]["lowest"]) == 1


def test_the_page_of_a_neuron(client: TestClient, corpus: Path) -> None:
    page = client.get(f"{PAGE}/neurons/0/1", headers=HTML).text
    assert "<mark> staff</mark>" in page
    assert "&lt;b&gt;&amp;" in page and "<b>&" not in page
    text = text_of(client, f"{PAGE}/neurons/0/1")
    assert "19 of 20 as in demo" in text
    assert "The quantiles are those of 1,000 tokens drawn at random" in text
    assert re.search(r'<rect class="outer" x="[\d.]+%" width="[\d.]+%"', page)


@pytest.mark.parametrize(
    ("path", "status"),
    [("/neurons/2/0", 404), ("/neurons/0/3", 404), ("/neurons/x/0", 422), ("/neurons/0/-1", 404)],
)
def test_neurons_that_were_not_recorded(client: TestClient, corpus: Path, path: str, status: int) -> None:
    assert client.get(BASE + path).status_code == status
    assert client.get(PAGE + path, headers=HTML).status_code == status


def test_no_such_corpus(client: TestClient) -> None:
    for path in (PAGE, f"{PAGE}/neurons/0/0"):
        assert client.get(path, headers=HTML).status_code == client.get(f"/api/v1{path}").status_code == 404


def test_a_changed_file_is_a_conflict(client: TestClient, corpus: Path) -> None:
    stored = np.load(corpus / file_name(0), mmap_mode="r+")
    stored[0, 0]["mean"] = 3
    stored.flush()
    answer = client.get(f"{BASE}/neurons/0/0")
    assert answer.status_code == 409 and answer.json()["code"] == "damaged"
    assert client.get(f"{BASE}/neurons/0/1").status_code == 200


def test_removal(client: TestClient, stores: Stores, corpus: Path) -> None:
    assert client.delete(f"/api/v1/models/{PRUNED}").status_code == 409
    assert client.delete(BASE).status_code == 204
    assert not corpus.exists() and client.get(BASE).status_code == 404


def test_the_models_page_lists_it(client: TestClient, corpus: Path) -> None:
    document = client.get("/api/v1/models/demo").json()
    assert document["corpora"] == [{"label": "demo, 10,000 tokens · demo", "href": PAGE}]
    assert PAGE in client.get(f"/models/{PRUNED}", headers=HTML).text


def test_a_neurons_page_without_a_corpus_leads_to_the_form(client: TestClient, made_up: MadeUp) -> None:
    page = client.get(f"/attributions/{ATTRIBUTION}/neurons/0/1", headers=HTML).text
    assert "None was read with this dense model yet." in " ".join(page.split())
    assert re.search(r"/jobs/new\?kind=corpus&amp;models=demo%2C\+pruned%3A\w+", page)


def test_a_neurons_page_shows_the_corpus_of_its_models(client: TestClient, stores: Stores, made_up: MadeUp) -> None:
    dense, *pruned = client.get(f"/api/v1/attributions/{ATTRIBUTION}/neurons/0/1").json()["variants"]
    add_corpus(stores, "c5" * 8, (dense["model"],))
    path = f"/attributions/{ATTRIBUTION}/neurons/0/1"
    assert "The corpus was not read with the variant on this page." in text_of(client, path)
    add_corpus(stores, models=(dense["model"], pruned[0]["model"]))
    text = text_of(client, path)
    assert "What this neuron does over demo, 10,000 tokens · demo" in text and "19 of 20 as in demo" in text
    assert "was not read with the variant" not in text
    assert "Also in demo, 10,000 tokens" in text
    other = text_of(client, f"{path}?variant=pruned-2")
    assert "was not read with the variant" in other


def test_a_neurons_page_survives_a_damaged_corpus(client: TestClient, stores: Stores, made_up: MadeUp) -> None:
    path = add_corpus(stores, models=("demo", f"pruned:{OTHER_PRUNED}"))
    (path / file_name(0)).unlink()
    assert "is damaged: model-0.npy cannot be read" in text_of(client, f"/attributions/{ATTRIBUTION}/neurons/0/1")


def test_a_corpus_of_another_shape_is_not_shown(client: TestClient, stores: Stores, made_up: MadeUp) -> None:
    add_corpus(stores, models=("demo",), neurons=1)
    assert "None was read with this dense model yet." in text_of(client, f"/attributions/{ATTRIBUTION}/neurons/0/1")


def test_the_form(client: TestClient) -> None:
    page = client.get("/jobs/new?kind=corpus&models=demo,+pruned:0123456789abcdef", headers=HTML).text
    assert 'value="demo, pruned:0123456789abcdef"' in page
    assert "Read running text once with a model" in page
