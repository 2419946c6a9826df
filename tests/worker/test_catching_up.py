"""Records of earlier versions get what they lack when a worker starts."""

import json
import logging
from collections.abc import Callable

import pytest
from sqlalchemy import delete, update

from prunescope.jobs.documents import Job
from prunescope.store.attributions.summary import ListedAttribution
from prunescope.store.evaluations.outcomes import EVALUATION_JSON
from prunescope.store.evaluations.queries import Measurements
from prunescope.store.tables import measurements, outcomes, pairings
from prunescope.worker import pipeline
from prunescope.worker.catching_up import catch_up_attributions, catch_up_evaluations, catch_up_labels
from prunescope.worker.models import ModelCache
from prunescope.worker.parts import Parts
from tests.server.made_up import LAYERS, NEURONS, SPEC, VARIANTS, write_made_up
from tests.worker.conftest import PRUNE


def test_they_are_paired_when_a_worker_starts(
    parts: Parts, enqueue: Callable[..., Job], caplog: pytest.LogCaptureFixture
) -> None:
    models = ModelCache("cpu")
    measure = {"tasks": ["reviews"], "limit": 12}
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
    assert pair.dense_evaluation == dense and pair.rows == 12
    right = {id: found.value for (id, _), found in reader.values_of([dense, pruned]).items()}
    assert pair.difference == pytest.approx(right[pruned] - right[dense])
    with parts.stores.database.writing() as connection:
        connection.execute(delete(outcomes))
        connection.execute(delete(pairings))
    assert reader.pairings_of([pruned]) == {}
    assert catch_up_evaluations(parts.stores) == 2
    assert reader.pairings_of([pruned]) == before
    assert catch_up_evaluations(parts.stores) == 0
    of_auc = reader.pairings_of([pruned], ("auc",))
    assert [*of_auc] == [(pruned, "reviews")]
    with parts.stores.database.writing() as connection:  # as the version before 0008 stored it
        connection.execute(update(outcomes).values(scores=None))
        connection.execute(delete(pairings).where(pairings.c.measure == "auc"))
    assert catch_up_evaluations(parts.stores) == 2
    assert reader.pairings_of([pruned]) == before and reader.pairings_of([pruned], ("auc",)) == of_auc
    with parts.stores.database.writing() as connection:
        connection.execute(delete(outcomes))
    with parts.stores.artefacts.staging("evaluation", dense) as folder:
        (folder / EVALUATION_JSON).write_text('{"tasks": {"reviews": ')
    with caplog.at_level(logging.WARNING):
        assert catch_up_evaluations(parts.stores) == 1
    assert f"evaluation {dense} cannot be read" in caplog.text


def test_label_values_of_earlier_versions_are_computed(
    parts: Parts, enqueue: Callable[..., Job], caplog: pytest.LogCaptureFixture
) -> None:
    job = enqueue("evaluate", {"model": "llama", "tasks": ["reviews"], "limit": 12})
    pipeline.run(job.id, parts, ModelCache("cpu"))
    reader, evaluation = parts.stores.measurements, job.artefact_id
    before = reader.labels_of([evaluation])
    document = json.loads(parts.stores.artefacts.read("evaluation", evaluation, EVALUATION_JSON))["tasks"]["reviews"]
    found = before[evaluation, "reviews"]
    assert document["labels"] == json.loads(json.dumps(found.document()))
    assert {share.label for share in found.shares} == {"negative", "positive"}
    assert catch_up_labels(parts.stores) == 0

    def forget() -> None:
        with parts.stores.database.writing() as connection:
            connection.execute(delete(measurements).where(measurements.c.measure != "accuracy"))

    forget()
    assert catch_up_labels(parts.stores) == 1 and reader.labels_of([evaluation]) == before
    forget()
    with parts.stores.artefacts.staging("evaluation", evaluation) as folder:
        (folder / EVALUATION_JSON).write_text('{"tasks": {"reviews": ')
    with caplog.at_level(logging.WARNING):
        assert catch_up_labels(parts.stores) == 0
    assert f"evaluation {evaluation} cannot be read, and has no label values" in caplog.text


def test_perplexities_are_kept_with_their_pairing(parts: Parts, enqueue: Callable[..., Job]) -> None:
    models = ModelCache("cpu")
    measure = {"perplexity": {"datasets": ["demo"], "seqlen": 16, "windows": 3}}
    made = enqueue("prune", PRUNE)
    pipeline.run(made.id, parts, models)
    done = [enqueue("evaluate", {"model": name, **measure}) for name in ("llama", f"pruned:{made.artefact_id}")]
    for job in done:
        pipeline.run(job.id, parts, models)
    dense, pruned = (job.artefact_id for job in done)
    stores = parts.stores
    how = {name: stores.results.get("evaluation", name).summary["perplexity"]["demo"] for name in (dense, pruned)}
    assert not {"nlls", "perplexity"} & how[pruned].keys()
    document = json.loads(stores.artefacts.read("evaluation", pruned, EVALUATION_JSON))["perplexity"]["demo"]
    found = stores.measurements.values_of([pruned])[pruned, "demo"]
    assert (found.value, found.rows) == (document["perplexity"], document["tokens"])
    assert [*(found.interval or ())] == document["interval"]
    pair = stores.measurements.pairings_of([pruned])[pruned, "demo"]
    assert pair.difference == pytest.approx(how[pruned]["nll"] - how[dense]["nll"])
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
