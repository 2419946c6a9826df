"""Models, evaluations and studies: what lists and pages say of them, downloads and removal."""

import io
import math
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_rel
from starlette.testclient import TestClient

from prunescope.server.stores import Stores
from prunescope.store.evaluations.outcomes import outcomes_of
from tests.server.conftest import (
    DENSE_EVALUATION,
    OTHER_PRUNED,
    PRUNED,
    PRUNED_EVALUATION,
    add_evaluation,
    add_model,
)


def test_models_are_the_demo_what_lies_in_the_roots_and_what_was_pruned(
    client: TestClient, stores: Stores, tmp_path: Path
) -> None:
    folder = tmp_path / "models" / "tiny"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    (folder / "model.safetensors").write_bytes(b"")
    add_model(stores, PRUNED, base="facebook/opt-125m")
    items = client.get("/api/v1/models").json()["items"]
    assert [item["reference"] for item in items] == ["demo", "tiny", "facebook/opt-125m", f"pruned:{PRUNED}"]
    assert [item["kind"] for item in items] == ["dense", "dense", "dense", "pruned"]
    assert items[-1]["base"] == {"label": "facebook/opt-125m", "href": "/models/facebook/opt-125m"}
    assert items[-1]["label"] == "wanda · c4 8x64 · 0.5"
    for item in items:
        answer = client.get("/api/v1" + item["href"])
        assert answer.status_code == 200
        assert answer.json()["reference"] == item["reference"]
    for unknown in ("facebook/opt-350m", "ffffffffffffffff", "%2Fetc"):
        assert client.get(f"/api/v1/models/{unknown}").status_code == 404


def test_a_pruned_model_is_shown_layer_by_layer(client: TestClient, stores: Stores) -> None:
    add_model(stores, PRUNED)
    add_evaluation(stores, PRUNED_EVALUATION, f"pruned:{PRUNED}", [0, 0, 0, 0])
    document = client.get(f"/api/v1/models/pruned:{PRUNED}").json()
    (layer,) = document["layers"]
    assert layer["sparsity"] == pytest.approx(0.375)
    assert layer["relative_error"] == 0.3
    assert [matrix["name"] for matrix in layer["matrices"]] == ["mlp.up_proj", "mlp.down_proj"]
    assert document["evaluations"] == [{"label": "reviews", "href": f"/evaluations/{PRUNED_EVALUATION}"}]
    dense = client.get("/api/v1/models/demo").json()
    assert dense["variants"] == [{"label": "wanda · c4 8x64 · 0.5", "href": f"/models/{PRUNED}"}]


def test_a_model_is_downloaded_as_a_tar_file_of_its_folder(client: TestClient, stores: Stores) -> None:
    add_model(stores, PRUNED)
    answer = client.get(f"/api/v1/models/{PRUNED}/download", headers={"accept-encoding": "identity"})
    assert answer.status_code == 200
    assert int(answer.headers["content-length"]) == len(answer.content)
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
        names = archive.getnames()
        weights = archive.extractfile(f"pruned-{PRUNED}/model.safetensors")
        assert weights is not None
        assert weights.read() == bytes(range(256)) * 5
    assert names == [f"pruned-{PRUNED}/{name}" for name in ("config.json", "model.safetensors", "pruning.json")]
    assert client.get("/api/v1/models/ffffffffffffffff/download").status_code == 404


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
    assert "Find the neurons behind these 2" in html
    alone = client.get(f"/api/v1/evaluations/{DENSE_EVALUATION}/reviews").json()
    assert (alone["attribution_job"], alone["attribution_rows"]) == (None, 0)
    assert "Find the neurons" not in client.get(f"/evaluations/{DENSE_EVALUATION}/reviews").text


def test_a_study_stands_beside_what_the_paper_prints(client: TestClient) -> None:
    spec = {
        "models": ["meta-llama/Llama-2-7b-hf", "facebook/opt-6.7b", "facebook/opt-125m"],
        "methods": ["wanda"],
        "patterns": ["0.5"],
        "calibrations": [{"dataset": "c4"}, {"dataset": "ptb"}],
        "tasks": ["yelp"],
    }
    id = client.post("/api/v1/jobs", json={"kind": "study", "spec": spec}).json()["fingerprint"][:16]
    crossed = "rows=model&columns=calibration"
    plain = client.get(f"/api/v1/studies/{id}?{crossed}").json()
    assert plain["published"] is None and plain["published_tables"] == ["table-2"]
    document = client.get(f"/api/v1/studies/{id}?{crossed}&published=table-2").json()
    values = [[cell["published"] for cell in row["cells"]] for row in document["table"]["rows"]]
    assert values == [[0.5038, 0.5001], [0.6637, 0.5947], [None, None]], "arXiv 2503.01542, Table 2"
    page = client.get(f"/studies/{id}?{crossed}&published=table-2").text
    assert '<small class="paper">66.4</small>' in page and "Paper: Table 2" in page
    assert "66.4" not in client.get(f"/studies/{id}?{crossed}").text
    unknown = client.get(f"/api/v1/studies/{id}?published=table-9")
    assert unknown.status_code == 422 and "table-1" in unknown.text


def test_a_study_is_a_table_with_what_is_best_at_chance_and_still_to_come(client: TestClient, stores: Stores) -> None:
    spec = {
        "models": ["demo"],
        "methods": [{"name": "magnitude"}, {"name": "wanda"}],
        "patterns": [{"kind": "unstructured", "sparsity": 0.5}],
        "calibrations": [{"dataset": "demo", "samples": 2, "seqlen": 16, "seed": 0}],
        "tasks": ["reviews"],
    }
    job = client.post("/api/v1/jobs", json={"kind": "study", "spec": spec}).json()
    id = job["fingerprint"][:16]
    cells = stores.studies.cells(job["id"])
    for cell in cells:
        if cell.role in {"dense", "evaluate"} and cell.method != "wanda":
            model = "demo" if cell.role == "dense" else f"pruned:{cell.pruned}"
            if cell.pruned:
                add_model(stores, cell.pruned, "magnitude")
            add_evaluation(stores, cell.artefact, model, [0, 1, 0, 1] if cell.role == "dense" else [0, 0, 0, 1])
    document = client.get(f"/api/v1/studies/{id}?rows=task&columns=method").json()
    table: dict[str, Any] = document["table"]
    assert (table["rows_axis"], table["columns_axis"], table["columns"]) == ("task", "method", ["magnitude", "wanda"])
    (row,) = table["rows"]
    assert (row["label"], row["group"], row["dense"], row["chance"]) == ("reviews", "sentiment", 1.0, 0.5)
    magnitude, wanda = row["cells"]
    assert (magnitude["accuracy"], magnitude["difference"], magnitude["at_chance"]) == (0.75, -0.25, False)
    evaluated = next(cell for cell in cells if cell.role == "evaluate" and cell.method == "magnitude")
    assert (magnitude["rows"], magnitude["newly_wrong"], magnitude["newly_right"]) == (4, 1, 0)
    assert magnitude["p"] == magnitude["q"] == 1.0 and not magnitude["survives"]
    assert magnitude["difference_interval"][0] < -0.25 < magnitude["difference_interval"][1]
    assert (table["tested"], table["surviving"]) == (1, 0)
    assert any("0 of 1 differences hold" in note for note in table["notes"])
    assert magnitude["href"] == f"/evaluations/{evaluated.artefact}/reviews"
    assert (wanda["accuracy"], wanda["state"]) == (None, "queued")
    assert table["largest_difference"] == 0.25
    other = client.get(f"/api/v1/studies/{id}?rows=model&columns=calibration").json()["table"]
    assert other["rows"][0]["label"] == "demo"
    assert client.get(f"/api/v1/studies/{id}").status_code == 200
    assert client.get(f"/api/v1/studies/{id}?rows=colour").json()["errors"][0]["allowed"][0] == "model"
    assert client.get(f"/api/v1/studies/{id}?rows=task&columns=task").status_code == 422
    assert client.get(f"/api/v1/studies/{id}?show=size").status_code == 422
    assert client.get(f"/api/v1/studies/{'9' * 16}").status_code == 404
    assert client.get("/api/v1/studies").json()["items"][0]["cells"] == len(cells)


GRID: dict[str, Any] = {
    "models": ["demo"],
    "methods": ["magnitude", "wanda"],
    "patterns": ["0.5", "2:4"],
    "calibrations": [{"dataset": "demo", "samples": 2}, {"dataset": "c4", "samples": 2}],
    "tasks": ["reviews", "sst2"],
}


def test_every_axis_of_a_study_is_a_filter(client: TestClient) -> None:
    id = client.post("/api/v1/jobs", json={"kind": "study", "spec": GRID}).json()["fingerprint"][:16]
    address = f"/api/v1/studies/{id}?rows=task&columns=calibration"
    whole = client.get(address).json()
    assert whole["filters"] == {} and whole["axes"]["group"] == ["sentiment"]
    patterns = [(label["label"], label["number"]) for label in whole["axis_labels"]["pattern"]]
    assert patterns == [("0.5", 0.5), ("2:4", 0.5)]
    assert whole["table"]["averaged"] == ["pattern"]
    document = client.get(f"{address}&calibration=demo%20(2)&calibration=none&pattern=2:4").json()
    assert document["filters"] == {"pattern": ["2:4"], "calibration": ["demo (2)", "none"]}
    assert document["table"]["columns"] == ["none", "demo (2)"] and document["table"]["averaged"] == []
    assert [label["value"] for label in document["axis_labels"]["calibration"]] == ["none", "demo (2)", "c4 (2)"]
    assert all("pattern=2%3A4&calibration=demo+%282%29&calibration=none" in link["href"] for link in document["tables"])
    assert all(client.get("/api/v1" + link["href"]).status_code == 200 for link in document["tables"])
    page = client.get(f"/studies/{id}?rows=task&columns=calibration&pattern=2:4").text
    assert "rows=task&amp;columns=calibration&amp;show=difference&amp;pattern=2%3A4" in page, "menus keep the filters"
    wrong = client.get(f"{address}&patern=2:4")
    assert wrong.status_code == 422 and "did you mean 'pattern'" in wrong.json()["detail"]
    wrong = client.get(f"{address}&task=sst22")
    assert wrong.status_code == 422 and "did you mean 'sst2'" in wrong.json()["detail"]
    page = client.get(f"/studies/{id}?patern=2:4")
    assert page.status_code == 200 and "patern" in page.text and "did you mean" in page.text


def test_a_study_shows_its_first_jobs_and_where_the_others_are(client: TestClient, stores: Stores) -> None:
    grid = {**GRID, "methods": ["magnitude", "wanda", "sparsegpt", "ria"]}
    job = client.post("/api/v1/jobs", json={"kind": "study", "spec": grid}).json()
    plan = stores.studies.cell_jobs(job["id"])
    document = client.get(f"/api/v1/studies/{job['fingerprint'][:16]}").json()
    assert document["cells"] == len(plan) == 29
    assert [each["id"] for each in document["jobs"]] == plan[:20]
    rest = client.get(document["jobs_next_href"]).json()
    assert [each["id"] for each in rest["items"]] == plan[20:] and rest["next"] is None
    short = client.get(f"/api/v1/studies/{document['id']}/jobs?limit=3").json()
    assert [each["id"] for each in short["items"]] == plan[:3]
    assert client.get(short["next_href"]).json()["items"][0]["id"] == plan[3]
    assert client.get(f"/api/v1/studies/{document['id']}/jobs?limit=0").status_code == 422
    assert client.get(f"/api/v1/studies/{'9' * 16}/jobs").status_code == 404


def test_failed_cells_of_a_study_say_why_and_where_to_try_again(client: TestClient, stores: Stores) -> None:
    job = client.post("/api/v1/jobs", json={"kind": "study", "spec": GRID}).json()
    broken = next(c for c in stores.studies.cells(job["id"]) if c.role == "prune" and c.calibration == "c4 (2)")
    assert stores.jobs.claim(broken.job, "worker", 60) is not None
    assert stores.jobs.fail(broken.job, "worker", {"detail": "no such luck", "code": "unlucky"})
    document = client.get(f"/api/v1/studies/{job['fingerprint'][:16]}?rows=task&columns=calibration").json()
    assert document["failed"] == 2, "the model, and its evaluation with it"
    first, second = document["failures"]
    assert (first["label"], first["error"]) == ("Prune demo · wanda · 0.5 · c4 (2)", "no such luck")
    assert second["label"].startswith("Evaluate pruned demo")
    cell = document["table"]["rows"][0]["cells"][2]
    assert (cell["measurements"], cell["done"], cell["failed"], cell["state"]) == (2, 0, 1, "queued")
    again = client.post(first["retry_href"])
    assert again.is_success and client.get(document["href"].join(["/api/v1", ""])).json()["failed"] == 0


def test_all_failed_cells_of_a_study_are_tried_again_at_once(client: TestClient, stores: Stores) -> None:
    job = client.post("/api/v1/jobs", json={"kind": "study", "spec": GRID}).json()
    address = f"/api/v1/studies/{job['fingerprint'][:16]}"
    assert client.get(address).json()["retry_href"] is None
    nothing = client.post(f"{address}/retry")
    assert nothing.status_code == 409 and "no cell of it failed" in nothing.json()["detail"]
    lost = [cell.job for cell in stores.studies.cells(job["id"]) if cell.role == "prune"][:2]
    for each in lost:
        assert stores.jobs.claim(each, "worker", 60) is not None
        assert stores.jobs.fail(each, "worker", {"detail": "no such luck", "code": "unlucky"})
    document = client.get(address).json()
    assert (document["state"], document["failed"]) == ("running", 4), "it goes on while they are tried again"
    foreign = client.post(document["retry_href"], headers={"sec-fetch-site": "cross-site"})
    assert foreign.status_code == 403 and client.get(address).json()["failed"] == 4
    again = client.post(document["retry_href"])
    assert again.status_code == 202 and again.json()["id"] == job["id"]
    assert client.get(address).json()["failed"] == 0
    assert all(stores.jobs.get(each).sent for each in lost), "their messages have left"
    assert client.post(f"/api/v1/studies/{'9' * 16}/retry").status_code == 404


def test_dense_models_are_not_removed_and_unknown_ones_are_404(client: TestClient, stores: Stores) -> None:
    assert client.delete("/api/v1/models/demo").status_code == 409
    assert client.delete(f"/api/v1/models/{OTHER_PRUNED}").status_code == 404
    add_model(stores, PRUNED)
    add_evaluation(stores, PRUNED_EVALUATION, f"pruned:{PRUNED}", [0, 0, 0, 0])
    assert client.delete(f"/api/v1/models/{PRUNED}").status_code == 409
    assert client.delete(f"/api/v1/evaluations/{PRUNED_EVALUATION}").status_code == 204
    assert client.get(f"/api/v1/evaluations/{PRUNED_EVALUATION}").status_code == 404
    assert client.delete(f"/api/v1/models/{PRUNED}").status_code == 204


def perplexities(stores: Stores, id: str, model: str, **measured: tuple[float, str]) -> None:
    """An evaluation of no task; text -> its perplexity and which windows they were."""
    summary = {
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
    stores.results.add("evaluation", id, job=None, spec=spec, summary={"tasks": {}, "perplexity": summary})


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
        outcomes = outcomes_of({"perplexity": {"ptb": {**whole, "nlls": nlls.tolist()}}})
        summary = {"tasks": {}, "perplexity": {"ptb": whole}}
        stores.results.add("evaluation", id, job=None, spec=spec, summary=summary, outcomes=outcomes)
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
