"""Stores the record of a new artefact in the database, so that lists and tables need not open the artefact."""

import json
from typing import Any

from prunescope.jobs.documents import Job, JobKind
from prunescope.jobs.specs import PruneSpec, Spec
from prunescope.store.attributions.activations import ActivationStore
from prunescope.store.attributions.summary import ListedAttribution
from prunescope.store.corpora.documents import ListedCorpus
from prunescope.store.corpora.folder import CorpusStore
from prunescope.store.evaluations.outcomes import EVALUATION_JSON
from prunescope.store.explanations.folder import ExplanationStore
from prunescope.store.explanations.summary import ListedExplanation
from prunescope.store.submission import Stores
from prunescope.worker.pruned_model import PRUNING_JSON


def keep_record(stores: Stores, job: Job, spec: Spec) -> None:
    """Read a summary of a job's finished artefact, and store it as the artefact's record. Raises ValueError for a
    study, which has no artefact."""
    name, artefacts = job.artefact_id, stores.artefacts
    match job.kind, spec:
        case JobKind.PRUNE, PruneSpec():
            summary = _of_model(spec, json.loads(artefacts.read("model", name, PRUNING_JSON)))
            stores.results.add("model", name, job=job.id, spec=job.spec, summary=summary)
        case JobKind.EVALUATE, _:
            document = json.loads(artefacts.read("evaluation", name, EVALUATION_JSON))
            stores.results.add_evaluation(name, job=job.id, spec=job.spec, document=document)
        case JobKind.ATTRIBUTE, _:
            listed = ListedAttribution.read(ActivationStore(artefacts.path("attribution", name)))
            stores.results.add("attribution", name, job=job.id, spec=job.spec, summary=listed.model_dump())
        case JobKind.EXPLAIN, _:
            explained = ListedExplanation.read(ExplanationStore(artefacts, name).document())
            stores.results.add("explanation", name, job=job.id, spec=job.spec, summary=explained.model_dump())
        case JobKind.CORPUS, _:
            read = ListedCorpus.read(CorpusStore.of(artefacts, name).document)
            stores.results.add("corpus", name, job=job.id, spec=job.spec, summary=read.model_dump())
        case _:
            raise ValueError(f"a {job.kind} job has no artefact")


def _of_model(spec: PruneSpec, document: dict[str, Any]) -> dict[str, Any]:
    return {
        "label": document["label"],
        "base": spec.model,
        "method": spec.method.name,
        "pattern": str(spec.pattern),
        "calibration": spec.calibration and str(spec.calibration),
        "sparsity": document["sparsity"],
        "relative_error": document.get("relative_error"),
        "seconds": document["seconds"],
    }
