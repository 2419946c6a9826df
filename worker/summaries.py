"""Summaries of artefacts, read once from each artefact, so that lists and tables need not open it."""

import json
from dataclasses import dataclass, field
from typing import Any

from prunescope.jobs.documents import JobKind
from prunescope.jobs.specs import PruneSpec, Spec
from prunescope.store.artefacts.folders import Artefacts
from prunescope.store.attributions.activations import ActivationStore
from prunescope.store.attributions.summary import ListedAttribution
from prunescope.store.evaluations.outcomes import EVALUATION_JSON, Answered, outcomes_of
from prunescope.worker.pruned_model import PRUNING_JSON


@dataclass(frozen=True)
class Finding:
    """The summary for a record (`store/artefacts/records.py`) and, for an evaluation, which rows of each task were
    right and each window's loss."""

    summary: dict[str, Any]
    outcomes: dict[str, Answered] = field(default_factory=dict)


def finding_of(kind: JobKind, spec: Spec, artefacts: Artefacts, name: str) -> Finding:
    """Read what is stored in the database about a finished artefact."""
    match kind, spec:
        case JobKind.PRUNE, PruneSpec():
            return Finding(_of_model(spec, json.loads(artefacts.read("model", name, PRUNING_JSON))))
        case JobKind.EVALUATE, _:
            document = json.loads(artefacts.read("evaluation", name, EVALUATION_JSON))
            return Finding(_of_evaluation(document), outcomes_of(document))
        case JobKind.ATTRIBUTE, _:
            store = ActivationStore(artefacts.path("attribution", name))
            return Finding(ListedAttribution.read(store).model_dump())
        case _:
            raise ValueError(f"a {kind} job has no artefact")


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


def _of_evaluation(document: dict[str, Any]) -> dict[str, Any]:
    return {
        "model": document["model"],
        "tasks": _without("examples", document["tasks"]),
        "perplexity": _without("nlls", document.get("perplexity", {})),
        "context": document.get("context"),
        "seconds": document["seconds"],
    }


def _without(field: str, results: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Each result without the field that has an entry for every row or window."""
    return {name: {key: value for key, value in each.items() if key != field} for name, each in results.items()}
