"""A study from its spec to its table: plan, order, reuse, failure, cancelling, trying again."""

from typing import Any

import pytest

from prunescope.jobs.documents import Job, JobKind, JobState
from prunescope.jobs.problems import Problem
from prunescope.jobs.specs import AttributeSpec, EvaluateSpec, PruneSpec, StudySpec, parse_spec
from prunescope.store.studies.grid import Cell, plan
from prunescope.store.studies.pivot import pivot
from prunescope.store.submission import Stores, submit, sweep

STUDY: dict[str, Any] = {
    "models": ["one"],
    "methods": ["magnitude", "wanda"],
    "patterns": [0.5, "2:4"],
    "calibrations": [{"dataset": "demo"}, {"dataset": "c4"}],
    "tasks": ["reviews", "sst2"],
    "attributions": [{"texts": [{"text": "so bad", "words": ["bad"]}]}],
    "limit": 20,
}


def refuse(job: str) -> None:
    """A queue that is down: `work` finds the jobs by their missing messages."""
    raise ConnectionError("nobody listens")


def planned(**change: Any) -> list[Cell]:
    spec = parse_spec("study", {**STUDY, **change})
    assert isinstance(spec, StudySpec)
    return plan(spec, lambda kind, cell: f"{hash((kind, cell.model_dump_json())) % 16**16:016x}")


def work(stores: Stores, *, failing: str | None = None) -> list[Job]:
    """Run everything that gets ready, in the order of its messages; cells whose description holds `failing` fail."""
    done: list[Job] = []
    while ready := stores.jobs.unsent():
        for name in ready:
            stores.jobs.mark_sent(name)
            job = stores.jobs.claim(name, "worker", 60)
            assert job is not None
            done.append(job)
            if failing is not None and failing in str(job.spec) and job.kind == JobKind.PRUNE:
                assert stores.jobs.fail(name, "worker", {"detail": "no such luck", "code": "unlucky"})
                continue
            finish(stores, job)
    return done


def finish(stores: Stores, job: Job) -> None:
    kind = {"prune": "model", "evaluate": "evaluation", "attribute": "attribution"}[job.kind]
    if job.kind == "evaluate":
        accuracy = 0.8 if job.spec["model"] == "one" else 0.6
        measured = {"accuracy": accuracy, "rows": 20, "interval": [accuracy - 0.1, accuracy + 0.1], "chance": 0.5}
        document = {"tasks": dict.fromkeys(job.spec["tasks"], measured)}
        stores.results.add_evaluation(job.artefact_id, job=job.id, spec=job.spec, document=document)
    else:
        stores.results.add(kind, job.artefact_id, job=job.id, spec=job.spec, summary={})
    name = f"pruned:{job.artefact_id}" if kind == "model" else job.artefact_id
    assert stores.jobs.succeed(job.id, "worker", {kind: name})


def test_perplexity_is_measured_by_every_evaluation() -> None:
    """With tasks by the same jobs, and without tasks all the same."""
    for tasks in (STUDY["tasks"], []):
        cells = planned(tasks=tasks, perplexity={"datasets": ["ptb"], "windows": 4})
        specs = [cell.spec for cell in cells if isinstance(cell.spec, EvaluateSpec)]
        assert len(specs) == 7
        assert all(spec.perplexity and spec.perplexity.windows == 4 for spec in specs)
        assert {spec.tasks for spec in specs} == {tuple(tasks)}


def test_the_plan_is_the_grid() -> None:
    cells = planned()
    roles = [cell.coordinates["role"] for cell in cells]
    # Magnitude has one pruned model for each pattern, Wanda one for each pattern and calibration set.
    assert {role: roles.count(role) for role in set(roles)} == {"dense": 1, "prune": 6, "evaluate": 6, "attribute": 1}
    for position, cell in enumerate(cells):
        assert all(earlier < position for earlier in cell.after)
        if cell.coordinates["role"] == "evaluate":
            (made,) = cell.after
            assert cell.spec.model == f"pruned:{cells[made].fingerprint[:16]}"
            assert cell.coordinates == {**cells[made].coordinates, "role": "evaluate"}
    assert len(cells[-1].after) == 6 and len(cells[-1].spec.pruned) == 6
    assert len({cell.fingerprint for cell in cells}) == len(cells)


def test_labels_say_what_differs_from_the_usual() -> None:
    calibrations = [
        {"dataset": "demo"},
        {"dataset": "demo", "samples": 8, "seqlen": 64},
        {"dataset": "rte", "mode": "single", "samples": 64},
        {"file": "texts/mine.txt"},
        {"file": "windows.safetensors"},
    ]
    cells = planned(methods=["wanda"], patterns=["2:4"], calibrations=calibrations, attributions=[], tasks=[])
    assert [cell.coordinates["role"] for cell in cells] == ["prune"] * 5
    labels = [cell.coordinates["calibration"] for cell in cells]
    assert labels == ["demo", "demo (8)", "rte single (64)", "mine.txt", "windows.safetensors"]
    assert [cell.coordinates["seqlen"] for cell in cells] == [None, 64, None, None, None]


def test_lengths_of_windows_are_an_axis() -> None:
    cells = planned(methods=["magnitude", "wanda"], seqlens=[64, 128, 64], attributions=[], patterns=[0.5])
    prunes = [cell for cell in cells if cell.kind == JobKind.PRUNE]
    places = [
        (cell.coordinates["method"], cell.coordinates["calibration"], cell.coordinates["seqlen"]) for cell in prunes
    ]
    wanda = [("wanda", name, seqlen) for name in ("demo", "c4") for seqlen in (64, 128)]
    assert places == [("magnitude", None, None), *wanda]
    for cell in prunes[1:]:
        assert isinstance(cell.spec, PruneSpec) and cell.spec.calibration is not None
        assert cell.spec.calibration.seqlen == cell.coordinates["seqlen"]


def test_owl_is_left_out_where_the_pattern_is_the_same_share_everywhere() -> None:
    cells = planned(allocations=["uniform", {"name": "owl", "range": 0.1}], attributions=[], tasks=[])
    places = {(c.coordinates["method"], c.coordinates["pattern"], c.coordinates["allocation"]) for c in cells}
    methods = ("magnitude", "wanda")
    uniform = {(method, pattern, "uniform") for method in methods for pattern in ("0.5", "2:4")}
    assert places == uniform | {(method, "0.5", "owl (range=0.1)") for method in methods}
    # Magnitude looks at text only for owl.
    assert len([c for c in cells if c.coordinates["method"] == "magnitude"]) == 1 + 2 + 1


def test_options_that_a_pattern_does_not_look_at_make_no_model_of_their_own() -> None:
    methods = ["ria", {"name": "ria", "permutation": "assignment"}, {"name": "ria", "within": "row"}]
    cells = planned(methods=methods, calibrations=[{"dataset": "demo"}])
    prunes = [cell for cell in cells if cell.kind == JobKind.PRUNE]
    labels = ["ria", "ria (permutation=assignment)", "ria (within=row)"]
    assert [cell.coordinates["method"] for cell in prunes] == [label for label in labels for _ in range(2)]
    marks = {(cell.coordinates["method"], cell.coordinates["pattern"]): cell.fingerprint for cell in prunes}
    assert marks["ria", "0.5"] == marks["ria (permutation=assignment)", "0.5"] != marks["ria (within=row)", "0.5"]
    assert marks["ria", "2:4"] == marks["ria (within=row)", "2:4"] != marks["ria (permutation=assignment)", "2:4"]
    attribution = cells[-1]
    assert len(attribution.after) == 6 and len(attribution.spec.pruned) == 4, "each model is one variant"


def test_what_two_lists_say_twice_is_planned_once() -> None:
    calibrations = [{"dataset": "demo", "seed": 0}, {"dataset": "demo", "seed": 1}]
    cells = planned(calibrations=calibrations, seeds=[0, 1], methods=["wanda"], attributions=[], tasks=[])
    assert [cell.coordinates["seed"] for cell in cells] == [0, 1] * 2


def test_seeds_draw_calibration_sets_anew() -> None:
    prunes = [cell for cell in planned(seeds=[0, 1, 2], attributions=[]) if cell.kind == JobKind.PRUNE]
    assert len(prunes) == 2 + 2 * 2 * 3
    assert sorted({cell.coordinates["seed"] for cell in prunes} - {None}) == [0, 1, 2]


def test_an_attribution_names_its_dense_model() -> None:
    texts = {"texts": {"dataset": "reviews"}}
    both = planned(models=["one", "two"], attributions=[texts])
    only = planned(models=["one", "two"], attributions=[{**texts, "dense": "two"}])
    assert [cell.spec.dense for cell in both if cell.kind == JobKind.ATTRIBUTE] == ["one", "two"]
    assert [cell.spec.dense for cell in only if cell.kind == JobKind.ATTRIBUTE] == ["two"]


def test_an_attribution_shows_what_it_names() -> None:
    texts = {"texts": ["so bad"]}
    grid = {"seqlens": [16, 32], "methods": ["magnitude", "wanda", "ria"]}
    for named, number in (
        ({}, 2 + 2 * 2 * 2 * 2),
        ({"methods": ["wanda"]}, 8),
        ({"patterns": ["2:4"]}, 1 + 8),
        ({"methods": ["magnitude", "ria"], "patterns": [0.5], "calibrations": ["c4"], "seqlens": [32]}, 2),
    ):
        *_, cell = planned(**grid, attributions=[{**texts, **named}])
        assert isinstance(cell.spec, AttributeSpec)
        assert len(cell.spec.pruned) == len(cell.after) == number, named


def test_a_study_runs_from_its_first_cell_to_its_last(stores: Stores) -> None:
    sent: list[str] = []
    study, created = submit(stores, "study", STUDY, send=sent.append)
    empty = pivot(stores.studies.table(study.artefact_id), "method", "calibration")
    assert empty.cells[0][1] is None, "magnitude uses no calibration set"
    coming = empty.cells[0][0]
    assert coming is not None and coming.value is None and coming.state == "queued" and coming.done == 0
    assert created and study.state == JobState.QUEUED and study.progress.total == 14
    assert stores.jobs.list(cells=False)[0] == [stores.jobs.summary(study.id)]
    assert len(sent) == 7, "the dense evaluation and six models; the others wait"
    assert stores.jobs.claim(study.id, "worker", 60) is None, "a study is no work of its own"
    ended = work_sent(stores, sent)
    assert ended.state == JobState.SUCCEEDED
    assert ended.progress.done == ended.progress.total == 14
    assert ended.result == {"study": study.artefact_id}
    assert ended.started_at is not None and ended.finished_at is not None

    table = stores.studies.table(study.artefact_id)
    assert len(table.facts) == 12 and len(table.dense) == 2
    assert all(fact.difference == pytest.approx(-0.2) and fact.dense == 0.8 for fact in table.facts)
    assert table.axes["calibration"] == ["none", "demo", "c4"] and table.axes["pattern"] == ["0.5", "2:4"]
    crossed = pivot(table, "task", "calibration", {"pattern": ["2:4"]})
    assert crossed.row_labels == ["reviews", "sst2"] and crossed.column_labels == ["none", "demo", "c4"]
    assert crossed.dense == pytest.approx([0.8, 0.8])
    assert pivot(table, "calibration", "task", {"method": ["wanda"]}).row_labels == ["demo", "c4"]
    with pytest.raises(Problem, match="the same as rows"):
        pivot(table, "task", "task")
    cell = crossed.cells[0][1]
    assert cell is not None and cell.only is not None and cell.only.task == "reviews"
    assert cell.facts == 1 and cell.interval == pytest.approx((0.5, 0.7)) and cell.rows == 20
    assert stores.jobs.get(cell.only.cell.job).kind == "evaluate"
    averaged = pivot(table, "method", "pattern").cells[1][0]
    assert averaged is not None and averaged.facts == 4 and averaged.only is None
    assert averaged.interval is None and averaged.rows is None, "each task is in it twice, on the same rows"
    over_tasks = pivot(table, "method", "pattern", {"calibration": ["c4"]}).cells[0][0]
    assert over_tasks is not None and over_tasks.rows == 40
    assert over_tasks.interval == pytest.approx((0.6 - 0.1 / 2**0.5, 0.6 + 0.1 / 2**0.5))
    with pytest.raises(Problem, match="did you mean 'task'"):
        pivot(table, "tasks", "model")


def test_groups_of_tasks_are_an_axis_and_filters_hold_several_labels(stores: Stores) -> None:
    study, _ = submit(stores, "study", {**STUDY, "attributions": []}, send=refuse)
    work(stores)
    table = stores.studies.table(study.artefact_id)
    assert table.axes["group"] == ["sentiment"] and {fact.group for fact in table.facts} == {"sentiment"}
    grouped = pivot(table, "group", "calibration", {"calibration": ["c4", "demo", "c4"], "pattern": ["0.5"]})
    assert grouped.where == {"calibration": ("c4", "demo"), "pattern": ("0.5",)}
    assert grouped.row_labels == ["sentiment"] and grouped.column_labels == ["demo", "c4"]
    assert [cell and cell.facts for cell in grouped.cells[0]] == [2, 2]
    assert grouped.averaged == ["task"], "a filter that leaves one label averages over nothing"
    assert pivot(table, "method", "calibration", {"method": ["magnitude"], "calibration": ["c4"]}).cells == []
    with pytest.raises(Problem, match="did you mean 'calibration'"):
        pivot(table, "task", "model", {"calibrations": ["c4"]})
    with pytest.raises(Problem, match="calibration: 'demos' is not known; did you mean 'demo'"):
        pivot(table, "task", "model", {"calibration": ["c4", "demos"]})


def test_lengths_and_allocations_are_crossed(stores: Stores) -> None:
    grid = {"methods": ["wanda"], "patterns": [0.5], "seqlens": [64, 128], "allocations": ["uniform", "owl"]}
    study, _ = submit(stores, "study", {**STUDY, **grid, "attributions": []}, send=refuse)
    work(stores)
    table = stores.studies.table(study.artefact_id)
    crossed = pivot(table, "seqlen", "allocation", {"task": ["reviews"]})
    assert crossed.row_labels == ["64", "128"] and crossed.column_labels == ["uniform", "owl"]
    assert [[cell and cell.facts for cell in row] for row in crossed.cells] == [[2, 2], [2, 2]], "two calibration sets"


def test_windows_as_long_as_the_context_say_so(stores: Stores) -> None:
    study, _ = submit(stores, "study", {**STUDY, "attributions": []}, send=refuse)
    axes = stores.studies.table(study.artefact_id).axes
    assert axes["seqlen"] == ["none", "context"] and axes["allocation"] == ["uniform"]


def work_sent(stores: Stores, first: list[str]) -> Job:
    """Run the jobs whose messages have left, and what they make ready."""
    waiting = list(first)
    while waiting:
        name = waiting.pop(0)
        job = stores.jobs.claim(name, "worker", 60)
        if job is None:
            continue
        finish(stores, job)
        waiting += stores.studies.advance(name)
    (study,), _ = stores.jobs.list(kind="study")
    return study


def test_known_cells_are_not_run_again(stores: Stores) -> None:
    prune = {"model": "one", "method": "magnitude", "pattern": 0.5}
    alone, _ = submit(stores, "prune", prune, send=refuse)
    work(stores)
    study, _ = submit(stores, "study", STUDY, send=refuse)
    done = work(stores)
    assert alone.id not in [job.id for job in done] and len(done) == 13
    assert stores.jobs.get(study.id).state == JobState.SUCCEEDED
    bigger, created = submit(stores, "study", {**STUDY, "patterns": [0.5, "2:4", 0.7]}, send=refuse)
    assert created
    assert len(work(stores)) == 7, "three pruned models, their evaluations, and the attribution of all nine"
    assert submit(stores, "study", STUDY, send=refuse)[0].id == study.id
    forced, _ = submit(stores, "study", STUDY, force=True, send=refuse)
    assert forced.id != study.id and len(work(stores)) == 14
    assert bigger.id != forced.id


def test_cells_are_the_jobs_that_a_person_would_submit(stores: Stores) -> None:
    """Every kind of cell is known under the same fingerprint, whatever else the study names."""
    wanda = {"model": "one", "method": "wanda", "pattern": "2:4", "calibration": {"dataset": "c4"}}
    made, _ = submit(stores, "prune", wanda, send=refuse)
    for kind, spec in (
        ("evaluate", {"model": "one", "tasks": STUDY["tasks"], "limit": 20}),
        ("evaluate", {"model": f"pruned:{made.artefact_id}", "tasks": STUDY["tasks"], "limit": 20}),
        ("attribute", {"dense": "one", "pruned": [f"pruned:{made.artefact_id}"], **STUDY["attributions"][0]}),
    ):
        submit(stores, kind, spec, send=refuse)
    alone = {job.id for job in stores.jobs.list()[0]}
    small = {**STUDY, "methods": ["wanda"], "patterns": ["2:4"], "calibrations": [{"dataset": "c4"}]}
    study, _ = submit(stores, "study", small, send=refuse)
    assert {cell.job for cell in stores.studies.cells(study.id)} == alone


def test_a_study_of_known_cells_ends_at_once(stores: Stores) -> None:
    spec = {"models": ["one"], "tasks": ["sst2"]}
    submit(stores, "evaluate", {"model": "one", "tasks": ["sst2"]}, send=refuse)
    work(stores)
    study, created = submit(stores, "study", spec, send=refuse)
    assert created and study.state == JobState.SUCCEEDED and study.progress.done == 1


def test_a_failed_cell_fails_its_dependents_and_its_study_and_retry_runs_them(stores: Stores) -> None:
    study, _ = submit(stores, "study", STUDY, send=refuse)
    work(stores, failing="magnitude")
    failed = stores.jobs.get(study.id)
    assert failed.state == JobState.FAILED and failed.error is not None
    assert failed.progress.done == failed.progress.total
    assert "5 of 14 cells" in failed.error["detail"] and "no such luck" in failed.error["detail"]
    assert stores.studies.counts([study.id]) == {study.id: {JobState.SUCCEEDED: 9, JobState.FAILED: 5}}
    cells = stores.studies.cells(study.id)
    assert [cell.state for cell in cells].count(JobState.FAILED) == 5, "two models, their evaluations, the attribution"
    assert all("prune one with magnitude" in str(cell.error) for cell in cells if cell.role in {"attribute"})
    retried = stores.jobs.retry(study.id)
    assert retried.state == JobState.RUNNING and retried.progress.done == 9 and retried.error is None
    assert len(work(stores)) == 5
    assert stores.jobs.get(study.id).state == JobState.SUCCEEDED


def test_a_failed_cell_can_be_tried_again_alone_and_wakes_its_study(stores: Stores) -> None:
    study, _ = submit(stores, "study", STUDY, send=refuse)
    work(stores, failing="2:4 never")
    assert stores.jobs.get(study.id).state == JobState.SUCCEEDED
    other, _ = submit(stores, "study", {**STUDY, "models": ["two"]}, send=refuse)
    work(stores, failing="wanda")
    broken = next(
        cell for cell in stores.studies.cells(other.id) if cell.state == JobState.FAILED and cell.role == "prune"
    )
    stores.jobs.retry(broken.job)
    assert stores.jobs.get(other.id).state == JobState.RUNNING
    work(stores)
    still = stores.jobs.get(other.id)
    assert still.state == JobState.FAILED, "the other cells were not tried again"
    stores.jobs.retry(other.id)
    work(stores)
    assert stores.jobs.get(other.id).state == JobState.SUCCEEDED


def test_cancelling_a_study_cancels_its_unfinished_cells(stores: Stores) -> None:
    study, _ = submit(stores, "study", STUDY, send=refuse)
    first, second = stores.jobs.unsent()[:2]
    done = stores.jobs.claim(first, "worker", 60)
    assert done is not None
    finish(stores, done)
    running = stores.jobs.claim(second, "worker", 60)
    assert running is not None
    asked = stores.jobs.cancel(study.id)
    assert asked.state == JobState.RUNNING and asked.cancel_requested
    assert stores.jobs.renew(second, "worker", 60) is False
    assert stores.jobs.mark_cancelled(second, "worker")
    ended = stores.jobs.get(study.id)
    assert ended.state == JobState.CANCELLED and not ended.cancel_requested
    states = [cell.state for cell in stores.studies.cells(study.id)]
    assert states.count(JobState.SUCCEEDED) == 1 and states.count(JobState.CANCELLED) == 13
    assert stores.jobs.unsent() == []
    assert stores.jobs.retry(study.id).state == JobState.RUNNING
    assert len(work(stores)) == 13
    assert stores.jobs.get(study.id).state == JobState.SUCCEEDED


def test_cells_that_another_study_needs_go_on(stores: Stores) -> None:
    first, _ = submit(stores, "study", STUDY, send=refuse)
    second, _ = submit(stores, "study", {**STUDY, "patterns": [0.5], "name": "half"}, send=refuse)
    cancelled = stores.jobs.cancel(first.id)
    assert cancelled.state == JobState.CANCELLED
    assert stores.jobs.get(second.id).state == JobState.QUEUED
    work(stores)
    assert stores.jobs.get(second.id).state == JobState.SUCCEEDED
    assert stores.jobs.get(first.id).state == JobState.CANCELLED
    assert {cell.state for cell in stores.studies.cells(first.id)} == {JobState.SUCCEEDED, JobState.CANCELLED}
    assert len(stores.studies.table(second.artefact_id).facts) == 6


def test_a_tried_again_cell_that_was_asked_for_since_is_taken_over(stores: Stores) -> None:
    study, _ = submit(stores, "study", {**STUDY, "attributions": []}, send=refuse)
    work(stores, failing="magnitude")
    anew, _ = submit(stores, "prune", {"model": "one", "method": "magnitude", "pattern": 0.5}, send=refuse)
    stores.jobs.retry(study.id)
    cells = stores.studies.cells(study.id)
    assert anew.id in [cell.job for cell in cells]
    work(stores)
    assert stores.jobs.get(study.id).state == JobState.SUCCEEDED


def test_a_lost_worker_does_not_stop_a_study(stores: Stores) -> None:
    study, _ = submit(stores, "study", STUDY, send=refuse)
    (first, *_) = stores.jobs.unsent()
    assert stores.jobs.claim(first, "gone", -1)
    sent: list[str] = []
    assert [job.id for job in stores.jobs.studies_of(first)] == [study.id]
    assert sweep(stores.jobs, sent.append, lambda: 0) == [first]
    assert first in sent and stores.jobs.get(first).attempts == 1
    assert stores.jobs.get(study.id).state == JobState.RUNNING


def test_a_study_in_use_and_its_parts_are_not_deleted(stores: Stores) -> None:
    study, _ = submit(stores, "study", STUDY, send=refuse)
    with pytest.raises(Problem, match="cancel it first"):
        stores.results.delete("study", study.artefact_id)
    work(stores)
    model = next(cell for cell in stores.studies.cells(study.id) if cell.role == "prune")
    with pytest.raises(Problem, match="is used by") as refused:
        stores.results.delete("model", model.artefact)
    assert refused.value.status == 409
    stores.results.delete("study", study.artefact_id)
    with pytest.raises(Problem) as gone:
        stores.studies.table(study.artefact_id)
    assert gone.value.status == 404
    for kind in ("attribution", "evaluation", "model"):
        for record in stores.results.list(kind)[0]:
            stores.results.delete(kind, record.id)
    again, created = submit(stores, "study", STUDY, send=refuse)
    assert created and again.id != study.id and len(work(stores)) == 14


def test_a_cell_tried_again_wakes_every_study_but_one_that_was_asked_for_since(stores: Stores) -> None:
    first, _ = submit(stores, "study", STUDY, send=refuse)
    other, _ = submit(stores, "study", {**STUDY, "name": "another"}, send=refuse)
    work(stores, failing="magnitude")
    assert {stores.jobs.get(study.id).state for study in (first, other)} == {JobState.FAILED}
    stores.jobs.retry(first.id)
    assert {stores.jobs.get(study.id).state for study in (first, other)} == {JobState.RUNNING}
    work(stores, failing="magnitude")
    anew, created = submit(stores, "study", STUDY, send=refuse)
    assert created
    stores.jobs.cancel(anew.id)
    broken = next(cell for cell in stores.studies.cells(other.id) if cell.role == "prune" and not cell.done)
    again, _ = submit(stores, "study", STUDY, send=refuse)
    assert stores.jobs.get(again.id).state == JobState.RUNNING
    stores.jobs.cancel(stores.jobs.list(kind="prune", state="queued")[0][0].id)
    with pytest.raises(Problem, match="does the same thing"):
        stores.jobs.retry(first.id)
    assert broken.job not in [cell.job for cell in stores.studies.cells(again.id)]
