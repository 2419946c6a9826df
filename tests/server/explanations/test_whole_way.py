"""From REST to the page with the real stage: the demo model is pruned, its loss is explained, the page shows it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from prunescope.jobs.queue import celery_app
from prunescope.jobs.settings import Settings
from prunescope.server.stores import Stores
from prunescope.store.explanations.folder import ExplanationStore
from prunescope.worker import pipeline
from prunescope.worker.models import ModelCache
from prunescope.worker.parts import Parts

pytestmark = pytest.mark.slow
HTML = {"accept": "text/html"}


@pytest.fixture
def worked(client: TestClient, settings: Settings) -> Iterator[Callable[..., dict[str, Any]]]:
    """Submits a job over REST, works on it in this process, and returns its document."""
    parts, models = Parts.open(settings, celery_app(settings)), ModelCache("cpu")

    def work(kind: str, **spec: Any) -> dict[str, Any]:
        submitted = client.post("/api/v1/jobs", json={"kind": kind, "spec": spec})
        assert submitted.status_code == 202, submitted.text
        pipeline.run(submitted.json()["id"], parts, models)
        document: dict[str, Any] = client.get(f"/api/v1/jobs/{submitted.json()['id']}").json()
        return document

    yield work
    parts.close()
    parts.queue.close()


def test_a_loss_is_explained_from_rest_to_the_page(
    client: TestClient, stores: Stores, worked: Callable[..., dict[str, Any]]
) -> None:
    pruned = worked("prune", model="demo", method={"name": "magnitude"}, pattern=0.8)["result"]["model"]
    settings = {"neurons": [1, 30], "draws": 2, "steps": 2}
    job = worked("explain", dense="demo", pruned=pruned, task="reviews", limit=120, **settings)
    assert job["state"] == "succeeded", job["error"]
    assert job["title"] == "Explain demo against magnitude · 0.8 · reviews, 120 rows"
    id = job["result"]["explanation"]
    assert job["result_href"] == f"/explanations/{id}"
    assert "Open the explanation" in client.get(f"/jobs/{job['id']}", headers=HTML).text
    document = client.get(f"/api/v1{job['result_href']}").json()
    kept = ExplanationStore(stores.artefacts, id)
    assert document["all"] == kept.document().model_dump(mode="json")["all"]
    assert document["job"]["href"] == f"/jobs/{job['id']}" and document["pruned_model"]["label"] == "magnitude · 0.8"
    best = document["neurons"][0]
    assert document["share_map"]["neurons"][best["layer"]][0] == best["neuron"]
    assert int(kept.shares()["rank"][best["layer"], best["neuron"]]) == best["rank"] == 1
    page = client.get(job["result_href"], headers=HTML)
    assert page.status_code == 200 and best["name"] in page.text
    assert f"{round(100 * document['all']['neurons']['restored'])}\N{NO-BREAK SPACE}%" in page.text
    (listed,) = client.get("/api/v1/explanations").json()["items"]
    assert listed["found"]["broken"] == document["rows"]["broken"]
    assert [link["href"] for link in client.get(f"/api/v1/models/{pruned}").json()["explanations"]] == [listed["href"]]
    assert (
        client.get(f"{job['result_href']}/neurons.csv").text.count("\n")
        == 1 + document["shape"][0] * document["shape"][1]
    )


def test_rows_that_nothing_broke_are_a_failed_job_that_says_what_to_do(
    client: TestClient, worked: Callable[..., dict[str, Any]]
) -> None:
    pruned = worked("prune", model="demo", method={"name": "magnitude"}, pattern=0.01)["result"]["model"]
    job = worked("explain", dense="demo", pruned=pruned, task="reviews", limit=20)
    assert (job["state"], job["result"]) == ("failed", None)
    page = client.get(f"/jobs/{job['id']}", headers=HTML).text
    assert "pruning broke 0 of 20 rows" in page and "Edit and start" in page
    assert client.get("/api/v1/explanations").json()["items"] == []
