"""Records, who uses whom, and deleting."""

from typing import Any

import pytest

from prunescope.jobs.problems import Problem
from prunescope.store.artefacts.folders import KINDS
from prunescope.store.submission import Stores, submit

ONE, TWO, THREE = "1" * 16, "2" * 16, "3" * 16


def queued(job: str) -> None:
    """Nobody runs these jobs."""


def keep(stores: Stores, kind: str, name: str, spec: dict[str, object]) -> None:
    if kind != "study":
        with stores.artefacts.staging(kind, name) as folder:
            (folder / "file").touch()
    stores.results.add(kind, name, job=None, spec=spec, summary={"label": name})


def test_records_are_kept_once_and_listed_newest_first(stores: Stores) -> None:
    for name in (ONE, TWO, THREE):
        keep(stores, "model", name, {"model": "demo"})
    keep(stores, "model", ONE, {"model": "demo", "again": True})
    first, cursor = stores.results.list("model", limit=2)
    rest, end = stores.results.list("model", limit=2, cursor=cursor)
    assert [record.id for record in first + rest] == [THREE, TWO, ONE] and end is None
    assert stores.results.get("model", ONE).spec["again"] is True
    assert stores.results.exists("model", TWO) and not stores.results.exists("evaluation", TWO)
    assert set(stores.results.many("model", [ONE, "f" * 16])) == {ONE}


def test_what_is_used_stays(stores: Stores) -> None:
    keep(stores, "model", ONE, {"model": "demo"})
    keep(stores, "model", TWO, {"model": f"pruned:{ONE}"})
    keep(stores, "evaluation", THREE, {"model": f"pruned:{ONE}", "tasks": ["sst2"]})
    keep(stores, "attribution", THREE, {"dense": "demo", "pruned": [f"pruned:{ONE}", f"pruned:{TWO}"]})
    keep(stores, "explanation", ONE, {"dense": "demo", "pruned": f"pruned:{ONE}", "task": "sst2"})
    keep(stores, "corpus", TWO, {"models": ["demo", f"pruned:{ONE}"], "dataset": "c4"})
    users = {kind: [each.id for each in stores.results.naming(kind, [f"pruned:{ONE}"])] for kind in KINDS}
    assert users == {
        "model": [TWO],
        "evaluation": [THREE],
        "attribution": [THREE],
        "explanation": [ONE],
        "corpus": [TWO],
    }
    with pytest.raises(Problem, match="is used by") as refused:
        stores.results.delete("model", ONE)
    assert refused.value.status == 409
    of = stores.results.explanations_of
    assert [record.id for record in of("demo", f"pruned:{ONE}", 5)] == [ONE]
    assert of("demo", f"pruned:{TWO}", 5) == of("other", f"pruned:{ONE}", 5) == []
    assert [record.id for record in stores.results.corpora_of(["demo"], 5)] == [TWO]
    made = (
        ("corpus", TWO),
        ("explanation", ONE),
        ("attribution", THREE),
        ("evaluation", THREE),
        ("model", TWO),
        ("model", ONE),
    )
    for kind, name in made:
        assert stores.artefacts.exists(kind, name)
        stores.results.delete(kind, name)
        assert not stores.artefacts.exists(kind, name)
        with pytest.raises(Problem) as gone:
            stores.results.delete(kind, name)
        assert gone.value.status == 404


def test_what_a_job_needs_stays_until_it_has_ended(stores: Stores) -> None:
    keep(stores, "model", ONE, {"model": "demo"})
    job, _ = submit(stores, "evaluate", {"model": f"pruned:{ONE}", "tasks": ["sst2"]}, send=queued)
    with pytest.raises(Problem, match=f"job {job.id}"):
        stores.results.delete("model", ONE)
    stores.jobs.cancel(job.id)
    stores.results.delete("model", ONE)


def test_what_is_being_made_again_stays(stores: Stores) -> None:
    job, _ = submit(stores, "evaluate", {"model": "one", "tasks": ["sst2"]}, send=queued)
    keep(stores, "evaluation", job.artefact_id, job.spec)
    with pytest.raises(Problem, match="is making evaluation"):
        stores.results.delete("evaluation", job.artefact_id)


def test_what_was_deleted_can_be_made_again(stores: Stores) -> None:
    spec = {"model": "one", "tasks": ["sst2"]}
    job, _ = submit(stores, "evaluate", spec, send=queued)
    assert stores.jobs.claim(job.id, "w", 60)
    keep(stores, "evaluation", job.artefact_id, job.spec)
    assert stores.jobs.succeed(job.id, "w", {"evaluation": job.artefact_id})
    assert submit(stores, "evaluate", spec, send=queued) == (stores.jobs.get(job.id), False)
    stores.results.delete("evaluation", job.artefact_id)
    again, created = submit(stores, "evaluate", spec, send=queued)
    assert created and again.artefact_id == job.artefact_id


def test_records_are_found_by_the_models_that_they_name(stores: Stores) -> None:
    keep(stores, "model", ONE, {"model": "demo"})
    keep(stores, "attribution", ONE, {"dense": "demo", "pruned": [f"pruned:{ONE}", "other"]})
    keep(stores, "attribution", TWO, {"dense": "other", "pruned": [f"pruned:{ONE}"]})
    keep(stores, "attribution", THREE, {"dense": "demo", "pruned": ["other", f"pruned:{ONE}"]})

    def naming(*references: str, **more: Any) -> list[str]:
        return [record.id for record in stores.results.naming("attribution", references, **more)]

    assert naming(f"pruned:{ONE}") == [THREE, TWO, ONE]
    assert naming("demo", "other", limit=2) == [THREE, TWO]
    assert naming("other", field="dense") == [TWO]
    assert [record.id for record in stores.results.of_models("demo", [f"pruned:{ONE}", "other"], 5)] == [ONE]
    assert stores.results.named_models() == ["demo", "other", f"pruned:{ONE}"]
    keep(stores, "attribution", THREE, {"dense": "third", "pruned": []})
    assert (naming("demo"), naming("third")) == ([ONE], [THREE])
    stores.results.delete("attribution", TWO)
    assert naming("other", field="dense") == []
