"""How much work a study is: what is known, what is new, and how long it may take by what has been run."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from prunescope.jobs.documents import Estimate, Job, NewJobs
from prunescope.jobs.problems import Problem
from prunescope.store.jobs.store import JobStore
from prunescope.store.submission import Stores, check, estimate, estimate_checked, submit
from tests.store.studies.test_queries import STUDY, finish, refuse

START = datetime(2026, 1, 1, tzinfo=UTC)
WANDA: dict[str, Any] = {
    "model": "one",
    "method": "wanda",
    "pattern": 0.5,
    "calibration": {"dataset": "demo", "samples": 16, "seqlen": 64},
}
ONE_WANDA = {"models": ["one"], "methods": ["wanda"], "patterns": ["2:4"], "calibrations": [WANDA["calibration"]]}


def run(stores: Stores, kind: str, spec: dict[str, Any], seconds: float, rows: int = 20, *, kept: bool = True) -> Job:
    """A job that has taken so long, with its result unless that was deleted since."""
    job, _ = submit(stores, kind, spec, force=True, send=refuse)
    before, after = (
        JobStore(stores.database, lambda time=time: time) for time in (START, START + timedelta(seconds=seconds))
    )
    claimed = before.claim(job.id, "worker", 60)
    assert claimed is not None
    if kind == "evaluate" and kept:
        measured = {"accuracy": 0.5, "rows": rows}
        document = {"tasks": dict.fromkeys(claimed.spec["tasks"], measured)}
        stores.results.add_evaluation(job.artefact_id, job=job.id, spec=claimed.spec, document=document)
    if kind == "prune" and kept:
        stores.results.add("model", job.artefact_id, job=job.id, spec=claimed.spec, summary={})
    assert after.succeed(job.id, "worker", {})
    return job


def seconds(stores: Stores, spec: dict[str, Any]) -> float | None:
    return estimate(stores, spec).seconds


def test_what_is_known_is_no_work(stores: Stores) -> None:
    told = estimate(stores, STUDY)
    assert (told.cells, told.known, told.new) == (14, 0, NewJobs(prune=6, evaluate=7, attribute=1))
    assert told.seconds is None and "nothing like 14 of 14 jobs" in told.basis and "evaluate one" in told.basis
    assert stores.jobs.list() == ([], None), "nothing is queued"
    submit(stores, "study", {**STUDY, "patterns": [0.5], "attributions": []}, send=refuse)
    told = estimate(stores, STUDY)
    assert (told.known, told.new) == (7, NewJobs(prune=3, evaluate=3, attribute=1))
    assert estimate(stores, STUDY, force=True).known == 0
    submit(stores, "study", STUDY, send=refuse)
    told = estimate(stores, STUDY)
    assert told == Estimate(
        cells=14,
        known=14,
        new=NewJobs(prune=0, evaluate=0, attribute=0),
        seconds=0,
        basis="everything is known already",
    )


def test_a_cell_that_is_the_same_job_as_another_is_run_once(stores: Stores) -> None:
    methods = ["ria", {"name": "ria", "permutation": "assignment"}]
    told = estimate(stores, {**ONE_WANDA, "methods": methods, "patterns": [0.5]})
    assert (told.cells, told.known, told.new.prune) == (2, 1, 1)


def test_a_prune_takes_as_long_as_one_with_the_same_samples(stores: Stores) -> None:
    for took in (9, 30, 10):
        run(stores, "prune", WANDA, took)
    assert seconds(stores, ONE_WANDA) == 10, "the median"
    run(stores, "prune", {**WANDA, "model": "two"}, 50)
    assert seconds(stores, {**ONE_WANDA, "models": ["one", "two"]}) == 60


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"calibrations": [{"dataset": "c4", "samples": 12, "seqlen": 128}]}, 15),
        ({"calibrations": [{"dataset": "demo", "samples": 60, "seqlen": 64}]}, 60),
        ({"methods": ["sparsegpt"]}, 10),
        ({"allocations": ["owl"], "patterns": [0.5]}, 10),
        ({"calibrations": [{"dataset": "demo", "samples": 4}]}, 128),
        ({"methods": ["magnitude"], "calibrations": []}, None),
        ({"models": ["two"]}, 10),  # a model of the same size
    ],
)
def test_other_amounts_of_calibration_text_scale_it(
    stores: Stores, change: dict[str, Any], expected: float | None
) -> None:
    """One prune of 16 x 64 tokens took 10 s, one of 64 x 64 tokens 64 s; the nearer one counts."""
    run(stores, "prune", WANDA, 10)
    run(stores, "prune", {**WANDA, "calibration": {"dataset": "demo", "samples": 64, "seqlen": 64}}, 64)
    assert seconds(stores, {**ONE_WANDA, **change}) == expected


def test_another_model_takes_as_long_as_it_is_large(stores: Stores, model_root: Path) -> None:
    run(stores, "prune", WANDA, 10)
    weights = next((model_root / "two").glob("*.safetensors"))
    with weights.open("ab") as file:
        file.write(bytes(2 * weights.stat().st_size))
    told = estimate(stores, {**ONE_WANDA, "models": ["two"]})
    assert told.seconds == pytest.approx(30) and "other models, scaled by the sizes" in told.basis


@pytest.mark.parametrize(
    ("kind", "spec", "change", "expected"),
    [
        ("explain", {"dense": "one", "pruned": "two", "task": "sst2", "limit": 20}, {"limit": 60}, 30),
        ("corpus", {"models": ["one"], "dataset": "demo", "tokens": 2000}, {"models": ["one", "two"]}, 20),
        ("prune", WANDA, {"pattern": "2:4"}, 10),
    ],
)
def test_a_single_job_is_estimated_from_similar_ones(
    stores: Stores, kind: str, spec: dict[str, Any], change: dict[str, Any], expected: float
) -> None:
    assert estimate_checked(stores, check(stores, kind, spec)).seconds is None, "none has run"
    run(stores, kind, spec, 10)
    told = estimate_checked(stores, check(stores, kind, {**spec, **change}))
    assert (told.cells, told.known, told.new.total, told.seconds) == (1, 0, 1, expected)
    assert estimate_checked(stores, check(stores, kind, spec)).known == 1


def test_a_kind_that_never_ran_is_estimated_from_others(stores: Stores) -> None:
    """By tokens that go forward through the model: 2 for each of 16 x 64 calibration tokens, 200 for a row."""
    run(stores, "prune", WANDA, 10)
    corpus = {"models": ["one"], "dataset": "demo", "tokens": 2000}
    told = estimate_checked(stores, check(stores, "corpus", corpus))
    assert told.seconds == pytest.approx(10 * 1.2 * 2000 / (2 * 16 * 64))
    assert told.basis.startswith("rough")
    both = estimate(stores, {**ONE_WANDA, "tasks": ["sst2"], "limit": 20})
    evaluations = 2 * 20 * 200 / (2 * 16 * 64) * 10
    assert both.seconds == pytest.approx(10 + evaluations) and both.basis.startswith("rough")
    run(stores, "corpus", {**corpus, "tokens": 1000}, 40)
    told = estimate_checked(stores, check(stores, "corpus", corpus))
    assert told.seconds == pytest.approx(80) and "same models" in told.basis


def test_a_prune_by_weights_alone(stores: Stores) -> None:
    run(stores, "prune", {"model": "one", "method": "magnitude", "pattern": 0.5}, 3)
    assert seconds(stores, {"models": ["one"], "methods": ["magnitude"], "patterns": [0.1, 0.2]}) == 6


def test_a_pruned_model_is_measured_as_fast_as_its_dense_one(stores: Stores) -> None:
    made = run(stores, "prune", WANDA, 10)
    run(stores, "evaluate", {"model": "one", "tasks": ["sst2"], "limit": 20}, 4, rows=20)
    grid = {**ONE_WANDA, "tasks": ["sst2"], "limit": 20}
    assert seconds(stores, grid) == 14, "the prune and its evaluation; the dense one is known"
    run(stores, "evaluate", {"model": f"pruned:{made.artefact_id}", "tasks": ["sst2"], "limit": 20}, 8, rows=20)
    assert seconds(stores, grid) == 16
    # The same from the pruned model's record alone, and for a study of the pruned model itself.
    assert seconds(stores, {"models": [f"pruned:{made.artefact_id}"], "tasks": ["sst2"], "limit": 40}) == 12


def test_rows_scale_an_evaluation(stores: Stores) -> None:
    run(stores, "evaluate", {"model": "one", "tasks": ["sst2"], "limit": 20}, 4, rows=20)
    assert seconds(stores, {"models": ["one"], "tasks": ["sst2"], "limit": 100}) == 20
    assert seconds(stores, {"models": ["one"], "tasks": ["sst2", "reviews"], "limit": 50}) == 20
    assert seconds(stores, {"models": ["one"], "tasks": ["sst2"]}) is None, "nobody knows how many rows there are"
    run(stores, "evaluate", {"model": "two", "tasks": ["sst2"]}, 1, rows=60)
    assert seconds(stores, {"models": ["one"], "tasks": ["sst2"]}) == 12
    assert seconds(stores, {"models": ["one"], "tasks": ["sst2"], "limit": 100}) == 12, "there are no more than 60"
    run(stores, "evaluate", {"model": "one", "tasks": ["sst2"], "limit": 30}, 9, kept=False)
    assert seconds(stores, {"models": ["one"], "tasks": ["sst2"], "limit": 40}) == 12, "9 s for 30 rows"


def test_texts_and_models_scale_an_attribution(stores: Stores) -> None:
    made = run(stores, "prune", WANDA, 10)
    texts = {"texts": {"dataset": "reviews", "count": 10}}
    run(stores, "attribute", {"dense": "one", "pruned": [f"pruned:{made.artefact_id}"], **texts}, 6)
    grid = {**ONE_WANDA, "patterns": ["2:4", "1:4"]}
    twenty = {"texts": {"dataset": "reviews", "count": 20}}
    assert seconds(stores, {**grid, "attributions": [texts]}) == 20 + 9
    assert seconds(stores, {**grid, "attributions": [twenty]}) == 20 + 18
    assert seconds(stores, {**grid, "attributions": [{"texts": ["so bad"]}]}) == pytest.approx(20 + 0.9)
    chosen = {"texts": {"dataset": "reviews", "indices": [3, 1, 4, 15, 9]}}
    assert seconds(stores, {**grid, "attributions": [chosen]}) == pytest.approx(20 + 4.5)


def test_chosen_rows_are_texts_that_an_attribution_took_its_time_for(stores: Stores) -> None:
    made = run(stores, "prune", WANDA, 10)
    chosen = {"texts": {"dataset": "reviews", "indices": [2, 7]}}
    run(stores, "attribute", {"dense": "one", "pruned": [f"pruned:{made.artefact_id}"], **chosen}, 6)
    ten = {"texts": {"dataset": "reviews", "count": 10}}
    assert seconds(stores, {**ONE_WANDA, "attributions": [ten]}) == pytest.approx(10 + 30)


def test_what_took_two_attempts_says_nothing(stores: Stores) -> None:
    job, _ = submit(stores, "prune", WANDA, send=refuse)
    assert stores.jobs.claim(job.id, "gone", -1)
    stores.jobs.requeue_expired()
    again = stores.jobs.claim(job.id, "worker", 60)
    assert again is not None
    finish(stores, again)
    assert seconds(stores, ONE_WANDA) is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"models": ["./three"]}, "no model folder"),
        ({"models": ["pruned:" + "0" * 16]}, "no pruned model"),
        ({"tasks": ["sst"]}, "sst2"),
    ],
)
def test_a_study_that_cannot_be_run_is_refused(stores: Stores, change: dict[str, Any], says: str) -> None:
    with pytest.raises(Problem, match=says) as refused:
        estimate(stores, {**STUDY, **change})
    assert refused.value.status == 422
