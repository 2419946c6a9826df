"""The form that starts a job: what it offers."""

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from prunescope.jobs.strict import Strict
from prunescope.jobs.vocabulary import ALLOCATIONS, METHODS, TASKS
from prunescope.server.stores import Stores
from tests.server.conftest import PRUNED, add_model

PRUNE_SPEC: dict[str, Any] = {
    "model": "demo",
    "method": {"name": "magnitude"},
    "pattern": {"kind": "n_m", "n": 2, "m": 4},
}
PRUNE = {"kind": "prune", "spec": PRUNE_SPEC}


def test_the_form_offers_what_a_spec_may_name(client: TestClient, stores: Stores) -> None:
    add_model(stores, PRUNED)
    form = client.get("/api/v1/jobs/new").json()
    assert {method["value"] for method in form["methods"]} >= {"magnitude", "wanda"}
    assert [model["value"] for model in form["models"]] == ["demo", f"pruned:{PRUNED}"]
    assert "reviews" in {task["value"] for task in form["tasks"]}
    assert {"none", "arc_easy"} < {prompt["value"] for prompt in form["prompts"]} < {"none", *TASKS} - {"rte"}
    assert set(form["examples"]) == {"prune", "evaluate", "attribute", "study", "explain", "corpus"}
    sets = {choice["value"]: choice for choice in form["calibration_sets"]}
    assert (sets["rte"]["group"], sets["wikitext2"]["group"]) == ("examples", "running text")
    assert all(choice["note"] for choice in sets.values())


@pytest.mark.parametrize(("path", "known"), [("method", METHODS), ("allocation", ALLOCATIONS)])
def test_every_method_and_allocation_can_be_chosen_with_its_options(
    client: TestClient, path: str, known: dict[str, type[Strict]]
) -> None:
    form = client.get("/api/v1/jobs/new").json()
    page = client.get("/jobs/new?kind=prune").text
    offered = {choice["value"]: choice["options"] for choice in form[f"{path}s"]}
    assert offered.keys() == known.keys()
    for name, options in offered.items():
        assert f'<option value="{name}"' in page
        assert {option["name"] for option in options} == known[name].model_fields.keys() - {"name"}
        for option in options:
            assert f'data-field="{path}.{option["name"]}"' in page and f'data-when="{path}.name={name}"' in page
            assert all(f'<option value="{value}"' in page for value in option["allowed"] or ())


CHECK = "/api/v1/jobs/check"


def test_a_check_says_what_a_submission_would_and_queues_nothing(client: TestClient) -> None:
    answer = client.post(CHECK, json=PRUNE)
    assert answer.status_code == 200
    checked = answer.json()
    assert (checked["known"], checked["estimate"]["new"]["prune"]) == (None, 1)
    assert checked["spec"]["allocation"] == {"name": "uniform"}
    memory = checked["memory"]
    assert memory["model"] == "demo" and 0 < memory["at_once"] < memory["weights"], "one layer at a time"
    hidden = {**PRUNE_SPEC, "method": "wanda", "calibration": {"dataset": "demo", "samples": 16, "seqlen": 64}}
    width = json.loads((Path(__file__).parents[3] / "demo" / "model" / "config.json").read_text())["hidden_size"]
    assert client.post(CHECK, json={**PRUNE, "spec": hidden}).json()["memory"]["hidden"] == 4 * 16 * 64 * width
    assert [each["form"] for each in checked["commands"]] == ["curl", "python", "yaml", "command", "local"]
    assert "http://localhost/api/v1/jobs" in checked["commands"][0]["text"]
    assert client.get("/api/v1/jobs").json()["items"] == []
    job = client.post("/api/v1/jobs", json=PRUNE).json()
    known = client.post(CHECK, json=PRUNE).json()
    assert (known["known"]["id"], known["estimate"]["new"]["prune"]) == (job["id"], 0)
    forced = client.post(CHECK, json={**PRUNE, "force": True}).json()
    assert (forced["known"], forced["estimate"]["new"]["prune"]) == (None, 1)


@pytest.mark.parametrize(
    "document",
    [
        {"kind": "prune", "spec": {**PRUNE_SPEC, "pattern": "5:4"}},
        {"kind": "prune", "spec": {**PRUNE_SPEC, "model": f"pruned:{PRUNED}"}},
        {"kind": "prunes", "spec": PRUNE_SPEC},
        {"kind": "explain", "spec": {"dense": "demo", "task": "reviews", "limit": 2}},
    ],
)
def test_a_check_refuses_in_the_words_of_a_submission(client: TestClient, document: dict[str, Any]) -> None:
    checked, submitted = client.post(CHECK, json=document), client.post("/api/v1/jobs", json=document)
    assert checked.status_code == submitted.status_code == 422
    assert checked.json()["errors"] == submitted.json()["errors"]
