"""The list of explanations, one explanation as page, document and CSV files, and its removal."""

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from prunescope.server.stores import Stores
from prunescope.store.explanations.folder import EXPLANATION_JSON, SHARES, ExplanationStore
from tests.made_up_explanation import made_up_explanation
from tests.server.conftest import (
    ATTRIBUTION,
    EXPLANATION,
    OTHER_PRUNED,
    PRUNED,
    add_explanation,
    add_model,
)
from tests.server.made_up import MadeUp

PAGE = f"/explanations/{EXPLANATION}"
BASE = f"/api/v1{PAGE}"
HTML = {"accept": "text/html"}


@pytest.fixture
def explained(stores: Stores) -> None:
    add_model(stores, PRUNED)
    add_explanation(stores)


def text_of(client: TestClient, path: str = PAGE) -> str:
    answer = client.get(path, headers=HTML)
    assert answer.status_code == 200
    return " ".join(re.sub(r"<[^>]+>", " ", answer.text).split())


def test_the_document_is_the_artefact_with_links(client: TestClient, stores: Stores, explained: None) -> None:
    document = client.get(BASE).json()
    kept = json.loads(stores.artefacts.read("explanation", EXPLANATION, EXPLANATION_JSON))
    assert {name: document[name] for name in kept if name != "neurons"} == {
        name: value for name, value in kept.items() if name != "neurons"
    }
    assert [{**row, "href": None} for row in kept["neurons"]] == document["neurons"]
    assert document["label"] == "reviews, 100 rows · demo"
    assert document["pruned_model"] == {"label": "wanda · c4 8x64 · 0.5", "href": f"/models/{PRUNED}"}
    shares = ExplanationStore(stores.artefacts, EXPLANATION).shares()["margin_share"]
    for layer, (row, neurons) in enumerate(
        zip(document["share_map"]["shares"], document["share_map"]["neurons"], strict=True)
    ):
        assert row == sorted(shares[layer].tolist(), reverse=True)[: len(row)]
        assert [float(shares[layer, neuron]) for neuron in neurons] == row


def test_neurons_lead_to_their_pages_in_the_newest_attribution_of_the_same_models(
    client: TestClient, stores: Stores, made_up: MadeUp
) -> None:
    for id, pruned, query in ((EXPLANATION, PRUNED, ""), ("c4" * 8, OTHER_PRUNED, "?variant=pruned-2")):
        add_explanation(stores, id, f"pruned:{pruned}")
        document = client.get(f"/api/v1/explanations/{id}").json()
        first = document["neurons"][0]
        assert first["href"] == f"/attributions/{ATTRIBUTION}/neurons/{first['layer']}/{first['neuron']}{query}"
        assert document["share_map"]["hrefs"][first["layer"]][0] == first["href"]
        assert document["attribution"]["href"] == f"/attributions/{ATTRIBUTION}{query}"
        assert client.get(first["href"], headers=HTML).status_code == 200
    add_model(stores, "99" * 8)
    add_explanation(stores, "c5" * 8, f"pruned:{'99' * 8}")
    alone = client.get(f"/api/v1/explanations/{'c5' * 8}").json()
    assert alone["attribution"] is None and alone["neurons"][0]["href"] is None
    assert "Record their activations" in client.get(f"/explanations/{'c5' * 8}").text


def test_the_page_says_what_was_lost_and_what_restores_it(client: TestClient, explained: None) -> None:
    text = text_of(client)
    assert (
        "24 of 100 rows broken" in text
        and "3 mended" in text
        and "12 rank the neurons, each half for the other" in text
    )
    assert "On 12 broken rows, each with neurons that other rows chose" in text
    assert "All MLP neurons together restore 71 %, all attention heads 42 %, both 97 %." in text
    assert "Part of this loss is a shift towards one answer: the pruned model says “positive” in 90 %" in text
    assert "fell from 0.90 to 0.80" in text
    assert "accuracy, % 90.0 70.0 84.0" in text
    assert "margin , nats 1.20 −0.80 0.62" in text, "0.71 of the two lost nats come back"
    assert "<b>bland</b>" not in client.get(PAGE).text and "&lt;b&gt;bland" in client.get(PAGE).text
    assert "badly −75 %" in text


def test_the_table_has_the_numbers_of_the_chart(client: TestClient, explained: None) -> None:
    document = client.get(BASE).json()
    for curve, row in (("margin", "restored"), ("right", "right_again")):
        html = client.get(f"{PAGE}?curve={curve}").text
        data = json.loads(re.search(r'id="curve-data">(.*?)</script>', html)[1])
        names = [series["name"] for series in data["series"]]
        beside = ["change × output norm", "activation × output norm", "Score", "drop", "random"]
        assert names == ["margin share", *beside]
        for series, points in zip(data["series"], document["curves"].values(), strict=True):
            scale = 100 if curve == "margin" else 1
            assert series["x"] == [point["k"] for point in points]
            assert series["values"] == [scale * point[row] for point in points]
        card = html[html.index('id="curves"') :].partition("</section>")[0]
        assert ("newly wrong</span>" in card) == (curve == "right")


def test_a_text_has_neither_answers_nor_accuracy(client: TestClient, stores: Stores) -> None:
    add_model(stores, PRUNED)
    add_explanation(stores, task=None, size=(3, 40, 0))
    text = text_of(client)
    assert "loss on wikitext2, 100 windows of 128" in text and "40 windows whose loss rose" in text
    assert "AUC" not in text and "accuracy" not in text and "right again" not in text and "heads" not in text.lower()
    assert client.get(BASE).json()["answers"] is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"notes": ["Attention heads were not found in this model."], "size": (3, 40, 0)},
            "heads were not found in this model.",
        ),
        ({"rows": {"measured": 3, "held_out_broken": 3}}, "Only 3 broken rows could be measured"),
        ({"rows": {"truncated": 2}}, "2 rows lost the beginning of a prompt"),
        ({"rows": {"left_out": [{"row": 7, "reason": "it has one choice"}]}}, "row 7: it has one choice"),
        ({"neurons": []}, "No neuron carries any of the lost margin"),
        ({"answers": None}, "24 of 100 rows broken"),
    ],
)
def test_what_is_missing_or_small_is_said(
    client: TestClient, stores: Stores, changes: dict[str, object], said: str
) -> None:
    add_model(stores, PRUNED)
    whole = made_up_explanation()
    merged = {
        name: {**whole[name], **value} if name == "rows" and isinstance(value, dict) else value
        for name, value in changes.items()
    }
    add_explanation(stores, **merged)
    assert said in text_of(client)


def test_an_unclear_choice_is_said_to_be_unclear(client: TestClient, stores: Stores) -> None:
    add_model(stores, PRUNED)
    point = {"k": 1, "restored": 0.1, "low": -0.1, "high": 0.3, "right_again": 1, "newly_wrong": 0}
    curves = {"margin": [point], "random": [{**point, "restored": 0.05}]}
    add_explanation(stores, curves=curves)
    assert "these rows do not show that the choice is better" in text_of(client)
    add_explanation(stores, "c4" * 8, curves={**curves, "margin": [{**point, "low": 0.06}]})
    assert "these rows do not show" not in text_of(client, f"/explanations/{'c4' * 8}")


def test_the_files_hold_every_neuron_and_every_point(client: TestClient, stores: Stores, explained: None) -> None:
    shares = ExplanationStore(stores.artefacts, EXPLANATION).shares()
    for path in (f"{BASE}/neurons.csv", f"{PAGE}/neurons.csv"):
        answer = client.get(path)
        assert (
            answer.headers["content-type"].startswith("text/csv")
            and "attachment" in answer.headers["content-disposition"]
        )
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert len(rows) == shares["rank"].size
        for row in rows:
            place = int(row["layer"]), int(row["index"])
            assert row["neuron"] == "L{}/N{}".format(*place) and int(row["rank"]) == shares["rank"][place]
            assert np.float32(row["margin_share"]) == shares["margin_share"][place]
    document = client.get(BASE).json()
    points = list(csv.DictReader(io.StringIO(client.get(f"{BASE}/curves.csv").text)))
    restored = {
        (row["ranking"], int(row["k"])): float(row["value"]) for row in points if row["direction"] == "restored"
    }
    assert restored == {
        (name, point["k"]): point["restored"] for name, each in document["curves"].items() for point in each
    }
    assert sum(row["direction"] == "lost" for row in points) == sum(
        len(document["reverse"][name]) for name in ("margin", "random")
    )


def test_the_list_reads_records_alone(client: TestClient, stores: Stores, explained: None) -> None:
    stores.results.add(
        "explanation",
        "c4" * 8,
        job=None,
        spec={"dense": "demo", "pruned": f"pruned:{PRUNED}", "task": "sst2", "limit": 9},
        summary={},
    )
    other, whole = client.get("/api/v1/explanations").json()["items"]
    assert (other["id"], other["found"]) == ("c4" * 8, None)
    assert whole["found"]["broken"] == 24 and whole["href"] == PAGE
    text = text_of(client, "/explanations")
    assert "24 of 100 rows broken" in text and "all 71 %" in text and "sst2, 9 rows" in text
    assert client.get(f"/explanations/{'c4' * 8}").status_code == 404, "its artefact is missing"


@pytest.mark.parametrize("file", [EXPLANATION_JSON, SHARES])
def test_a_damaged_one_is_said_to_be_damaged(client: TestClient, stores: Stores, explained: None, file: str) -> None:
    folder = stores.artefacts.local_path("explanation", EXPLANATION)
    assert isinstance(folder, Path)
    (folder / file).write_bytes(b"[" * 100_000)
    answer = client.get(BASE)
    assert (answer.status_code, answer.json()["code"]) == (409, "damaged")
    assert client.get("/explanations").status_code == 200


def test_it_uses_its_model_until_it_is_removed(client: TestClient, explained: None) -> None:
    assert client.delete(f"/api/v1/models/{PRUNED}").status_code == 409
    assert client.delete(BASE).status_code == 204
    assert client.get(BASE).status_code == 404 and client.delete(BASE).status_code == 404
    assert client.get(f"{BASE}/neurons.csv").status_code == client.get(f"{BASE}/curves.csv").status_code == 404
    assert client.delete(f"/api/v1/models/{PRUNED}").status_code == 204


def test_a_shared_one_has_no_buttons_that_change_anything(client: TestClient, explained: None) -> None:
    token = client.post("/api/v1/shares", json={"path": f"{PAGE}?curve=right"}).json()["token"]
    page = client.get(f"/s/{token}", headers=HTML).text
    assert "Rows right again" in page
    assert not re.search(r"data-method|data-share=|data-view|Record their activations", page)
