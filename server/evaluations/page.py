"""Contexts of the pages of evaluations: the list, one evaluation, and the examples of one of its tasks."""

from dataclasses import dataclass

from prunescope.jobs.documents import JobKind
from prunescope.server import urls
from prunescope.server.evaluations.documents import EvaluationDocument, EvaluationSummary, TaskExamples
from prunescope.server.site.documents import Page
from prunescope.server.site.frame import Frame


@dataclass(frozen=True)
class EvaluationsPage:
    """The context of ``evaluations/list.html``."""

    frame: Frame
    document: Page[EvaluationSummary]
    new_href: str = urls.new_job(kind=JobKind.EVALUATE)


@dataclass(frozen=True)
class EvaluationPage:
    """The context of ``evaluations/evaluation.html``."""

    frame: Frame
    document: EvaluationDocument
    delete_href: str
    after_delete: str = urls.evaluations()


@dataclass(frozen=True)
class TaskPage:
    """The context of ``evaluations/task.html``; ``job`` is the JSON that is posted to ``post_href``."""

    frame: Frame
    document: TaskExamples
    job: str
    post_href: str = urls.api(urls.jobs())
