"""The list of models as a page."""

from dataclasses import dataclass

from prunescope.jobs.documents import JobKind
from prunescope.server import urls
from prunescope.server.models.documents import ModelSummary
from prunescope.server.site import formats
from prunescope.server.site.documents import Link, Page
from prunescope.server.site.frame import Frame
from prunescope.server.site.parts import Empty


@dataclass(frozen=True)
class ModelLine:
    label: str
    href: str
    base: Link | None
    method: str
    pattern: str
    calibration: str
    sparsity: str
    error: str
    at: str
    ago: str


@dataclass(frozen=True)
class ModelsPage:
    """The context of ``models/list.html``."""

    frame: Frame
    dense: tuple[ModelLine, ...]
    pruned: tuple[ModelLine, ...]
    empty: Empty
    start_href: str
    older_href: str | None


def models_page(page: Page[ModelSummary], frame: Frame) -> ModelsPage:
    start = urls.new_job(kind=JobKind.PRUNE)
    empty = Empty("No models yet", "Prune a model and it stands here, with its dense parent.", "Prune a model", start)
    lines = [(item.kind, model_line(item)) for item in page.items]
    dense = tuple(line for kind, line in lines if kind == "dense")
    pruned = tuple(line for kind, line in lines if kind == "pruned")
    return ModelsPage(frame, dense, pruned, empty, start, page.next_href)


def model_line(model: ModelSummary) -> ModelLine:
    return ModelLine(
        label=model.label,
        href=model.href,
        base=model.base,
        method=model.method or "",
        pattern=model.pattern or "",
        calibration=model.calibration or "",
        sparsity=formats.percent(model.sparsity, 1) if model.sparsity is not None else "",
        error=formats.decimal(model.relative_error) if model.relative_error is not None else "",
        at=formats.timestamp(model.created_at),
        ago=formats.ago(model.created_at),
    )
