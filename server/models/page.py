"""Contexts of the list of models and of one model's page."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from prunescope.jobs.documents import JobKind
from prunescope.server import urls
from prunescope.server.labels import spec_fields
from prunescope.server.models.documents import ModelDocument, ModelSummary, PlacedMatrix
from prunescope.server.models.making import About, about_lines, stage_seconds
from prunescope.server.models.matrices import MatrixMap, MatrixTable, Shown, matrix_map, matrix_table, measured
from prunescope.server.site import formats
from prunescope.server.site.documents import Link, Page
from prunescope.server.site.frame import Frame
from prunescope.server.site.parts import Empty, Fact, ListPage, Option, Picker

PERMUTATIONS = ("permutations.npz", "permutations.safetensors")
"""Where orders of columns lie: now, and in models of before."""


@dataclass(frozen=True)
class ModelPage:
    """The context of ``models/model.html``."""

    frame: Frame
    document: ModelDocument
    facts: tuple[Fact, ...]
    actions: tuple[Link, ...]
    toggle: Picker | None
    exports: tuple[Option, ...]
    warnings: tuple[str, ...]
    remarks: tuple[str, ...]
    map: MatrixMap | None
    table: MatrixTable | None
    largest_error: float
    stages: dict[str, float]
    halves: str  # css: the two stand beside each other
    about: tuple[About, ...]
    spec: str
    job: Link | None
    delete_href: str | None
    after_delete: str
    plotly: str


def models_page(page: Page[ModelSummary], frame: Frame) -> ListPage[ModelSummary]:
    start = urls.new_job(kind=JobKind.PRUNE)
    empty = Empty(
        "No models yet",
        "Pruned models are listed here, with the dense models that they were made from.",
        "Prune a model",
        start,
    )
    return ListPage(frame, page.items, empty, page.next_href)


def model_page(document: ModelDocument, frame: Frame, *, here: str, shown: Shown | None = None) -> ModelPage:
    """``here`` is the page's own path, or that of the share link that it was opened by; ``shown`` is what its map and
    table hold: the output error, where it was measured, unless the address says sparsity."""
    with_error = measured(document)
    chosen: Shown = "sparsity" if shown == "sparsity" or not with_error else "error"
    pruned = bool(document.layers)
    stages = stage_seconds(document)
    return ModelPage(
        frame=frame,
        document=document,
        facts=_facts(document),
        actions=() if frame.shared else _actions(document),
        toggle=_toggle(chosen, here) if with_error and not frame.shared else None,
        exports=_exports(document),
        warnings=_warnings(document),
        remarks=_remarks(document, with_error),
        map=matrix_map(document, chosen) if pruned else None,
        table=matrix_table(document, chosen) if pruned else None,
        largest_error=max((matrix.relative_error or 0.0 for matrix in document.worst), default=0.0),
        stages=stages,
        halves="worst-and-time" if document.worst and stages else "",
        about=about_lines(document),
        spec=json.dumps(document.spec, indent=2, ensure_ascii=False) if document.spec else "",
        job=None if frame.shared else document.job,
        # What lies in a folder of somebody's own is not ours to remove.
        delete_href=urls.api(document.href) if document.download_href and not frame.shared else None,
        after_delete=urls.models(),
        plotly=urls.PLOTLY,
    )


def _facts(document: ModelDocument) -> tuple[Fact, ...]:
    if document.kind == "dense":
        return (Fact("", "dense", "model"), Fact("", formats.count(len(document.variants)), "pruned from it"))
    facts = []
    if document.sparsity is not None:
        facts.append(Fact("", formats.percent(document.sparsity, 1), "of the pruned weights are zero"))
    if document.relative_error is not None:
        facts.append(Fact("mean output error", formats.decimal(document.relative_error)))
    matrices = sum(len(layer.matrices) for layer in document.layers)
    if matrices:
        facts.append(Fact("", formats.count(matrices), f"matrices in {_layers(len(document.layers))}"))
    if document.seconds is not None:
        facts.append(Fact("took", formats.duration(document.seconds)))
    return tuple(facts)


def _layers(count: int) -> str:
    return formats.plural(count, "layer")


def _actions(document: ModelDocument) -> tuple[Link, ...]:
    evaluate = Link(label="Evaluate", href=urls.new_job(kind="evaluate", model=document.reference))
    if document.kind == "dense":
        return (Link(label="Prune", href=urls.new_job(kind="prune", model=document.reference)), evaluate)
    attribute = urls.new_job(kind="attribute", dense=document.made_from, pruned=document.reference)
    again = Link(label="Prune again with …", href=urls.new_job(kind="prune", **_same_fields(document)))
    return (Link(label="Find its neurons", href=attribute), evaluate, again)


def _same_fields(document: ModelDocument) -> dict[str, urls.State]:
    """The query that fills the job form with the settings of this model."""
    return {
        path: value for path, value in spec_fields(document.spec or {}).items() if path != "calibration.file" and value
    }


def _toggle(chosen: Shown, here: str) -> Picker:
    options = (
        Option("Output error", urls.with_state(here, map="error"), chosen == "error"),
        Option("Sparsity", urls.with_state(here, map="sparsity"), chosen == "sparsity"),
    )
    return Picker("What map and table show", "", options)


def _exports(document: ModelDocument) -> tuple[Option, ...]:
    files = [Option("JSON", urls.api(document.href), False, "all that this page shows")]
    if document.matrices_href:
        files.insert(0, Option("CSV", document.matrices_href, False, "a row for each matrix"))
    if document.download_href:
        total = formats.size(sum(file.bytes for file in document.files))
        files.append(Option("Model", document.download_href, False, f"its folder as a tar file, {total}"))
    return tuple(files)


def _warnings(document: ModelDocument) -> tuple[str, ...]:
    return (
        *_retries(document),
        *_note(document, "Not as sparse as asked", lambda matrix: matrix.sparsity_note),
        *_note(document, "No output error could be measured", lambda matrix: matrix.error_note),
    )


def _note(document: ModelDocument, what: str, note_of: Callable[[PlacedMatrix], str]) -> tuple[str, ...]:
    """A warning on the matrices that have a note: which they are, and the first one's note."""
    noted = [matrix for matrix in document.remarked if note_of(matrix)]
    if not noted:
        return ()
    count = formats.plural(len(noted), "matrix", "matrices")
    return (f"{what} in {count}: {_named(noted)}. Layer {noted[0].layer} {noted[0].name}: {note_of(noted[0])}.",)


def _retries(document: ModelDocument) -> tuple[str, ...]:
    if not document.retried:
        return ()
    retries = sum(matrix.damping_retries for matrix in document.retried)
    return (
        f"The damping was raised {formats.plural(retries, 'time')}, each time tenfold, in "
        f"{formats.plural(len(document.retried), 'matrix', 'matrices')} whose Hessian could not be factored: "
        f"{_named(document.retried)}. More calibration text, or a larger damping, avoids that.",
    )


def _named(matrices: list[PlacedMatrix]) -> str:
    named = ", ".join(f"layer {matrix.layer} {matrix.name}" for matrix in matrices[:3])
    return f"{named} and {formats.count(len(matrices) - 3)} more" if len(matrices) > 3 else named


def _remarks(document: ModelDocument, with_error: bool) -> tuple[str, ...]:
    remarks = []
    if document.permuted:
        matrices = sum(len(layer.matrices) for layer in document.layers)
        orders = next((file.name for file in document.files if file.name in PERMUTATIONS), None)
        where = f"; {orders} holds the orders" if orders else ""
        remarks.append(
            f"Channels were permuted in {formats.count(document.permuted)} of "
            f"{formats.plural(matrices, 'matrix', 'matrices')}. The pattern {document.pattern or ''} was verified in "
            f"the permuted order; the saved weights stand in their own order{where}."
        )
    if document.layers and not with_error and not any(matrix.error_note for matrix in document.remarked):
        remarks.append("No output error was measured: it takes calibration text to do so, and this method reads none.")
    if document.restored:
        taken = f"{formats.count(document.restored)} of {_layers(len(document.layers))}"
        remarks.append(f"{taken} were taken over from an earlier run that was cut short, and their times with them.")
    return tuple(remarks)
