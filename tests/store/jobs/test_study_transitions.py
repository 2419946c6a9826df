"""All cells of a study at once: cancelled, and tried again, with what waits for them and what they wait for."""

from typing import Any

import pytest

from prunescope.jobs.documents import JobState
from prunescope.jobs.problems import Problem
from prunescope.store.submission import Stores, submit
from tests.store.studies.test_queries import finish, refuse, work

SMALL: dict[str, Any] = {"models": ["one"], "methods": ["magnitude"], "patterns": [0.5], "tasks": ["reviews"]}


def test_what_others_asked_for_fails_when_the_cell_that_it_waits_for_is_cancelled(stores: Stores) -> None:
    study, _ = submit(stores, "study", SMALL, send=refuse)
    model = next(cell for cell in stores.studies.cells(study.id) if cell.role == "prune")
    theirs, _ = submit(stores, "evaluate", {"model": f"pruned:{model.artefact}", "tasks": ["sst2"]}, send=refuse)
    stores.jobs.cancel(study.id)
    lost = stores.jobs.get(theirs.id)
    assert lost.state == JobState.FAILED and lost.error is not None and model.job in lost.error["detail"]
    assert {cell.state for cell in stores.studies.cells(study.id)} == {JobState.CANCELLED}
    stores.jobs.retry(study.id)
    assert stores.jobs.get(theirs.id).state == JobState.QUEUED, "it failed only with the cell"
    assert len(work(stores)) == 4
    assert stores.jobs.get(theirs.id).state == stores.jobs.get(study.id).state == JobState.SUCCEEDED


def test_trying_a_study_again_tries_what_its_cells_wait_for(stores: Stores) -> None:
    base, _ = submit(stores, "prune", {"model": "one", "method": "magnitude", "pattern": 0.3}, send=refuse)
    study, _ = submit(stores, "study", {**SMALL, "models": [f"pruned:{base.artefact_id}"]}, send=refuse)
    work(stores, failing="0.3")
    assert stores.jobs.get(study.id).state == JobState.FAILED
    assert {cell.state for cell in stores.studies.cells(study.id)} == {JobState.FAILED}
    stores.jobs.retry(study.id)
    assert stores.jobs.get(base.id).state == JobState.QUEUED
    assert len(work(stores)) == 4
    assert stores.jobs.get(study.id).state == JobState.SUCCEEDED


def test_a_job_that_failed_for_another_reason_too_stays_failed(stores: Stores) -> None:
    study, _ = submit(stores, "study", SMALL, send=refuse)
    model = next(cell for cell in stores.studies.cells(study.id) if cell.role == "prune")
    other, _ = submit(stores, "prune", {"model": "two", "method": "magnitude", "pattern": 0.5}, send=refuse)
    both = {"dense": "one", "pruned": [f"pruned:{model.artefact}", f"pruned:{other.artefact_id}"], "texts": ["so bad"]}
    theirs, _ = submit(stores, "attribute", both, send=refuse)
    stores.jobs.cancel(other.id)
    stores.jobs.cancel(study.id)
    assert stores.jobs.get(theirs.id).state == JobState.FAILED
    stores.jobs.retry(study.id)
    assert stores.jobs.get(theirs.id).state == JobState.FAILED, "it waits for the other model too"


def test_cells_of_two_labels_are_one_job(stores: Stores) -> None:
    methods = ["ria", {"name": "ria", "permutation": "reallocation"}]
    spec = {**SMALL, "methods": methods, "calibrations": [{"dataset": "demo"}]}
    study, _ = submit(stores, "study", spec, send=refuse)
    assert study.progress.total == 5
    cells = stores.studies.cells(study.id)
    assert len({cell.job for cell in cells}) == 3
    stores.jobs.cancel(study.id)
    stores.jobs.retry(study.id)
    assert len(work(stores)) == 3
    assert stores.jobs.get(study.id).state == JobState.SUCCEEDED


def test_running_cells_stop_and_are_run_again(stores: Stores) -> None:
    study, _ = submit(stores, "study", SMALL, send=refuse)
    (first, *_) = stores.jobs.unsent()
    running = stores.jobs.claim(first, "worker", 60)
    assert running is not None
    stores.jobs.cancel(study.id)
    assert stores.jobs.get(first).cancel_requested
    finish(stores, running)
    ended = stores.jobs.get(study.id)
    assert ended.state == JobState.CANCELLED and ended.progress.done == 3
    stores.jobs.retry(study.id)
    assert [job.kind for job in work(stores)] == ["prune", "evaluate"]
    assert stores.jobs.get(study.id).state == JobState.SUCCEEDED


def test_the_lost_cells_of_a_study_are_tried_again_while_others_run(stores: Stores) -> None:
    study, _ = submit(stores, "study", {**SMALL, "models": ["one", "two"]}, send=refuse)
    with pytest.raises(Problem, match="no cell of it failed"):
        stores.jobs.retry_cells(study.id)
    models = [cell.job for cell in stores.studies.cells(study.id) if cell.role == "prune"]
    for job in models:
        assert stores.jobs.claim(job, "worker", 60) is not None
    assert stores.jobs.fail(models[0], "worker", {"detail": "no memory", "code": "out-of-memory"})
    states = [cell.state for cell in stores.studies.cells(study.id)]
    assert states.count(JobState.FAILED) == 2, "its evaluation failed with it"
    again = stores.jobs.retry_cells(study.id)
    assert again.state == JobState.RUNNING and again.progress.message == "1 running"
    assert [stores.jobs.get(job).state for job in models] == [JobState.QUEUED, JobState.RUNNING]
    assert stores.jobs.succeed(models[1], "worker", {"model": "pruned:x"})
    work(stores)
    assert stores.jobs.get(study.id).state == JobState.SUCCEEDED
    with pytest.raises(Problem, match="is succeeded, and no cell"):
        stores.jobs.retry_cells(study.id)


def test_the_lost_cells_of_a_study_that_ended_are_tried_again(stores: Stores) -> None:
    study, _ = submit(stores, "study", SMALL, send=refuse)
    stores.jobs.cancel(study.id)
    assert stores.jobs.retry_cells(study.id).state == JobState.QUEUED
    model = next(cell for cell in stores.studies.cells(study.id) if cell.role == "prune")
    assert stores.jobs.claim(model.job, "worker", 60) is not None
    stores.jobs.cancel(study.id)
    with pytest.raises(Problem, match="is being cancelled"):
        stores.jobs.retry_cells(study.id)
    with pytest.raises(Problem) as nothing:
        stores.jobs.retry_cells("none")
    assert nothing.value.status == 404
