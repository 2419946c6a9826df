"""Evaluations that were kept before outcomes were."""

import logging
from collections.abc import Callable

import pytest
from sqlalchemy import delete

from jobs.documents import Job
from store.measurements import Measurements
from store.outcomes import EVALUATION_JSON
from store.tables import outcomes, pairings
from tests.worker.conftest import PRUNE
from worker import pipeline
from worker.catching_up import catch_up
from worker.models import WarmModels
from worker.parts import Parts


def test_they_are_paired_when_a_worker_starts(
    parts: Parts, enqueue: Callable[..., Job], caplog: pytest.LogCaptureFixture
) -> None:
    models = WarmModels("cpu")
    measure = {"tasks": ["reviews"], "limit": 6}
    made = enqueue("prune", PRUNE)
    done = [made, enqueue("evaluate", {"model": "llama", **measure})]
    pipeline.run(made.id, parts, models)
    done.append(enqueue("evaluate", {"model": f"pruned:{made.artefact_id}", **measure}))
    for job in done[1:]:
        pipeline.run(job.id, parts, models)
    dense, pruned = (job.artefact_id for job in done[1:])
    reader = Measurements(parts.stores.database)
    before = reader.pairings_of([pruned])
    pair = before[pruned, "reviews"]
    assert pair.dense_evaluation == dense and pair.rows == 6
    right = {id: parts.stores.results.get("evaluation", id).summary["tasks"]["reviews"] for id in (dense, pruned)}
    assert pair.difference == pytest.approx(right[pruned]["accuracy"] - right[dense]["accuracy"])
    with parts.stores.database.writing() as connection:
        connection.execute(delete(outcomes))
        connection.execute(delete(pairings))
    assert reader.pairings_of([pruned]) == {}
    assert catch_up(parts.stores) == 2
    assert reader.pairings_of([pruned]) == before
    assert catch_up(parts.stores) == 0
    with parts.stores.database.writing() as connection:
        connection.execute(delete(outcomes))
    with parts.stores.artefacts.staging("evaluation", dense) as folder:
        (folder / EVALUATION_JSON).write_text('{"tasks": {"reviews": ')
    with caplog.at_level(logging.WARNING):
        assert catch_up(parts.stores) == 1
    assert f"evaluation {dense} cannot be read" in caplog.text
