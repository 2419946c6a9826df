"""One model: where it comes from, and what pruning did to each of its matrices."""

import json
from dataclasses import dataclass

from server import urls
from server.documents import Link, MatrixDocument, ModelDocument
from server.pages import wording
from server.pages.controls import Fact
from server.pages.frame import Frame
from server.pages.shades import Scale, step
from server.pages.tokens import Legend


@dataclass(frozen=True)
class MatrixCell:
    text: str
    css: str


@dataclass(frozen=True)
class LayerRow:
    name: str
    sparsity: str
    error: str
    cells: tuple[MatrixCell, ...]


@dataclass(frozen=True)
class ModelPage:
    """The context of ``model.html``."""

    frame: Frame
    title: str
    reference: str
    facts: tuple[Fact, ...]
    base: Link | None
    matrices: tuple[str, ...]
    layers: tuple[LayerRow, ...]
    actions: tuple[Link, ...]
    download_href: str | None
    evaluations: tuple[Link, ...]
    attributions: tuple[Link, ...]
    variants: tuple[Link, ...]
    versions: tuple[tuple[str, str], ...]
    spec: str
    job: Link | None
    delete_href: str | None
    after_delete: str
    plotly: str
    map_legend: Legend
    map_data: dict[str, object]


def model_page(document: ModelDocument, frame: Frame) -> ModelPage:
    names = tuple(dict.fromkeys(matrix.name for layer in document.layers for matrix in layer.matrices))
    known = [{matrix.name: matrix for matrix in layer.matrices} for layer in document.layers]
    errors = [m.relative_error for layer in known for m in layer.values() if m.relative_error is not None]
    scale = Scale(max(errors, default=0.0))
    pruned = document.kind == "pruned"
    return ModelPage(
        frame=frame,
        title=document.label,
        reference=document.reference,
        facts=_facts(document),
        base=document.base,
        matrices=names,
        layers=tuple(
            LayerRow(
                f"Layer {layer.layer}",
                wording.percent(layer.sparsity, 1),
                wording.decimal(layer.relative_error),
                tuple(_cell(matrices.get(name), scale) for name in names),
            )
            for layer, matrices in zip(document.layers, known, strict=True)
        ),
        actions=() if frame.shared else _actions(document),
        download_href=document.download_href,
        evaluations=tuple(document.evaluations),
        attributions=tuple(document.attributions),
        variants=tuple(document.variants),
        versions=tuple(document.versions.items()),
        spec=json.dumps(document.spec, indent=2, ensure_ascii=False) if document.spec else "",
        job=None if frame.shared else document.job,
        delete_href=urls.api(document.href) if pruned and not frame.shared else None,
        after_delete=urls.models(),
        plotly=urls.PLOTLY,
        map_legend=Legend("0", wording.decimal(scale.middle), wording.decimal(scale.top), "loss-ramp"),
        map_data=_map(document, names, known),
    )


def _facts(document: ModelDocument) -> tuple[Fact, ...]:
    if document.kind == "dense":
        return (Fact("", "dense", "model"), Fact("", wording.count(len(document.variants)), "pruned from it"))
    facts = []
    if document.sparsity is not None:
        facts.append(Fact("", wording.percent(document.sparsity, 1), "of the pruned weights are zero"))
    facts += [
        Fact(name, value)
        for name, value in (
            ("method", document.method),
            ("pattern", document.pattern),
            ("calibration", document.calibration),
        )
        if value
    ]
    return tuple(facts)


def _actions(document: ModelDocument) -> tuple[Link, ...]:
    evaluate = Link(label="Evaluate", href=urls.new_job(kind="evaluate", model=document.reference))
    if document.kind == "dense":
        return (Link(label="Prune", href=urls.new_job(kind="prune", model=document.reference)), evaluate)
    base = document.base.href.removeprefix(f"{urls.MODELS}/") if document.base else None
    attribute = urls.new_job(kind="attribute", dense=base, pruned=document.reference)
    return (Link(label="Find its neurons", href=attribute), evaluate)


def _cell(matrix: MatrixDocument | None, scale: Scale) -> MatrixCell:
    if matrix is None:
        return MatrixCell("", "")
    if matrix.relative_error is None:
        return MatrixCell(wording.percent(matrix.sparsity, 0), "")
    return MatrixCell(
        wording.decimal(matrix.relative_error), f"loss-shade l{step(scale.fraction(matrix.relative_error))}"
    )


def _map(document: ModelDocument, names: tuple[str, ...], known: list[dict[str, MatrixDocument]]) -> dict[str, object]:
    def label(layer: int, name: str, matrix: MatrixDocument | None) -> str:
        if matrix is None:
            return ""
        lines = [
            f"layer {layer} · {name}",
            f"{wording.count(matrix.rows)} {wording.TIMES} {wording.count(matrix.columns)}",
            f"sparsity {wording.percent(matrix.sparsity, 1)}",
            f"relative error {wording.decimal(matrix.relative_error)}",
        ]
        return "<br>".join(lines)

    return {
        "matrices": names,
        "layers": [f"{layer.layer}" for layer in document.layers],
        "error": [[row[name].relative_error if name in row else None for name in names] for row in known],
        "sparsity": [[row[name].sparsity if name in row else None for name in names] for row in known],
        "labels": [
            [label(layer.layer, name, row.get(name)) for name in names]
            for layer, row in zip(document.layers, known, strict=True)
        ],
    }
