"""Studies over REST: tables and filters, failed cells, and the estimate of a study that is not submitted yet."""

from typing import Any

from starlette.testclient import TestClient

from prunescope.server.answers import OF_ALL, OF_CHANGES
from prunescope.server.jobs.documents import EXAMPLES
from prunescope.server.stores import Stores
from tests.server.conftest import (
    add_evaluation,
    add_model,
)
from tests.server.jobs.test_routes import STUDY, submit
from tests.waiting import wait_for

GRID: dict[str, Any] = {
    "models": ["demo"],
    "methods": ["magnitude", "wanda"],
    "patterns": ["0.5", "2:4"],
    "calibrations": [{"dataset": "demo", "samples": 2}, {"dataset": "c4", "samples": 2}],
    "tasks": ["reviews", "sst2"],
}


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
    assert any("0 of 1 differences are significant at FDR 5 %" in note for note in table["notes"])
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
    wait_for(lambda: all(stores.jobs.get(each).sent for each in lost))  # the sweeper sends their messages
    assert client.post(f"/api/v1/studies/{'9' * 16}/retry").status_code == 404


ESTIMATE = "/api/v1/studies/estimate"


def test_the_work_of_a_study(client: TestClient, stores: Stores) -> None:
    answer = client.post(ESTIMATE, json={"spec": STUDY["spec"]})
    assert answer.status_code == 200
    document = answer.json()
    assert document["new"] == {"prune": 1, "evaluate": 2, "attribute": 0, "explain": 0, "corpus": 0}
    assert (document["cells"], document["known"], document["seconds"]) == (3, 0, None)
    assert "nothing like 3 of 3 jobs" in document["basis"]
    assert client.get("/api/v1/jobs").json()["items"] == []
    submit(client, STUDY)
    known = client.post(ESTIMATE, json={"spec": STUDY["spec"]}).json()
    assert (known["known"], known["seconds"]) == (3, 0)
    assert client.post(ESTIMATE, json={"spec": STUDY["spec"], "force": True}).json()["known"] == 0


def test_what_is_wrong_is_said_as_for_a_job(client: TestClient) -> None:
    for spec in ({**STUDY["spec"], "tasks": ["revews"]}, {**STUDY["spec"], "models": ["./nowhere"]}):
        estimated = client.post(ESTIMATE, json={"spec": spec})
        submitted = client.post("/api/v1/jobs", json={"kind": "study", "spec": spec})
        assert estimated.status_code == submitted.status_code == 422
        assert estimated.json()["errors"] == submitted.json()["errors"]
    assert client.post(ESTIMATE, json={"spec": {}, "colour": "blue"}).status_code == 422


def test_the_address_is_described_with_an_example_that_can_be_sent(client: TestClient) -> None:
    operation = client.get("/openapi.json").json()["paths"][ESTIMATE]["post"]
    assert set(operation["responses"]) - {*OF_ALL, *OF_CHANGES} == {"200", "422"}
    (example,) = operation["requestBody"]["content"]["application/json"]["examples"].values()
    assert example["value"]["spec"] == EXAMPLES["study"]
    assert client.post(ESTIMATE, json=example["value"]).status_code == 200
