"""Contexts of the list of models and of one model's page."""

import json
from dataclasses import dataclass

from prunescope.jobs.labels import spec_fields
from prunescope.server import urls
from prunescope.server.models.documents import ModelDocument, ModelSummary
from prunescope.server.models.matrices import Matrices, Shown, matrices_of, measured
from prunescope.server.site.documents import Link, Page
from prunescope.server.site.frame import Frame
from prunescope.server.site.parts import Picker, picker

STAGES = {
    "load": "loading",
    "calibration": "calibration text",
    "allocation": "allocation",
    "statistics": "statistics",
    "decide": "deciding",
    "forward": "forward passes",
    "save": "saving",
}
"""Stage of a prune job -> its name on the page, in the order of the page."""
OTHER = "other"
MIN_OTHER = 0.01
"""Minimum share of the total time at which time outside all stages is shown."""


@dataclass(frozen=True)
class ModelsPage:
    """The context of ``models/list.html``."""

    frame: Frame
    document: Page[ModelSummary]


@dataclass(frozen=True)
class ModelPage:
    """The context of ``models/model.html``."""

    frame: Frame
    document: ModelDocument
    actions: tuple[Link, ...]
    toggle: Picker | None
    json_href: str
    matrices: Matrices | None
    measured: bool
    stages: dict[str, float]
    spec: str
    delete_href: str | None


def model_page(document: ModelDocument, frame: Frame, *, here: str, shown: str | None = None) -> ModelPage:
    """The context of a model's page. ``here`` is the path of the page, or of the share link that opened it. Map and
    table show the sparsity if ``shown`` is "sparsity" or no output error was measured, otherwise the output error."""
    with_error = measured(document)
    chosen: Shown = "sparsity" if shown == "sparsity" or not with_error else "error"
    names = {"error": "Output error", "sparsity": "Sparsity"}
    toggle = picker("What the table shows", names, chosen, lambda shown: urls.with_state(here, map=shown))
    return ModelPage(
        frame=frame,
        document=document,
        actions=() if frame.shared else _actions(document),
        toggle=toggle if with_error and not frame.shared else None,
        json_href=urls.api(document.href),
        matrices=matrices_of(document, chosen) if document.layers else None,
        measured=with_error,
        stages=_stages(document),
        spec=json.dumps(document.spec, indent=2, ensure_ascii=False) if document.spec else "",
        # Only models pruned here can be deleted; folders below a model root belong to the user.
        delete_href=urls.api(document.href) if document.download_href and not frame.shared else None,
    )


def _actions(document: ModelDocument) -> tuple[Link, ...]:
    evaluate = Link(label="Evaluate", href=urls.new_job(kind="evaluate", model=document.reference))
    if document.kind == "dense":
        return (Link(label="Prune", href=urls.new_job(kind="prune", model=document.reference)), evaluate)
    attribute = urls.new_job(kind="attribute", dense=document.made_from, pruned=document.reference)
    fields = spec_fields(document.spec or {})
    same = {path: value for path, value in fields.items() if path != "calibration.file" and value}
    again = Link(label="Prune again with …", href=urls.new_job(kind="prune", **same))
    explain = urls.new_job(kind="explain", dense=document.made_from, pruned=document.reference)
    return (
        Link(label="Explain its loss", href=explain),
        evaluate,
        Link(label="Neurons that respond to words", href=attribute),
        again,
    )


def _stages(document: ModelDocument) -> dict[str, float]:
    """Name of each stage -> seconds, in the order of the page; the time outside all stages is called `OTHER`."""
    order = [*STAGES, *(name for name in document.stages if name not in STAGES)]
    seconds = {STAGES.get(name, name): document.stages[name] for name in order if document.stages.get(name)}
    total = document.seconds or 0.0
    rest = total - sum(seconds.values())
    return {**seconds, OTHER: rest} if seconds and rest > MIN_OTHER * total else seconds
