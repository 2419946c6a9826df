"""A study's tables of AUC, prior shift and adjusted accuracy: of tasks with fixed labels, once one is measured."""

import csv
import io
from typing import Any

import pytest
from starlette.testclient import TestClient

from prunescope.server.stores import Stores
from tests.server.conftest import add_evaluation, add_model

SPEC: dict[str, Any] = {
    "models": ["demo"],
    "methods": ["magnitude"],
    "patterns": ["0.5", "0.7"],
    "calibrations": [{"dataset": "demo", "samples": 2}],
    "tasks": ["reviews", "arc_easy"],
}
SCORES = [[0.0, -1.0], [0.0, 2.0], [0.0, 1.0], [0.0, 3.0]]
"""Of rows whose right answers are 0, 1, 0, 1."""
BROKEN = [[0.0, 1.0], [0.0, 2.0], [0.0, 4.0], [0.0, 3.0]]
QUERY = "rows=task&columns=pattern"


def measure(client: TestClient, stores: Stores) -> str:
    """The study's id; the dense model and one of two pruned ones are measured, on reviews."""
    job = client.post("/api/v1/jobs", json={"kind": "study", "spec": SPEC}).json()
    for cell in stores.studies.cells(job["id"]):
        if cell.role == "dense":
            add_evaluation(stores, cell.artefact, "demo", [0, 1, 1, 1], SCORES)
        elif cell.role == "evaluate" and cell.pattern == "0.5" and cell.pruned:
            add_model(stores, cell.pruned, "magnitude")
            add_evaluation(stores, cell.artefact, f"pruned:{cell.pruned}", [1, 1, 1, 1], BROKEN)
    return str(job["fingerprint"][:16])


def test_they_are_offered_once_measured(client: TestClient, stores: Stores) -> None:
    job = client.post("/api/v1/jobs", json={"kind": "study", "spec": SPEC}).json()
    address = f"/api/v1/studies/{job['fingerprint'][:16]}?{QUERY}"
    assert client.get(address).json()["measures"] == ["accuracy"]
    refused = client.get(f"{address}&measure=auc")
    assert refused.status_code == 422 and "accuracy" in refused.text
    measure(client, stores)
    assert client.get(address).json()["measures"] == ["accuracy", "auc", "prior", "adjusted"]


@pytest.mark.parametrize(
    ("name", "dense", "value", "gain"),
    [("auc", 1.0, 0.5, -0.5), ("prior", 0.25, 0.5, -0.25), ("adjusted", 1.0, 0.5, -0.5)],
)
def test_a_table_has_the_tasks_with_fixed_labels(
    client: TestClient, stores: Stores, name: str, dense: float, value: float, gain: float
) -> None:
    study = measure(client, stores)
    document = client.get(f"/api/v1/studies/{study}?{QUERY}&measure={name}").json()
    (row,) = document["table"]["rows"]
    assert (document["measure"], document["show"], row["value"]) == (name, name, "reviews")
    here, missing = row["cells"]
    assert (row["dense"], here[name], here["accuracy"]) == (dense, value, None)
    assert here["difference"] == pytest.approx(value - dense) and missing[name] is None
    assert here["href"] == f"/evaluations/{here['evaluation']}/reviews" and (here["p"] is None) == (name != "auc")
    if name == "auc":
        low, high = here["difference_interval"]
        assert low <= here["difference"] <= high and here["newly_wrong"] == 1 and document["table"]["tested"] == 1
    assert document["table"]["largest_difference"] == pytest.approx(abs(gain))
    page = client.get(f"/studies/{study}?{QUERY}&measure={name}").text
    assert "loss-shade" in page and "gain-shade" not in page
    for chart in ("", "&chart=sparsity", "&show=difference"):
        assert client.get(f"/studies/{study}?{QUERY}&measure={name}{chart}").status_code == 200
    for form in ("csv", "tex", "html", "json"):
        assert client.get(f"/api/v1/studies/{study}/table.{form}?{QUERY}&measure={name}").status_code == 200
    text = client.get(f"/api/v1/studies/{study}/cells.csv?measure={name}").text
    rows = [*csv.DictReader(io.StringIO(text))]
    assert [row[name] for row in rows] == [repr(dense), repr(value), ""]
    assert [row["difference"] for row in rows[1:]] == [repr(value - dense), ""]
    assert [bool(row["difference_low"]) for row in rows] == [False, name == "auc", False]


@pytest.mark.parametrize(("name", "note"), [("accuracy", "95 % intervals"), ("prior", "prior shift has no interval")])
def test_a_chart_has_intervals_or_the_reason_for_none(client: TestClient, stores: Stores, name: str, note: str) -> None:
    study = measure(client, stores)
    page = client.get(f"/studies/{study}?{QUERY}&measure={name}&chart=sparsity&task=reviews").text
    assert note in page and ("no interval" in page) == (name == "prior")
