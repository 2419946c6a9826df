"""Builds the documents of models: dense models, pruned models with a record, and folders below the model roots."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from prunescope.jobs.labels import Described, corpus_label, explained_label, measured_label, texts_label, told_apart
from prunescope.jobs.problems import Problem, not_found
from prunescope.jobs.references import DEMO, PRUNED, FolderModel, canonical_reference, parse_reference, references_of
from prunescope.server import urls
from prunescope.server.models.documents import FileDocument, ModelDocument, ModelSummary
from prunescope.server.models.reports import PRUNING_JSON, Report, read_report, report_fields, settings_of
from prunescope.server.site.documents import Link, Page
from prunescope.server.site.names import Names, job_link
from prunescope.server.stores import Stores
from prunescope.store.artefacts.records import Record

MAX_USES = 2000
"""Maximum number of attributions, and of explanations, on a model's page; the newest are shown."""


def model_list(stores: Stores, *, cursor: str | None = None, limit: int = 50) -> Page[ModelSummary]:
    """One page of the list of models. The first page begins with dense models and folders below the model roots; models
    pruned here follow, newest first. Raises Problem 422 for an invalid cursor or limit."""
    records, after = stores.results.list("model", cursor=cursor, limit=limit)
    names = Names(stores, (reference for record in records for reference in references_of(record.spec)))
    known = [] if cursor else [*dense_models(stores)]
    unrecorded = [_unrecorded(stores, each, _folder_report(stores, each), names, known) for each in known]
    dense_first = sorted(unrecorded, key=lambda model: model.kind == "pruned")
    return Page[ModelSummary](
        items=dense_first + [_pruned(record, names) for record in records],
        next=after,
        next_href=urls.models(cursor=after) if after else None,
    )


def model_document(stores: Stores, name: str) -> ModelDocument:
    """The document of a model, by id or reference. Raises Problem 404 for an unknown model."""
    id = name.removeprefix(PRUNED)
    record = stores.results.many("model", [id]).get(id)
    if record is not None:
        names = Names(stores, references_of(record.spec))
        report = read_report(stores.artefacts.read("model", id, PRUNING_JSON))
        files = [
            FileDocument(name=file, bytes=size, href=urls.model_file(id, file))
            for file, size in stores.artefacts.files("model", id).items()
        ]
        return _document(
            stores,
            _pruned(record, names),
            report.model_copy(update={"spec": record.spec}),
            references=[f"{PRUNED}{id}"],
            files=files,
            download_href=urls.model_download(id),
            job=job_link(record),
        )
    dense = dense_models(stores)
    name = next((each for each, references in dense.items() if name in references), "")
    if not name:
        raise not_found("model", id)
    names = Names(stores)
    report = _folder_report(stores, name)
    made = [record for each in dense[name] for record in stores.results.naming("model", [each])]
    return _document(
        stores,
        _unrecorded(stores, name, report, names, dense),
        report,
        references=dense[name],
        variants=[names.link(f"{PRUNED}{record.id}") for record in made],
    )


def _document(
    stores: Stores, summary: ModelSummary, report: Report, references: Sequence[str], **more: object
) -> ModelDocument:
    """The document of a model. Values of the report take precedence over those of ``summary``; ``references`` are the
    names of the model in the specs of records."""
    fields = report_fields(report)
    return ModelDocument.model_validate(
        {
            **fields,
            **{name: value for name, value in dict(summary).items() if fields.get(name) is None},
            "matrices_href": urls.model_matrices(summary.reference) if report.layers else None,
            **_uses(stores, references),
            **more,
        }
    )


def dense_models(stores: Stores) -> dict[str, list[str]]:
    """Canonical reference of each known dense model -> all of its references, such as a hub id with and without
    `@main`. Known models are the demo model, folders below the model roots, and models that records name."""
    named = [DEMO, *_folders(stores), *stores.results.named_models()]
    found: dict[str, list[str]] = {}
    for reference in dict.fromkeys(named):
        if not reference.startswith(PRUNED):
            spelled = found.setdefault(canonical_reference(reference, stores.settings), [])
            spelled.append(reference)
    return {name: [*dict.fromkeys([name, *spelled])] for name, spelled in found.items()}


def _folders(stores: Stores) -> Iterable[str]:
    for root in stores.settings.model_roots:
        folder = root.expanduser()
        if folder.is_dir():
            for path in sorted({found.parent.absolute() for found in folder.glob("*/config.json")}):
                if _folder(stores, str(path)) is not None:  # a symbolic link may lead out of the root
                    yield canonical_reference(str(path), stores.settings)


def _pruned(record: Record, names: Names) -> ModelSummary:
    reference = f"{PRUNED}{record.id}"
    return ModelSummary(
        id=record.id,
        reference=reference,
        label=names.label(reference),
        kind="pruned",
        base=names.link(record.spec["model"]),
        **settings_of(record.spec),
        sparsity=record.summary.get("sparsity"),
        relative_error=record.summary.get("relative_error"),
        created_at=record.created_at,
        href=urls.model(record.id),
    )


def _unrecorded(stores: Stores, reference: str, report: Report, names: Names, known: Iterable[str]) -> ModelSummary:
    """A model without a record, in a list. It is a pruned model if its folder has a report with layers, otherwise a
    dense one."""
    own = {"id": reference, "reference": reference, "label": names.label(reference), "href": urls.model(reference)}
    if not report.layers:
        return ModelSummary(**own, kind="dense", base=None)
    fields = {**report_fields(report), **settings_of(report.spec or {})}
    made_from = fields["made_from"]
    base = made_from if made_from and canonical_reference(made_from, stores.settings) in known else None
    return ModelSummary.model_validate({**fields, **own, "kind": "pruned", "base": names.link(base) if base else None})


def is_dense(stores: Stores, reference: str) -> bool:
    """Whether a model is dense: it was not pruned here, and its folder has no `pruning.json` with layers."""
    return not reference.startswith(PRUNED) and not _folder_report(stores, reference).layers


def _folder_report(stores: Stores, reference: str) -> Report:
    """The report of a folder below a model root; an empty report for other references and without the file."""
    folder = _folder(stores, reference)
    try:
        return Report() if folder is None else read_report((folder / PRUNING_JSON).read_bytes())
    except OSError:
        return Report()


def _folder(stores: Stores, reference: str) -> Path | None:
    """The folder below a model root that a reference names; None for other references."""
    try:
        found = parse_reference(reference, stores.settings)
    except Problem:
        return None
    return found.path if isinstance(found, FolderModel) else None


def _uses(stores: Stores, references: Sequence[str]) -> dict[str, list[Link]]:
    """Links to the evaluations, explanations, corpora and attributions of a model, by all of its references."""
    results, names = stores.results, stores.names.attributions()
    evaluations = [record for reference in references for record in results.naming("evaluation", [reference])]
    attributions = {
        each.id: each for name in references for each in results.naming("attribution", [name], limit=MAX_USES)
    }
    explanations = {
        each.id: each for name in references for each in results.naming("explanation", [name], limit=MAX_USES)
    }
    corpora = {each.id: each for each in results.corpora_of(references, MAX_USES)}
    read = stores.names.corpora()
    explained = stores.names.explanations()
    measured = told_apart(
        [Described(measured_label(each.spec), (f"made {each.created_at:%Y-%m-%d}", each.id)) for each in evaluations]
    )
    return {
        "evaluations": [
            Link(label=label, href=urls.evaluation(record.id))
            for label, record in zip(measured, evaluations, strict=True)
        ],
        "explanations": [
            Link(label=explained.get(id) or explained_label(record.spec), href=urls.explanation(id))
            for id, record in explanations.items()
        ],
        "corpora": [
            Link(label=read.get(id) or corpus_label(record.spec), href=urls.corpus(id))
            for id, record in corpora.items()
        ],
        "attributions": [
            Link(label=names.get(id) or texts_label(record.spec), href=urls.attribution(id))
            for id, record in attributions.items()
        ],
    }
