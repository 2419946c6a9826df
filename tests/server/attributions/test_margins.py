"""Margin shares beside Scores: on the overview of an attribution, and on the pages of its neurons."""

import re

import numpy as np
import pytest
from starlette.testclient import TestClient

from prunescope.server.site.formats import decimal
from prunescope.server.stores import Stores
from prunescope.store.explanations.folder import ExplanationStore
from tests.server.conftest import ATTRIBUTION, EXPLANATION, OTHER_PRUNED, add_explanation
from tests.server.made_up import LAYERS, NEURONS, MadeUp

PAGE = f"/attributions/{ATTRIBUTION}"
BASE = f"/api/v1{PAGE}"
NEWER, OTHER = "c4" * 8, "c5" * 8
HTML = {"accept": "text/html"}


@pytest.fixture
def shares(stores: Stores, made_up: MadeUp) -> dict[str, np.ndarray]:
    """Of the explanation of the first variant: name -> [layers, neurons]."""
    add_explanation(stores, size=(LAYERS, NEURONS, 4))
    return ExplanationStore(stores.artefacts, EXPLANATION).shares()


def test_without_an_explanation_there_is_a_link_to_make_one(client: TestClient, made_up: MadeUp) -> None:
    document = client.get(BASE).json()
    assert (document["explanation"], document["explanations"]) == (None, [])
    assert document["top_neurons"][0]["margin_share"] is None
    page = client.get(PAGE).text
    assert "kind=explain&amp;dense=demo&amp;pruned=pruned%3A" in page and "By margin share" not in page
    wrong = client.get(f"{BASE}?by=margin")
    assert wrong.status_code == 422 and "start a job of the kind explain" in wrong.json()["detail"]
    shown = client.get(f"{PAGE}?by=margin", headers=HTML)
    assert shown.status_code == 200 and "no explanation of these two models" in shown.text


def test_neurons_are_ordered_by_score_or_by_margin_share(
    client: TestClient, made_up: MadeUp, shares: dict[str, np.ndarray]
) -> None:
    by_score, by_margin = client.get(BASE).json(), client.get(f"{BASE}?by=margin").json()
    margin, rank = shares["margin_share"], shares["rank"]
    for document in (by_score, by_margin):
        for row in (*document["top_neurons"], *document["damaged_neurons"]):
            place = row["layer"], row["neuron"]
            assert row["margin_share"] == float(margin[place]) and row["margin_rank"] == int(rank[place])
        table = document["score_map"]
        for layer, neurons, found in zip(table["layers"], table["neurons"], table["margins"], strict=True):
            assert found == [float(margin[layer, neuron]) for neuron in neurons]
    assert [row["rank"] for row in by_score["top_neurons"]] == [*range(1, 21)]
    assert [row["margin_rank"] for row in by_margin["top_neurons"]] == [*range(1, 21)], "unranked ones too"
    count = by_margin["summary"]["matched"]
    best = {divmod(int(place), NEURONS) for place in np.argsort(-margin.ravel(), kind="stable")[:count]}
    assert {(row["layer"], row["neuron"]) for row in by_margin["damaged_neurons"]} <= best
    drops = [row["drop"] for row in by_margin["damaged_neurons"]]
    assert drops == sorted(drops, reverse=True)
    assert all(found == sorted(found, reverse=True) for found in by_margin["score_map"]["margins"])
    one = client.get(f"{BASE}?by=margin&layer=2&word=bland").json()["top_neurons"]
    assert {(row["layer"], row["word"]) for row in one} == {(2, "bland")}


def test_the_page_shows_either_order_and_says_what_it_means(client: TestClient, shares: dict[str, np.ndarray]) -> None:
    score, margin = client.get(PAGE).text, client.get(f"{PAGE}?by=margin").text
    assert "Neurons that respond to words" in score and "Scores by layer and rank" in score
    assert "<h2>Neurons behind the loss" in margin and "Margin shares by layer and rank" in margin
    for page in (score, margin):
        assert f'href="/explanations/{EXPLANATION}"' in page
    drawn = re.findall(r'aria-label="(L\d+/N\d+), Score [^,]+, margin share ([^ ]+) %', margin.replace("\xa0", " "))
    found = client.get(f"{BASE}?by=margin").json()["score_map"]
    expected = [
        (f"L{layer}/N{neuron}", decimal(100 * share, 2))
        for layer, neurons, shares in zip(found["layers"], found["neurons"], found["margins"], strict=True)
        for neuron, share in zip(neurons, shares, strict=True)
        if neuron is not None
    ]
    assert drawn == expected


def test_the_newest_explanation_is_used_unless_another_is_chosen(
    client: TestClient, stores: Stores, shares: dict[str, np.ndarray]
) -> None:
    add_explanation(stores, NEWER, size=(LAYERS, NEURONS, 0), task="sst2")
    add_explanation(stores, OTHER, f"pruned:{OTHER_PRUNED}", size=(LAYERS, NEURONS, 0))
    document = client.get(BASE).json()
    assert document["explanation"]["id"] == NEWER and document["explanation"]["label"] == "sst2, 100 rows"
    assert [each["value"] for each in document["explanations"]] == [NEWER, EXPLANATION]
    assert client.get(f"{BASE}?explanation={EXPLANATION}").json()["explanation"]["id"] == EXPLANATION
    assert client.get(f"{BASE}?variant=pruned-2").json()["explanation"]["id"] == OTHER
    wrong = client.get(f"{BASE}?explanation={OTHER}")
    assert wrong.status_code == 422 and wrong.json()["errors"][0]["allowed"] == [NEWER, EXPLANATION]
    page = client.get(f"{PAGE}?explanation={EXPLANATION}").text
    assert "Margin shares: reviews" in page and "explanation=" + EXPLANATION in page


def test_an_explanation_of_another_shape_or_a_damaged_one_is_not_used(
    client: TestClient, stores: Stores, made_up: MadeUp
) -> None:
    add_explanation(stores, size=(LAYERS, NEURONS + 1, 0))
    assert client.get(BASE).json()["explanation"] is None
    add_explanation(stores, NEWER, size=(LAYERS, NEURONS, 0))
    assert client.get(BASE).json()["explanation"]["id"] == NEWER
    stores.artefacts.remove("explanation", NEWER)
    assert client.get(BASE).json()["explanation"] is None
    assert client.get(f"{BASE}/neurons/1/7").json()["margins"] == {}


def test_a_neuron_says_what_it_carries_of_each_explained_loss(
    client: TestClient, stores: Stores, shares: dict[str, np.ndarray]
) -> None:
    path = "/neurons/1/7"
    before = client.get(f"{BASE}{path}")
    (found,) = before.json()["margins"]["pruned-1"]
    assert (found["share"], found["integrated"]) == tuple(
        float(shares[name][1, 7]) for name in ("margin_share", "integrated_share")
    )
    assert (found["rank"], found["of"]) == (int(shares["rank"][1, 7]), LAYERS * NEURONS)
    assert found["explanation"] == {"label": "reviews", "href": f"/explanations/{EXPLANATION}"}
    text = re.sub(r"<[^>]+>", "", client.get(f"{PAGE}{path}").text)
    assert f"of the lost margin on reviews, rank {found['rank']} of {LAYERS * NEURONS} by margin share" in text
    assert "lost margin" not in re.sub(r"<[^>]+>", "", client.get(f"{PAGE}{path}?variant=pruned-2").text)
    # A browser that has the document asks again and gets the new one.
    headers = {"if-none-match": before.headers["etag"]}
    assert client.get(f"{BASE}{path}", headers=headers).status_code == 304
    add_explanation(stores, NEWER, size=(LAYERS, NEURONS, 0), task=None)
    after = client.get(f"{BASE}{path}", headers=headers)
    assert after.status_code == 200
    assert [each["explanation"]["label"] for each in after.json()["margins"]["pruned-1"]] == ["wikitext2", "reviews"]
    assert "of the loss on wikitext2" in re.sub(r"<[^>]+>", "", client.get(f"{PAGE}{path}").text)


def test_lists_and_layers_can_be_ordered_by_margin_share(
    client: TestClient, stores: Stores, shares: dict[str, np.ndarray]
) -> None:
    margin = shares["margin_share"]
    first = client.get(f"{BASE}/neurons?by=margin&limit=50").json()
    after = client.get(f"/api/v1{first['next_href'].removeprefix('/api/v1')}").json()
    listed = [(row["layer"], row["neuron"]) for row in (*first["items"], *after["items"])]
    assert listed == [divmod(int(place), NEURONS) for place in np.argsort(-margin.ravel(), kind="stable")[:100]]
    layer = client.get(f"{BASE}/layers/1?sort=margin&neurons=40").json()
    assert [row["neuron"]["neuron"] for row in layer["rows"]] == np.argsort(-margin[1], kind="stable").tolist()
    assert layer["orders"] == ["rank", "drop", "margin"]
    page = client.get(f"{PAGE}/layers/1?sort=margin").text
    assert (
        "By margin share" in page
        and "1 to 16 of the layer's neurons, by " in page
        and 'data-term="margin share"' in page
    )
    # Of the second variant there is no explanation.
    assert client.get(f"{BASE}/neurons?by=margin&variant=pruned-2").status_code == 422
    other = client.get(f"{PAGE}/layers/1?sort=margin&variant=pruned-2", headers=HTML).text
    assert "sort: " in other and "start a job of the kind explain" in other and "By margin share" not in other
