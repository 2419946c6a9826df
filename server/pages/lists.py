"""The indexes: jobs, studies, attributions, evaluations, models."""

from collections import Counter
from dataclasses import dataclass, replace

from prunescope.jobs.documents import JobKind, JobState
from prunescope.server import urls
from prunescope.server.documents import (
    AttributionSummary,
    EvaluationSummary,
    JobItem,
    Link,
    ModelSummary,
    Page,
    StudySummary,
)
from prunescope.server.pages import wording
from prunescope.server.pages.controls import Empty, Option, Picker
from prunescope.server.pages.frame import Frame
from prunescope.server.pages.home import Found, StudyLine, found, study_line
from prunescope.server.pages.job_lines import JobLine, job_line


@dataclass(frozen=True)
class JobsPage:
    """The context of ``jobs.html``."""

    frame: Frame
    filters: tuple[Picker, ...]
    lines: tuple[JobLine, ...]
    empty: Empty
    start: tuple[Link, ...]
    older_href: str | None


@dataclass(frozen=True)
class StudiesPage:
    """The context of ``studies.html``."""

    frame: Frame
    lines: tuple[StudyLine, ...]
    empty: Empty
    start_href: str
    older_href: str | None


@dataclass(frozen=True)
class AttributionsPage:
    """The context of ``attributions.html``."""

    frame: Frame
    items: tuple[Found, ...]
    empty: Empty
    start_href: str
    older_href: str | None


@dataclass(frozen=True)
class TaskChip:
    label: str
    value: str
    href: str


@dataclass(frozen=True)
class EvaluationLine:
    label: str
    href: str
    model: Link
    tasks: tuple[TaskChip, ...]
    at: str
    ago: str


@dataclass(frozen=True)
class EvaluationsPage:
    """The context of ``evaluations.html``."""

    frame: Frame
    lines: tuple[EvaluationLine, ...]
    empty: Empty
    start_href: str
    older_href: str | None


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
    """The context of ``models.html``."""

    frame: Frame
    dense: tuple[ModelLine, ...]
    pruned: tuple[ModelLine, ...]
    empty: Empty
    start_href: str
    older_href: str | None


def jobs_page(
    page: Page[JobItem], frame: Frame, *, kind: JobKind | None, state: JobState | None, start: list[Link]
) -> JobsPage:
    kinds = tuple(
        Option(name, urls.jobs(kind=value, state=state), value == kind)
        for name, value in (("All", None), *((kind.value.capitalize(), kind) for kind in JobKind))
    )
    states = tuple(
        Option(name, urls.jobs(kind=kind, state=value), value == state)
        for name, value in (("Any state", None), *((state.value.capitalize(), state) for state in JobState))
    )
    filtered = kind is not None or state is not None
    empty = (
        Empty("No such jobs", "None of the jobs is of this kind and state.", "Show all of them", urls.jobs())
        if filtered
        else Empty("No jobs yet", "Pruning, measuring and attributing all run as jobs.", "Start one", urls.new_job())
    )
    lines = tuple(job_line(job) for job in page.items)
    shown = state.value.capitalize() if state else "Any state"
    return JobsPage(
        frame, (Picker("Kind", "", kinds), Picker("State", shown, states)), lines, empty, tuple(start), page.next_href
    )


def studies_page(page: Page[StudySummary], frame: Frame) -> StudiesPage:
    start = urls.new_job(kind=JobKind.STUDY)
    empty = Empty(
        "No studies yet",
        "A study prunes models in many ways and measures every one of them: a table of what each way costs.",
        "Start a study",
        start,
    )
    return StudiesPage(frame, tuple(study_line(item) for item in page.items), empty, start, page.next_href)


def attributions_page(page: Page[AttributionSummary], frame: Frame) -> AttributionsPage:
    start = urls.new_job(kind=JobKind.ATTRIBUTE)
    empty = Empty(
        "No attributions yet",
        "An attribution runs the same texts through a dense model and its pruned variants and finds the neurons that "
        "answered to the words that matter, and no longer do.",
        "Start an attribution",
        start,
    )
    models = Counter(item.dense.href for item in page.items)
    items = tuple(
        replace(found(item), comparison_href=urls.comparisons(item.id) if models[item.dense.href] > 1 else None)
        for item in page.items
    )
    return AttributionsPage(frame, items, empty, start, page.next_href)


def evaluations_page(page: Page[EvaluationSummary], frame: Frame) -> EvaluationsPage:
    start = urls.new_job(kind=JobKind.EVALUATE)
    empty = Empty("No evaluations yet", "An evaluation measures a model's accuracy on tasks.", "Start one", start)
    return EvaluationsPage(frame, tuple(evaluation_line(item) for item in page.items), empty, start, page.next_href)


def evaluation_line(item: EvaluationSummary) -> EvaluationLine:
    tasks = (
        *(TaskChip(task.task, f"{wording.accuracy(task.accuracy)} %", task.href) for task in item.tasks),
        *(
            TaskChip(f"perplexity on {text.text.rpartition('/')[2]}", wording.perplexity(text.perplexity), item.href)
            for text in item.perplexity
        ),
    )
    moment = item.created_at
    return EvaluationLine(item.label, item.href, item.model, tasks, wording.timestamp(moment), wording.ago(moment))


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
        sparsity=wording.percent(model.sparsity, 1) if model.sparsity is not None else "",
        error=wording.decimal(model.relative_error) if model.relative_error is not None else "",
        at=wording.timestamp(model.created_at),
        ago=wording.ago(model.created_at),
    )
