"""Models: the dense ones that are known, and what was pruned from them."""

import json
from collections.abc import Iterable
from typing import Any

from jobs.problems import not_found
from jobs.references import DEMO, PRUNED
from server import urls
from server.documents import LayerDocument, Link, MatrixDocument, ModelDocument, ModelSummary, Page
from server.read.names import Names, pruned_label, references_of, texts_label
from server.read.records import job_link, naming, records_of
from server.stores import Stores
from store.results import Record

PRUNING_JSON = "pruning.json"


def model_list(stores: Stores, *, cursor: str | None = None, limit: int = 50) -> Page[ModelSummary]:
    """The dense models first, then the pruned ones, newest first."""
    records, after = stores.results.list("model", cursor=cursor, limit=limit)
    names = Names(stores, (reference for record in records for reference in references_of(record.spec)))
    dense = [] if cursor else [ModelSummary.model_validate(_dense(names, ref)) for ref in dense_models(stores)]
    pruned = [ModelSummary.model_validate(_pruned(record, names)) for record in records]
    return Page[ModelSummary](items=dense + pruned, next=after, next_href=urls.models(cursor=after) if after else None)


def model_document(stores: Stores, name: str) -> ModelDocument:
    """A model by id or reference. Problem 404."""
    id = name.removeprefix(PRUNED)
    known = stores.results.many("model", [id])
    if id in known:
        return _pruned_document(stores, known[id])
    if name.startswith(PRUNED) or name not in dense_models(stores):
        raise not_found("model", name)
    names = Names(stores)
    made = [record for record in naming(stores.results, "model", name) if record.spec["model"] == name]
    return ModelDocument.model_validate(
        {
            **_dense(names, name),
            "spec": None,
            "versions": {},
            "layers": [],
            "download_href": None,
            "job": None,
            **_uses(stores, name),
            "variants": [Link(label=pruned_label(record.spec), href=urls.model(record.id)) for record in made],
        }
    )


def dense_models(stores: Stores) -> list[str]:
    """The demo model, the folders below the model roots, and every dense model that something was made of."""
    found = dict.fromkeys([DEMO, *_folders(stores)])
    for kind in ("model", "evaluation", "attribution"):
        for record in records_of(stores.results, kind):
            found.update(dict.fromkeys(ref for ref in references_of(record.spec) if not ref.startswith(PRUNED)))
    return list(found)


def _folders(stores: Stores) -> Iterable[str]:
    for root in stores.settings.model_roots:
        folder = root.expanduser()
        if folder.is_dir():
            for path in sorted({found.parent for found in folder.glob("*/config.json")}):
                if any(path.glob("*.safetensors")):
                    yield path.name


def _dense(names: Names, reference: str) -> dict[str, Any]:
    label = names.label(reference)
    return {
        "id": reference,
        "reference": reference,
        "label": label,
        "kind": "dense",
        "base": None,
        "href": urls.model(reference),
    }


def _pruned(record: Record, names: Names) -> dict[str, Any]:
    spec, summary = record.spec, record.summary
    method, calibration = spec["method"], spec.get("calibration") or {}
    pattern = spec["pattern"]
    return {
        "id": record.id,
        "reference": f"{PRUNED}{record.id}",
        "label": summary.get("label") or pruned_label(spec),
        "kind": "pruned",
        "base": names.link(spec["model"]),
        "method": method["name"],
        "pattern": f"{pattern['n']}:{pattern['m']}" if pattern["kind"] == "n_m" else f"{pattern['sparsity']:g}",
        "calibration": calibration.get("dataset") or calibration.get("file"),
        "sparsity": summary.get("sparsity"),
        "created_at": record.created_at,
        "href": urls.model(record.id),
    }


def _pruned_document(stores: Stores, record: Record) -> ModelDocument:
    names = Names(stores, references_of(record.spec))
    report = json.loads(stores.artefacts.read("model", record.id, PRUNING_JSON))
    return ModelDocument.model_validate(
        {
            **_pruned(record, names),
            "spec": record.spec,
            "versions": report.get("versions", {}),
            "layers": [_layer(layer) for layer in report.get("layers", [])],
            "download_href": urls.model_download(record.id),
            "job": job_link(record),
            **_uses(stores, f"{PRUNED}{record.id}"),
            "variants": [],
        }
    )


def _layer(layer: dict[str, Any]) -> LayerDocument:
    matrices = [
        MatrixDocument(
            name=matrix["name"],
            rows=matrix["rows"],
            columns=matrix["columns"],
            sparsity=matrix["sparsity"],
            relative_error=matrix["relative_error"],
        )
        for matrix in layer["matrices"]
    ]
    weights = sum(matrix.rows * matrix.columns for matrix in matrices)
    zeros = sum(matrix.sparsity * matrix.rows * matrix.columns for matrix in matrices)
    errors = [matrix.relative_error for matrix in matrices if matrix.relative_error is not None]
    return LayerDocument(
        layer=layer["layer"],
        sparsity=zeros / weights if weights else 0.0,
        relative_error=max(errors, default=None),
        matrices=matrices,
    )


def _uses(stores: Stores, reference: str) -> dict[str, list[Link]]:
    results = stores.results
    return {
        "evaluations": [
            Link(label=", ".join(record.spec["tasks"]), href=urls.evaluation(record.id))
            for record in naming(results, "evaluation", reference)
        ],
        "attributions": [
            Link(label=texts_label(record.spec), href=urls.attribution(record.id))
            for record in naming(results, "attribution", reference)
        ],
    }
