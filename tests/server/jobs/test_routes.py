"""Jobs over REST: what is queued, what is refused, and what can be done with a job."""

import re
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from prunescope.jobs.queue import QUEUE
from prunescope.server.stores import Stores
from tests.server.conftest import PRUNED, add_model
from tests.waiting import wait_for

EVALUATE = {"kind": "evaluate", "spec": {"model": "demo", "tasks": ["reviews"]}}
PRUNE_SPEC: dict[str, Any] = {
    "model": "demo",
    "method": {"name": "magnitude"},
    "pattern": {"kind": "n_m", "n": 2, "m": 4},
}
PRUNE = {"kind": "prune", "spec": PRUNE_SPEC}
STUDY = {
    "kind": "study",
    "spec": {
        "models": ["demo"],
        "methods": [{"name": "magnitude"}],
        "patterns": [{"kind": "unstructured", "sparsity": 0.5}],
        "tasks": ["reviews"],
    },
}


def submit(client: TestClient, document: dict[str, Any]) -> dict[str, Any]:
    answer = client.post("/api/v1/jobs", json=document)
    assert answer.status_code in {200, 202}, answer.text
    job: dict[str, Any] = answer.json()
    return job


def test_a_job_is_queued_once_and_its_message_holds_only_its_id(client: TestClient, stores: Stores) -> None:
    answer = client.post("/api/v1/jobs", json=PRUNE)
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["location"] == f"/api/v1/jobs/{job['id']}"
    assert job["state"] == "queued"
    assert job["title"] == "Prune demo · magnitude · 2:4"
    again = client.post("/api/v1/jobs", json=PRUNE)
    assert again.status_code == 200
    assert again.json()["id"] == job["id"]
    wait_for(lambda: stores.redis.llen(QUEUE) == 1)
    message = stores.redis.lindex(QUEUE, 0)
    assert message is not None
    assert job["fingerprint"] not in str(message)
    forced = client.post("/api/v1/jobs", json={**PRUNE, "force": True})
    assert forced.status_code == 202
    assert forced.json()["id"] != job["id"]
    wait_for(lambda: stores.redis.llen(QUEUE) == 2)


def test_the_document_has_the_fields_of_the_contract(client: TestClient) -> None:
    job = submit(client, EVALUATE)
    fields = {"id", "kind", "state", "spec", "fingerprint", "progress", "created_at", "started_at", "finished_at"}
    assert {*fields, "attempts", "error", "result"} <= set(job)
    assert set(job["progress"]) == {"stage", "done", "total", "unit", "message", "eta_seconds"}
    assert not {"cancel_requested", "forced", "sent", "parent"} & set(job)
    detail = client.get(f"/api/v1/jobs/{job['id']}").json()
    assert detail["log"] == []
    assert {name: value for name, value in detail.items() if name in job} == job


def test_lists_are_newest_first_and_go_on_at_their_cursor(client: TestClient) -> None:
    ids = [submit(client, {**EVALUATE, "force": True})["id"] for _ in range(5)]
    seen, cursor = [], ""
    while cursor is not None:
        page = client.get(f"/api/v1/jobs?limit=2{cursor and f'&cursor={cursor}'}").json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next"]
    assert seen == ids[::-1]
    assert client.get("/api/v1/jobs?kind=prune").json()["items"] == []
    assert len(client.get("/api/v1/jobs?state=queued").json()["items"]) == 5
    for query in ("kind=prunes", "state=done", "limit=0", "limit=100000", "cursor=%21"):
        assert client.get(f"/api/v1/jobs?{query}").status_code == 422, query


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"method": {"name": "wandaa"}}, "method.name", "wanda"),
        ({"pattern": {"kind": "unstructured", "sparsity": 1.5}}, "pattern.sparsity", "1.5"),
        ({"pattern": {"kind": "n_m", "n": 5, "m": 4}}, "pattern", "5:4"),
        ({"model": "/etc"}, "model", "model roots"),
        ({"model": "../../etc"}, "model", "model roots"),
        ({"model": "empty"}, "model", "safetensors"),
        ({"model": "pruned:ffffffffffffffff"}, "model", "no pruned model"),
        ({"modle": "demo"}, "modle", "model"),
    ],
)
def test_a_wrong_spec_says_which_field_and_queues_nothing(
    client: TestClient, stores: Stores, tmp_path: Path, change: dict[str, Any], field: str, says: str
) -> None:
    (tmp_path / "models" / "empty").mkdir(parents=True)
    answer = client.post("/api/v1/jobs", json={"kind": "prune", "spec": {**PRUNE_SPEC, **change}})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert [error["field"] for error in problem["errors"]] == [field]
    assert says in problem["detail"]
    assert problem["errors"][0]["allowed"]
    assert client.get("/api/v1/jobs").json()["items"] == []
    assert stores.redis.llen(QUEUE) == 0


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"kind": "prun", "spec": {}}, "kind"),
        ({"spec": {}}, "kind"),
        ({"kind": "prune"}, "spec"),
        ({"kind": "prune", "spec": []}, "spec"),
        ({**EVALUATE, "priority": 3}, "priority"),
        ([], "body"),
    ],
)
def test_a_wrong_request_says_which_field(client: TestClient, document: object, field: str) -> None:
    answer = client.post("/api/v1/jobs", json=document)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_waiting_job_is_cancelled_at_once_and_can_be_tried_again(client: TestClient) -> None:
    job = submit(client, EVALUATE)
    cancelled = client.delete(f"/api/v1/jobs/{job['id']}")
    assert cancelled.status_code == 200
    assert cancelled.json()["state"] == "cancelled"
    assert cancelled.json()["can_retry"] is True
    assert client.delete(f"/api/v1/jobs/{job['id']}").json()["state"] == "cancelled"
    again = client.post(f"/api/v1/jobs/{job['id']}/retry")
    assert again.status_code == 202
    assert again.json()["state"] == "queued"
    refused = client.post(f"/api/v1/jobs/{job['id']}/retry")
    assert refused.status_code == 409
    assert refused.headers["content-type"] == "application/problem+json"


def test_a_running_job_stops_later_and_says_so(client: TestClient, stores: Stores) -> None:
    job = submit(client, EVALUATE)
    stores.jobs.claim(job["id"], "worker", 60)
    answer = client.delete(f"/api/v1/jobs/{job['id']}")
    assert answer.status_code == 202
    assert (answer.json()["state"], answer.json()["cancelling"], answer.json()["can_cancel"]) == (
        "running",
        True,
        False,
    )
    stores.jobs.mark_cancelled(job["id"], "worker")
    assert client.get(f"/api/v1/jobs/{job['id']}").json()["state"] == "cancelled"


def test_an_unknown_job_is_404(client: TestClient) -> None:
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/retry"), ("GET", "/events")):
        answer = client.request(method, f"/api/v1/jobs/{'0' * 32}{path}")
        assert answer.status_code == 404, path
        assert answer.json()["code"] == "not-found"


def test_a_study_shows_its_cells_and_they_show_it(client: TestClient) -> None:
    study = submit(client, STUDY)
    detail = client.get(f"/api/v1/jobs/{study['id']}").json()
    assert [child["kind"] for child in detail["children"]] == ["evaluate", "prune", "evaluate"]
    assert {child["study"]["href"] for child in detail["children"]} == {f"/jobs/{study['id']}"}
    counts = [detail[f"children_{name}"] for name in ("total", "done", "next_href")]
    assert counts == [3, 0, None]
    assert detail["result_href"] == f"/studies/{study['fingerprint'][:16]}"
    assert len(client.get("/api/v1/jobs").json()["items"]) == 4
    assert [job["id"] for job in client.get("/api/v1/jobs?cells=false").json()["items"]] == [study["id"]]
    assert client.delete(f"/api/v1/jobs/{study['id']}").json()["state"] == "cancelled"
    detail = client.get(f"/api/v1/jobs/{study['id']}").json()
    assert {child["state"] for child in detail["children"]} == {"cancelled"}


def test_titles_say_what_a_pruned_model_is(client: TestClient, stores: Stores) -> None:
    add_model(stores, PRUNED)
    job = submit(client, {"kind": "evaluate", "spec": {"model": f"pruned:{PRUNED}", "tasks": ["reviews", "sst2"]}})
    assert job["title"] == "Evaluate wanda · c4 8x64 · 0.5 · reviews, sst2"
    attribute = {"dense": "demo", "pruned": [f"pruned:{PRUNED}"], "texts": {"dataset": "reviews", "count": 2}}
    job = submit(client, {"kind": "attribute", "spec": attribute})
    assert job["title"] == "Attribute demo against wanda · c4 8x64 · 0.5 · reviews"


def test_a_queued_job_says_how_many_are_before_it(client: TestClient, stores: Stores) -> None:
    ids = [submit(client, {**EVALUATE, "force": True})["id"] for _ in range(3)]
    assert [client.get(f"/api/v1/jobs/{id}").json()["ahead"] for id in ids] == [0, 1, 2]
    assert "waiting for a worker, next in the queue" in client.get(f"/jobs/{ids[0]}").text
    assert "waiting for a worker, 2 jobs before it" in client.get(f"/jobs/{ids[2]}").text
    client.delete(f"/api/v1/jobs/{ids[1]}")
    assert client.get(f"/api/v1/jobs/{ids[2]}").json()["ahead"] == 1
    assert stores.jobs.claim(ids[0], "worker", 60) is not None
    assert client.get(f"/api/v1/jobs/{ids[0]}").json()["ahead"] is None
    study = submit(client, STUDY)
    assert client.get(f"/api/v1/jobs/{study['id']}").json()["ahead"] is None


def test_every_job_can_be_edited_and_its_title_tells_the_state(client: TestClient, stores: Stores) -> None:
    id = submit(client, EVALUATE)["id"]
    edit = f'href="/jobs/new?from={id}">Edit and start again'
    queued = client.get(f"/jobs/{id}").text
    assert edit in queued and "<title>Queued · Evaluate demo" in queued
    assert stores.jobs.claim(id, "worker", 60) is not None
    assert stores.jobs.succeed(id, "worker", {})
    succeeded = client.get(f"/jobs/{id}").text
    assert edit in succeeded and "<title>Succeeded · " in succeeded


def test_a_log_is_grouped_by_stages(client: TestClient, stores: Stores) -> None:
    id = submit(client, EVALUATE)["id"]
    for line in ("load demo", "measure", "measure: 1 of 2", "measure: 2 of 2", "store"):
        stores.jobs.append_log(id, line)
    lines = re.findall(r'<div( class="begins")? data-at="[^"]*" data-line="([^"]*)"', client.get(f"/jobs/{id}").text)
    assert [line for begins, line in lines if begins] == ["load demo", "measure", "store"]
    assert len(lines) == 5
