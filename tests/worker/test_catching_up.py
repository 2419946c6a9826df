"""Migration of evaluations from before outcomes and perplexities were stored."""

import json
import logging
from collections.abc import Callable

import pytest
from sqlalchemy import delete, select

from prunescope.jobs.documents import Job
from prunescope.store.attributions.summary import ListedAttribution
from prunescope.store.evaluations.outcomes import EVALUATION_JSON
from prunescope.store.evaluations.queries import Measurements
from prunescope.store.tables import measurements, outcomes, pairings
from prunescope.worker import pipeline
from prunescope.worker.catching_up import catch_up_attributions, catch_up_evaluations
from prunescope.worker.models import WarmModels
from prunescope.worker.parts import Parts
from tests.server.made_up import LAYERS, NEURONS, SPEC, VARIANTS, write_made_up
from tests.worker.conftest import PRUNE


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
    assert catch_up_evaluations(parts.stores) == 2
    assert reader.pairings_of([pruned]) == before
    assert catch_up_evaluations(parts.stores) == 0
    with parts.stores.database.writing() as connection:
        connection.execute(delete(outcomes))
    with parts.stores.artefacts.staging("evaluation", dense) as folder:
        (folder / EVALUATION_JSON).write_text('{"tasks": {"reviews": ')
    with caplog.at_level(logging.WARNING):
        assert catch_up_evaluations(parts.stores) == 1
    assert f"evaluation {dense} cannot be read" in caplog.text


@pytest.mark.parametrize("with_losses", [True, False])
def test_their_perplexities_come_into_the_tables(parts: Parts, enqueue: Callable[..., Job], with_losses: bool) -> None:
    """Of an earlier version the windows' losses are not there: then nothing is paired."""
    models = WarmModels("cpu")
    measure = {"perplexity": {"datasets": ["demo"], "seqlen": 16, "windows": 3}}
    made = enqueue("prune", PRUNE)
    pipeline.run(made.id, parts, models)
    done = [enqueue("evaluate", {"model": name, **measure}) for name in ("llama", f"pruned:{made.artefact_id}")]
    for job in done:
        pipeline.run(job.id, parts, models)
    dense, pruned = (job.artefact_id for job in done)
    stores = parts.stores
    reader = Measurements(stores.database)
    before = reader.pairings_of([pruned])
    summary = stores.results.get("evaluation", pruned).summary["perplexity"]["demo"]
    assert "nlls" not in summary
    figures = [stores.results.get("evaluation", name).summary["perplexity"]["demo"]["nll"] for name in (pruned, dense)]
    assert before[pruned, "demo"].difference == pytest.approx(figures[0] - figures[1])
    with stores.database.writing() as connection:
        for table in (measurements, outcomes, pairings):
            connection.execute(delete(table))
    if not with_losses:
        for name in (dense, pruned):
            document = json.loads(stores.artefacts.read("evaluation", name, EVALUATION_JSON))
            del document["perplexity"]["demo"]["nlls"]
            with stores.artefacts.staging("evaluation", name) as folder:
                (folder / EVALUATION_JSON).write_text(json.dumps(document))
    assert catch_up_evaluations(stores) == 2
    assert reader.pairings_of([pruned]) == (before if with_losses else {})
    with stores.database.reading() as connection:
        kept = {row.evaluation: row.value for row in connection.execute(select(measurements))}
    assert set(kept) == {dense, pruned} and kept[pruned] == summary["perplexity"]
    assert catch_up_evaluations(stores) == 0


def test_attributions_are_summarised_for_lists(parts: Parts, caplog: pytest.LogCaptureFixture) -> None:
    old = {"variants": VARIANTS, "examples": 2, "layers": LAYERS, "words": ["badly"]}
    for id in ("a" * 16, "b" * 16, "c" * 16):
        folder = parts.stores.artefacts.local_path("attribution", id)
        assert folder is not None
        write_made_up(folder)
        parts.stores.results.add("attribution", id, job=None, spec=SPEC, summary=old)
    (folder / "zarr.json").write_text("{")
    made = parts.stores.results.get("attribution", "a" * 16)
    with caplog.at_level(logging.WARNING):
        assert catch_up_attributions(parts.stores) == 2
    assert f"attribution {'c' * 16} cannot be read" in caplog.text
    found = parts.stores.results.get("attribution", "a" * 16)
    assert (found.spec, found.created_at) == (made.spec, made.created_at)
    assert ListedAttribution.of_record(found.summary) == ListedAttribution(
        variants=VARIANTS,
        models=["demo", *SPEC["pruned"]],
        labels=found.summary["labels"],
        examples=2,
        recorded_layers=list(range(LAYERS)),
        neurons=NEURONS,
        words=["badly", "bland", "damaged"],
    )
    assert parts.stores.results.get("attribution", "c" * 16).summary == old
    assert catch_up_attributions(parts.stores) == 0
