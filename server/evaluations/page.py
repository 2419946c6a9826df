"""Contexts of the pages of evaluations: the list, one evaluation, and the examples of one of its tasks."""

import json
from dataclasses import dataclass

from prunescope.jobs.documents import JobKind
from prunescope.server import urls
from prunescope.server.evaluations.documents import EvaluationDocument, EvaluationSummary, TaskExamples
from prunescope.server.site.documents import Page
from prunescope.server.site.frame import Frame
from prunescope.server.site.parts import Empty, ListPage


@dataclass(frozen=True)
class EvaluationPage:
    """The context of ``evaluations/evaluation.html``."""

    frame: Frame
    document: EvaluationDocument
    delete_href: str
    after_delete: str


@dataclass(frozen=True)
class TaskPage:
    """The context of ``evaluations/task.html``; ``job`` is the JSON that is posted to ``post_href``."""

    frame: Frame
    document: TaskExamples
    post_href: str
    job: str


def evaluations_page(page: Page[EvaluationSummary], frame: Frame) -> ListPage[EvaluationSummary]:
    start = urls.new_job(kind=JobKind.EVALUATE)
    empty = Empty("No evaluations yet", "An evaluation measures a model's accuracy on tasks.", "Start one", start)
    return ListPage(frame, page.items, empty, page.next_href)


def evaluation_page(document: EvaluationDocument, frame: Frame) -> EvaluationPage:
    return EvaluationPage(frame, document, delete_href=urls.api(document.href), after_delete=urls.evaluations())


def task_page(document: TaskExamples, frame: Frame) -> TaskPage:
    return TaskPage(frame, document, post_href=urls.api(urls.jobs()), job=json.dumps(document.attribution_job))
