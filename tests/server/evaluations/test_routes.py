"""Evaluations beside the dense model's, and their examples."""

import math

import numpy as np
import pytest
from scipy.stats import ttest_rel
from starlette.testclient import TestClient

from prunescope.server.stores import Stores
from tests.server.conftest import (
    DENSE_EVALUATION,
    PRUNED,
    PRUNED_EVALUATION,
    add_evaluation,
    add_model,
)


def test_an_evaluation_stands_beside_the_dense_models_on_the_same_rows(client: TestClient, stores: Stores) -> None:
    add_model(stores, PRUNED)
    add_evaluation(stores, DENSE_EVALUATION, "demo", [0, 1, 0, 0])
    add_evaluation(stores, PRUNED_EVALUATION, f"pruned:{PRUNED}", [0, 0, 1, 1])
    document = client.get(f"/api/v1/evaluations/{PRUNED_EVALUATION}").json()
    (task,) = document["tasks"]
    assert (task["accuracy"], task["dense"], task["difference"]) == (0.5, 0.75, -0.25)
    assert document["dense"]["href"] == f"/evaluations/{DENSE_EVALUATION}"
    paired = task["paired"]
    assert paired["evaluation"]["href"] == f"/evaluations/{DENSE_EVALUATION}" and paired["difference"] == -0.25
    assert [paired[key] for key in ("rows", "both_right", "newly_wrong", "newly_right", "both_wrong")] == [
        4,
        1,
        2,
        1,
        0,
    ]
    assert paired["p"] == 1.0 and paired["interval"][0] < -0.25 < 0 < paired["interval"][1]
    examples = client.get(f"/api/v1/evaluations/{PRUNED_EVALUATION}/reviews").json()
    assert examples["result"] == task
    listed = client.get("/api/v1/evaluations").json()["items"]
    assert {item["id"] for item in listed} == {DENSE_EVALUATION, PRUNED_EVALUATION}
    own = next(item for item in listed if item["id"] == DENSE_EVALUATION)
    assert own["tasks"][0]["dense"] is None
    alone = client.get(f"/api/v1/evaluations/{DENSE_EVALUATION}").json()
    assert alone["tasks"][0]["paired"] is None


def test_the_examples_that_pruning_broke_come_first_then_those_it_mended(client: TestClient, stores: Stores) -> None:
    add_model(stores, PRUNED)
    add_evaluation(stores, DENSE_EVALUATION, "demo", [0, 1, 0, 0])
    add_evaluation(stores, PRUNED_EVALUATION, f"pruned:{PRUNED}", [0, 0, 1, 1])
    page = client.get(f"/api/v1/evaluations/{PRUNED_EVALUATION}/reviews").json()
    assert [item["index"] for item in page["items"]] == [1, 2, 3, 0]
    assert [item["broken"] for item in page["items"]] == [True, True, False, False]
    assert [item["mended"] for item in page["items"]] == [False, False, True, False]
    assert (page["broken"], page["mended"]) == (2, 1)
    first = page["items"][0]
    assert (first["this"]["correct"], first["against"]["correct"]) == (False, True)
    part = client.get(f"/api/v1/evaluations/{PRUNED_EVALUATION}/reviews?limit=3").json()
    assert part["items"] == page["items"][:3]
    rest = client.get(f"/api/v1/evaluations/{PRUNED_EVALUATION}/reviews?limit=3&cursor={part['next']}").json()
    assert rest["items"] == page["items"][3:]
    assert rest["next"] is None
    alone = client.get(f"/api/v1/evaluations/{DENSE_EVALUATION}/reviews").json()
    assert (alone["broken"], alone["items"][0]["against"]) == (None, None)
    assert client.get(f"/api/v1/evaluations/{PRUNED_EVALUATION}/sst2").status_code == 404
    assert client.get(f"/api/v1/evaluations/{'9' * 16}/reviews").status_code == 404


def test_of_the_broken_examples_the_most_confident_comes_first(client: TestClient, stores: Stores) -> None:
    """Both margins count: how far the dense model's right choice lay ahead, and how far the wrong one does now."""
    dense = [[-1.0, -1.5], [-3.0, -1.0], [-2.0, -2.25], [-1.25, -1.0]]
    pruned = [[-2.0, -1.0], [-1.75, -2.0], [-4.0, -1.0], [-9.0, -1.0]]
    add_model(stores, PRUNED)
    add_evaluation(stores, DENSE_EVALUATION, "demo", [0, 1, 0, 1], dense)
    add_evaluation(stores, PRUNED_EVALUATION, f"pruned:{PRUNED}", [1, 0, 1, 1], pruned)
    page = client.get(f"/api/v1/evaluations/{PRUNED_EVALUATION}/reviews").json()
    assert [item["index"] for item in page["items"]] == [2, 1, 0, 3], "3.25, 2.25 and 1.5 nats"
    assert page["broken"] == 3


def test_the_rows_that_broke_are_a_job_to_post(client: TestClient, stores: Stores) -> None:
    add_model(stores, PRUNED)
    add_evaluation(stores, DENSE_EVALUATION, "demo", [0, 1, 0, 0])
    add_evaluation(stores, PRUNED_EVALUATION, f"pruned:{PRUNED}", [0, 0, 1, 1])
    page = client.get(f"/api/v1/evaluations/{PRUNED_EVALUATION}/reviews").json()
    texts = page["attribution_job"]["spec"]["texts"]
    assert texts == {"dataset": "reviews", "indices": [1, 2]} and page["attribution_rows"] == 2
    answer = client.post("/api/v1/jobs", json=page["attribution_job"])
    assert answer.status_code == 202 and answer.json()["spec"]["words"] == {"source": "manual"}
    html = client.get(f"/evaluations/{PRUNED_EVALUATION}/reviews").text
    assert "Neurons that respond to these 2" in html
    alone = client.get(f"/api/v1/evaluations/{DENSE_EVALUATION}/reviews").json()
    assert (alone["attribution_job"], alone["attribution_rows"]) == (None, 0)
    assert "Neurons that respond" not in client.get(f"/evaluations/{DENSE_EVALUATION}/reviews").text


def perplexities(stores: Stores, id: str, model: str, **measured: tuple[float, str]) -> None:
    """An evaluation of no task; text -> its perplexity and which windows they were."""
    document = {
        name: {
            "perplexity": value,
            "nll": math.log(value),
            "interval": [value * 0.9, value * 1.1],
            "tokens": 2047 * 141,
            "windows": 141,
            "seqlen": 2048,
            "source": f"{name}.test.txt",
            "sha256": windows,
        }
        for name, (value, windows) in measured.items()
    }
    spec = {"model": model, "tasks": [], "perplexity": {"datasets": list(measured), "seqlen": 2048, "windows": None}}
    stores.results.add_evaluation(id, job=None, spec=spec, document={"tasks": {}, "perplexity": document})


def test_a_perplexity_stands_beside_the_dense_models_on_the_same_windows(client: TestClient, stores: Stores) -> None:
    add_model(stores, PRUNED)
    perplexities(stores, DENSE_EVALUATION, "demo", wikitext2=(5.12, "aa"), ptb=(40.0, "bb"))
    perplexities(stores, PRUNED_EVALUATION, f"pruned:{PRUNED}", wikitext2=(6.42, "aa"), ptb=(13482.3, "cc"))
    document = client.get(f"/api/v1/evaluations/{PRUNED_EVALUATION}").json()
    first, second = document["perplexity"]
    assert (first["text"], first["perplexity"], first["dense"]) == ("wikitext2", 6.42, 5.12)
    assert first["ratio"] == 6.42 / 5.12 and first["dense_href"] == f"/evaluations/{DENSE_EVALUATION}"
    assert (second["dense"], second["ratio"], second["dense_href"]) == (None, None, None), "other windows"
    assert first["paired"] is second["paired"] is None, "no window's loss was kept"
    own = client.get(f"/api/v1/evaluations/{DENSE_EVALUATION}").json()
    assert [text["dense"] for text in own["perplexity"]] == [None, None]
    html = client.get(f"/evaluations/{PRUNED_EVALUATION}").text
    assert "perplexity on wikitext2, ptb" in html
    for shown in ("<b>6.42</b>", "5.78 to 7.06", ">5.12</a>", "1.25\xa0×", "141 × 2,048 tokens", "<b>13,482</b>"):
        assert shown in html, shown
    assert "perplexity on ptb <small>13,482</small>" in client.get("/evaluations").text
    assert client.get(f"/models/pruned:{PRUNED}").status_code == 200


def test_a_perplexity_has_its_paired_interval_where_the_windows_losses_were_kept(
    client: TestClient, stores: Stores
) -> None:
    hard = np.array([1.2, 2.9, 1.7, 2.2, 2.6, 1.4])
    losses = {"demo": hard, f"pruned:{PRUNED}": hard + np.array([0.2, 0.25, 0.22, 0.19, -0.01, 0.21])}
    add_model(stores, PRUNED)
    for id, (model, nlls) in zip((DENSE_EVALUATION, PRUNED_EVALUATION), losses.items(), strict=True):
        windows = {"tokens": 31 * 6, "windows": 6, "seqlen": 32, "source": "ptb.test.txt", "sha256": "aa"}
        whole = {"perplexity": math.exp(nlls.mean()), "nll": nlls.mean(), "interval": None, **windows}
        spec = {"model": model, "tasks": [], "perplexity": {"datasets": ["ptb"], "seqlen": 32, "windows": None}}
        document = {"tasks": {}, "perplexity": {"ptb": {**whole, "nlls": nlls.tolist()}}}
        stores.results.add_evaluation(id, job=None, spec=spec, document=document)
    (text,) = client.get(f"/api/v1/evaluations/{PRUNED_EVALUATION}").json()["perplexity"]
    paired, test = text["paired"], ttest_rel(losses[f"pruned:{PRUNED}"], hard)
    ends = test.confidence_interval(0.95)
    assert paired["evaluation"]["href"] == text["dense_href"] == f"/evaluations/{DENSE_EVALUATION}"
    assert (paired["windows"], paired["worse"], paired["better"], paired["same"]) == (6, 5, 1, 0)
    assert paired["interval"] == pytest.approx([ends.low, ends.high]) and paired["p"] == pytest.approx(test.pvalue)
    assert text["ratio"] == pytest.approx(math.exp(paired["difference"]))
    html = client.get(f"/evaluations/{PRUNED_EVALUATION}").text
    assert f"{math.exp(ends.low):.2f}\xa0× to {math.exp(ends.high):.2f}\xa0×" in html
    (own,) = client.get(f"/api/v1/evaluations/{DENSE_EVALUATION}").json()["perplexity"]
    assert own["paired"] is None and own["ratio"] is None


def test_rows_whose_prompt_was_cut_are_shown(client: TestClient, stores: Stores) -> None:
    add_evaluation(stores, DENSE_EVALUATION, "demo", [0, 1, 0, 0], truncated=3)
    html = client.get(f"/evaluations/{DENSE_EVALUATION}").text
    assert "reviews: 3 of 4 rows lost the beginning of a prompt longer than 512 tokens" in html
    assert client.get(f"/api/v1/evaluations/{DENSE_EVALUATION}").json()["tasks"][0]["truncated"] == 3
    assert "with the beginning of their prompt cut off" in client.get(f"/evaluations/{DENSE_EVALUATION}/reviews").text
