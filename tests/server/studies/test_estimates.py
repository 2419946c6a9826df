"""The estimate over REST: counts, time and what it stands on, refusals, and nothing queued."""

from starlette.testclient import TestClient

from prunescope.server.answers import OF_ALL, OF_CHANGES
from prunescope.server.new_job.queries import EXAMPLES
from prunescope.server.stores import Stores
from tests.server.jobs.test_routes import STUDY, submit

ADDRESS = "/api/v1/studies/estimate"


def test_the_work_of_a_study(client: TestClient, stores: Stores) -> None:
    answer = client.post(ADDRESS, json={"spec": STUDY["spec"]})
    assert answer.status_code == 200
    document = answer.json()
    assert document["new"] == {"prune": 1, "evaluate": 2, "attribute": 0}
    assert (document["cells"], document["known"], document["seconds"]) == (3, 0, None)
    assert "nothing like 3 of 3 jobs" in document["basis"]
    assert client.get("/api/v1/jobs").json()["items"] == []
    submit(client, STUDY)
    known = client.post(ADDRESS, json={"spec": STUDY["spec"]}).json()
    assert (known["known"], known["seconds"]) == (3, 0)
    assert client.post(ADDRESS, json={"spec": STUDY["spec"], "force": True}).json()["known"] == 0


def test_what_is_wrong_is_said_as_for_a_job(client: TestClient) -> None:
    for spec in ({**STUDY["spec"], "tasks": ["revews"]}, {**STUDY["spec"], "models": ["./nowhere"]}):
        estimated = client.post(ADDRESS, json={"spec": spec})
        submitted = client.post("/api/v1/jobs", json={"kind": "study", "spec": spec})
        assert estimated.status_code == submitted.status_code == 422
        assert estimated.json()["errors"] == submitted.json()["errors"]
    assert client.post(ADDRESS, json={"spec": {}, "colour": "blue"}).status_code == 422


def test_the_address_is_described_with_an_example_that_can_be_sent(client: TestClient) -> None:
    operation = client.get("/openapi.json").json()["paths"][ADDRESS]["post"]
    assert set(operation["responses"]) - {*OF_ALL, *OF_CHANGES} == {"200", "422"}
    (example,) = operation["requestBody"]["content"]["application/json"]["examples"].values()
    assert example["value"]["spec"] == EXAMPLES["study"]
    assert client.post(ADDRESS, json=example["value"]).status_code == 200
