"""A study of 18,144 measurements: what its page asks the database and puts into documents does not grow with it.

How long it takes is measured by `benchmarks/studies.py`; here nothing is timed.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event
from starlette.testclient import TestClient

from prunescope.jobs.settings import Settings
from prunescope.server.stores import Stores
from tests.server.conftest import add_evaluation, add_model
from tests.store.studies.made_up_study import MadeUpStudy, make_up_study


@contextmanager
def statements(stores: Stores) -> Iterator[list[str]]:
    """Every statement that the database executes meanwhile, transactions' own left out."""
    seen: list[str] = []

    def executed(connection: object, cursor: object, statement: str, *_: object) -> None:
        if not statement.startswith("BEGIN"):
            seen.append(statement)

    event.listen(stores.database.engine, "before_cursor_execute", executed)
    try:
        yield seen
    finally:
        event.remove(stores.database.engine, "before_cursor_execute", executed)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The sweeper's own statements are not counted: its next round is an hour away."""
    return settings.model_copy(update={"sweep_seconds": 3600})


@pytest.fixture
def studies(stores: Stores) -> tuple[str, str]:
    """A small one and the large one."""
    small = make_up_study(stores, MadeUpStudy(models=1, calibrations=2, tasks=2))
    return small, make_up_study(stores, MadeUpStudy())


def test_a_page_asks_the_database_as_often_for_a_large_study_as_for_a_small_one(
    client: TestClient, stores: Stores, studies: tuple[str, str]
) -> None:
    counts = []
    # Names are read once, whatever page is the first.
    _ = stores.names.models(), stores.names.attributions(), stores.names.studies()
    for study in studies:
        address = f"/api/v1/studies/{study}?rows=task&columns=calibration"
        with statements(stores) as first:
            document = client.get(address).json()
        with statements(stores) as again:
            assert client.get(address).json() == document
        assert sum("FROM measurements" in each for each in first) == 2, "values, and whether any are of labels"
        assert not [each for each in again if "FROM measurements" in each or "coordinates" in each], "the table is kept"
        counts.append(len(first))
    small, large = counts
    assert large <= small + 2, "756 models are asked for in two pieces"
    assert small < 25


def test_the_document_of_a_large_study_is_small(client: TestClient, studies: tuple[str, str]) -> None:
    _, large = studies
    document = client.get(f"/api/v1/studies/{large}?rows=task&columns=calibration").json()
    assert (document["cells"], document["done"], document["models_total"]) == (1526, 1526, 756)
    assert (len(document["jobs"]), len(document["models"]), document["failures"]) == (20, 20, [])
    assert document["table"]["tested"] == 18_144 and len(document["table"]["rows"]) == 24
    assert all(cell["measurements"] == 14 * 3 * 2 for row in document["table"]["rows"] for cell in row["cells"])
    job = client.get("/api/v1" + document["job"]["href"]).json()
    assert (len(job["children"]), job["children_total"], job["children_done"]) == (100, 1526, 1526)
    rest = client.get(job["children_next_href"]).json()
    assert rest["items"][0]["id"] not in {child["id"] for child in job["children"]}
    assert "the first 100 of them here" in client.get(document["job"]["href"]).text


def test_a_kept_table_is_made_anew_when_a_measurement_or_a_job_changes(client: TestClient, stores: Stores) -> None:
    study = make_up_study(stores, MadeUpStudy(models=1, methods=1, calibrations=1, patterns=1, tasks=1))
    address = f"/api/v1/studies/{study}?rows=task&columns=method"

    def shown() -> float:
        ((cell,),) = [row["cells"] for row in client.get(address).json()["table"]["rows"]]
        return float(cell["accuracy"])

    before = shown()
    (evaluated,) = [c for c in stores.studies.table(study).cells if c.role == "evaluate"]
    record = stores.results.get("evaluation", evaluated.artefact)
    (task,) = record.summary["tasks"]
    changed = {"tasks": {task: {**record.summary["tasks"][task], "accuracy": 0.125}}}
    stores.results.add_evaluation(record.id, job=record.job, spec=record.spec, document=changed)
    assert before != 0.125 and shown() == 0.125
    job = stores.studies.table(study).job
    assert client.get(f"/api/v1/studies/{study}").json()["state"] == "succeeded"
    with stores.artefacts.staging("evaluation", record.id):
        pass
    assert client.delete(f"/api/v1/studies/{study}").status_code == 204
    assert client.delete(f"/api/v1/evaluations/{record.id}").status_code == 204
    assert client.get(address).status_code == 404 and job.state == "succeeded"


def test_unrelated_evaluations_do_not_show(client: TestClient, stores: Stores) -> None:
    study = make_up_study(stores, MadeUpStudy(models=1, methods=1, calibrations=1, patterns=1, tasks=1))
    before = client.get(f"/api/v1/studies/{study}").json()["table"]
    add_model(stores, "0123456789abcdef", base="made/opt-1")
    add_evaluation(stores, "e1" * 8, "pruned:0123456789abcdef", [0, 0, 1, 1])
    assert client.get(f"/api/v1/studies/{study}").json()["table"] == before
