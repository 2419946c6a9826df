"""The page from a word or a token to its neurons shows what the document holds."""

import re
from html import unescape

import numpy as np
import pytest
from starlette.testclient import TestClient

from prunescope.server.stores import Stores
from tests.server.conftest import ATTRIBUTION
from tests.server.made_up import TOKENS, MadeUp

BASE = f"/attributions/{ATTRIBUTION}/answering"


@pytest.mark.parametrize("query", ["word=bland", "word=BADLY&layer=1", "example=1&token=4", "token=2&layer=0"])
def test_the_page_holds_what_the_document_holds(client: TestClient, made_up: MadeUp, query: str) -> None:
    document = client.get(f"/api/v1{BASE}?{query}").json()
    page = unescape(client.get(f"{BASE}?{query}").text)
    links = re.findall(r'<a class="key" href="(/attributions/[^"]+)">(L\d+/N\d+)</a>', page)
    items, of_text = ([row["name"] for row in document[name]] for name in ("items", "text_neurons"))
    assert [name for _, name in links] == [*items, *of_text]
    chosen = document["token"]
    # A neuron's bare address shows the text where its own word stands.
    seen = "" if chosen is None else f"?example={document['example']}&token={chosen['position']}"
    assert all(
        href.endswith(f"{name.replace('L', '/').replace('/N', '/')}{seen}") for href, name in links[: len(items)]
    )
    tokens = TOKENS[document["example"]]
    assert [token["token"] for token in document["tokens"]] == tokens
    assert len(re.findall(r'<a class="t h0[^"]*" href="[^"]+token=\d+', page)) == len(tokens)
    assert document["words"] == ["badly", "damaged", "bland"]
    named = document["word"] or document["token"]["token"]
    assert named in re.findall(r"<h1>(.*)</h1>", page)[0]


def test_a_word_stands_in_the_first_text_that_holds_it(client: TestClient, made_up: MadeUp) -> None:
    assert client.get(f"/api/v1{BASE}?word=bland").json()["example"] == 1
    assert client.get(f"/api/v1{BASE}?word=bland&example=0").json()["example"] == 0
    assert client.get(f"/api/v1{BASE}?word=Bland").json()["href"] == f"{BASE}?word=bland"


@pytest.mark.parametrize("layer", [None, 2])
@pytest.mark.parametrize("example", [0, 1])
def test_the_top_neurons_of_a_text(client: TestClient, made_up: MadeUp, example: int, layer: int | None) -> None:
    here = "" if layer is None else f"&layer={layer}"
    document = client.get(f"/api/v1{BASE}?word=badly&example={example}{here}").json()
    words = [["badly", "damaged"], ["bland"]][example]
    listed = client.get(f"/api/v1/attributions/{ATTRIBUTION}/neurons?limit=500{here}").json()["items"]
    wanted = [row for row in listed if row["word"] in words][:10]
    assert [row["rank"] for row in document["text_neurons"]] == [row["rank"] for row in wanted]
    places = {"badly": [2], "damaged": [3, 4], "bland": [len(TOKENS[0]) + 4]}
    for row in document["text_neurons"]:
        for variant, value in row["activations"].items():
            own = made_up.activations[variant][row["layer"], row["neuron"], places[row["word"]]].astype(np.float64)
            assert value == pytest.approx(np.maximum(own, 0).mean(), rel=1e-3)
    assert set(document["text_neurons"][0]["activations"]) == {"dense", "pruned-1", "pruned-2"}


def test_without_a_question_it_is_about_the_most_damaged_word(client: TestClient, made_up: MadeUp) -> None:
    answer = client.get(BASE, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{BASE}?word=badly")
    assert client.get(f"{BASE}?layer=2", follow_redirects=False).headers["location"] == f"{BASE}?word=badly&layer=2"


def test_nobody_answers_to_a_special_token(client: TestClient, made_up: MadeUp) -> None:
    assert client.get(f"/api/v1{BASE}?token=0").json()["items"] == []
    assert (
        "Special tokens, the first one of a text and attention sinks are in no sum"
        in client.get(f"{BASE}?token=0").text
    )


def test_an_attribution_of_the_first_format_says_so(client: TestClient, stores: Stores, made_up: MadeUp) -> None:
    stores.attributions.get(ATTRIBUTION).store.tables["format"] = 1
    document = client.get(f"/api/v1{BASE}?word=bland").json()
    assert (document["items"], document["recorded"]) == ([], False)
    assert document["text_neurons"][0]["activations"] == {}
    assert "Run it again" in client.get(f"{BASE}?word=bland").text


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("word=blond", 200, "did you mean"),
        ("token=99", 200, "not between 0 and 10"),
        ("word=bland&example=9", 200, "there is no example 9"),
    ],
)
def test_what_is_not_there(client: TestClient, made_up: MadeUp, query: str, status: int, said: str) -> None:
    answer = client.get(f"{BASE}?{query}", headers={"accept": "text/html"})
    assert answer.status_code == status and said in answer.text
