"""The list of evaluations as a page."""

from dataclasses import dataclass

from prunescope.jobs.documents import JobKind
from prunescope.server import urls
from prunescope.server.evaluations.documents import EvaluationSummary
from prunescope.server.site import formats
from prunescope.server.site.documents import Link, Page
from prunescope.server.site.frame import Frame
from prunescope.server.site.parts import Empty


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
    """The context of ``evaluations/list.html``."""

    frame: Frame
    lines: tuple[EvaluationLine, ...]
    empty: Empty
    start_href: str
    older_href: str | None


def evaluations_page(page: Page[EvaluationSummary], frame: Frame) -> EvaluationsPage:
    start = urls.new_job(kind=JobKind.EVALUATE)
    empty = Empty("No evaluations yet", "An evaluation measures a model's accuracy on tasks.", "Start one", start)
    return EvaluationsPage(frame, tuple(evaluation_line(item) for item in page.items), empty, start, page.next_href)


def evaluation_line(item: EvaluationSummary) -> EvaluationLine:
    tasks = (
        *(TaskChip(task.task, f"{formats.accuracy(task.accuracy)} %", task.href) for task in item.tasks),
        *(
            TaskChip(f"perplexity on {text.text.rpartition('/')[2]}", formats.perplexity(text.perplexity), item.href)
            for text in item.perplexity
        ),
    )
    moment = item.created_at
    return EvaluationLine(item.label, item.href, item.model, tasks, formats.timestamp(moment), formats.ago(moment))
